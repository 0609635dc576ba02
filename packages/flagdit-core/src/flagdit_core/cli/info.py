"""``lumina info``: what is installed, and what a model or a file is."""

import importlib.metadata
import json
import platform
from pathlib import Path
from typing import Any

from flagdit_core.cli.models import find_model
from flagdit_core.cli.options import spell
from flagdit_core.errors import CheckpointError
from flagdit_core.modalities import installed_modalities, load_object, modality_that_reads

_DISTRIBUTIONS = (
    "flagdit-core", "flagdit-kernels", "lumina-image", "lumina-video", "lumina-3d", "lumina-audio",
    "torch", "triton", "transformers", "diffusers",
)  # fmt: skip


def run_info(target: str | None) -> None:
    """Print what is known.

    Args:
        target: A model, a file that this program made, or None for the installation.

    Raises:
        FlagDiTError: There is no such model or file.
    """
    if target is None:
        _show_installation()
        return
    path = Path(target)
    endings = {ending for modality in installed_modalities().values() for ending in modality.endings}
    if path.is_file() or path.suffix.lower() in endings:
        if not path.is_file():
            raise CheckpointError(f"there is no file {target}")
        settings = load_object(modality_that_reads(path).read_metadata)(path)
        print(json.dumps(settings, indent=2, ensure_ascii=False))
    else:
        _show_model(target)


def _show_installation() -> None:
    """Versions, modalities and kernels."""
    import torch

    from flagdit_kernels import explain

    print(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in _DISTRIBUTIONS:
        try:
            print(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} not installed")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"\ndevice {device}: {name}")
    for operator, choice in explain(device=device).items():
        print(f"  {operator}: {choice['backend']} ({choice['reason']})")
    for modality in installed_modalities().values():
        models = [name if path.is_dir() else f"{name} (missing)" for name, path in modality.models.items()]
        print(f"\n{modality.name}: {' '.join(modality.endings)}")
        print(f"  models: {', '.join(models) or 'none'}")
        print(f"  recipes: {', '.join(f'{modality.name}/{name}' for name in modality.recipes) or 'none'}")
        for option in modality.options:
            print(f"  lumina infer {spell(option)}: {option.help}")


def _show_model(name: str) -> None:
    """Parts, sizes, settings and card of a model folder."""
    from flagdit_core.pipeline import check_folder, read_model_index
    from flagdit_core.pipeline.folder import component_names, read_header

    modality, folder = find_model(name)
    index = read_model_index(folder)
    check_folder(folder, index)
    print(f"{folder}: {index['_class_name']} ({modality.name})")
    for component in component_names(index):
        headers = [read_header(path) for path in sorted((folder / component).glob("*.safetensors"))]
        parameters = sum(_size(entry) for header in headers for entry in header.values())
        print(f"  {component}: {index[component][1]}" + (f", {parameters:,} parameters" if parameters else ""))
    for section in ("sampling", "defaults", "text_encoding"):
        print(f"  {section}: {json.dumps(index.get(section, {}))}")
    card = folder / "README.md"
    print(f"\n{card.read_text(encoding='utf-8').strip()}" if card.is_file() else "\nno model card (README.md)")


def _size(entry: dict[str, Any]) -> int:
    """Elements of one tensor of a safetensors header."""
    size = 1
    for side in entry["shape"]:
        size *= side
    return size
