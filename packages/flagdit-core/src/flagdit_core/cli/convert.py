"""``lumina convert``: foreign weights to our own format."""

import json
from pathlib import Path
from typing import Any

from flagdit_core.errors import CheckpointError, ConfigError, OutputError
from flagdit_core.output import atomic_file, atomic_folder, check_output

_TENSOR_FILE = ".safetensors"


def run_convert(source: Path, target: Path, *, family: str | None, config: str | None) -> None:
    """Convert weights; nothing that is there is overwritten, and no code in a pickle is run.

    Args:
        source: The authors' folder, or a weights file.
        target: A folder to make, or a ``.safetensors`` file to make.
        family: Which of the authors' models it is; None tells it from the names of the weights.
        config: Arguments of the authors' constructor, as JSON or a file with it.

    Raises:
        FlagDiTError: The source cannot be read or does not fit, or the target is there already.
    """
    if not source.exists():
        raise CheckpointError(f"there is no {source} to convert")
    if target.exists():
        raise OutputError(f"{target} is already there; choose another name or remove it first")
    if target.suffix == _TENSOR_FILE:
        if family is not None or config is not None:
            raise ConfigError(
                "--family and --config are for making a model folder; leave them out for a .safetensors file"
            )
        _convert_file(source, target)
    else:
        _convert_model(source, target, family, _read_config(config))


def _convert_file(source: Path, target: Path) -> None:
    """Tensors under their present names, in one safetensors file."""
    from safetensors.torch import save_file

    from flagdit_core.interop.lumina_t2x_files import read

    check_output(target)
    shards, _ = read(source)
    if len(shards) > 1:
        raise ConfigError(
            f"{source} has {len(shards)} tensor-parallel shards; convert it to a folder, which joins them"
        )
    tensors = {name: tensor.clone().contiguous() for name, tensor in shards[0].items()}
    with atomic_file(target) as temporary:
        save_file(tensors, temporary)
    print(f"{target}: {len(tensors)} tensors")


def _convert_model(source: Path, target: Path, family: str | None, config: dict[str, Any] | None) -> None:
    """A network of ours in a folder."""
    from flagdit_core.interop.lumina_t2x import load_with_report

    check_output(target)
    model, report = load_with_report(source, family=family, config=config)  # type: ignore[arg-type]
    print(report)
    if not report.complete:
        raise CheckpointError(
            f"{source} does not fit: {len(report.missing)} missing, {len(report.unexpected)} unexpected"
        )
    with atomic_folder(target) as temporary:
        model.save_pretrained(temporary)
    print(f"{target}: {sum(parameter.numel() for parameter in model.parameters()):,} parameters")


def _read_config(text: str | None) -> dict[str, Any] | None:
    """Constructor arguments from JSON, or from a JSON file."""
    if text is None:
        return None
    try:
        values = json.loads(text if text.lstrip().startswith("{") else Path(text).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config must be a JSON object or a file that holds one, got {text!r} ({error})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"--config must be a JSON object, got {text!r}")
    return values
