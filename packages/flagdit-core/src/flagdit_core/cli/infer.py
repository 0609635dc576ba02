"""``lumina infer``: a file from a sentence."""

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from flagdit_core.cli.collection import no_collection
from flagdit_core.cli.models import pipeline_settings
from flagdit_core.cli.options import check_first, parse_options
from flagdit_core.devices import pick_device, pick_dtype
from flagdit_core.errors import ConfigError, FlagDiTError, ShapeError
from flagdit_core.modalities import load_object, modality_of_file
from flagdit_core.output import check_output

_SIZE = re.compile(r"(\d+)[xX](\d+)")


@dataclass(frozen=True, kw_only=True)
class InferOptions:
    """The options of the command, as typed; None is the model's own default.

    ``extra`` has the words that are no option of the command itself; the file's modality may know them.
    """

    prompt: str
    output: Path
    model: str = "nano"
    size: str | None = None
    steps: int | None = None
    guidance: float | None = None
    seed: int | None = None
    solver: str | None = None
    negative: str | None = None
    count: int = 1
    first: int = 0
    strict: bool = False
    overrides: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    device: str | None = None
    dtype: str = "float32"


def run_infer(options: InferOptions) -> None:
    """Make what the sentence says and write it.

    Args:
        options: What was typed.

    Raises:
        FlagDiTError: Something is wrong with the input, the model or the output, and nothing was written; or some of
            several could not be made, and the others were.
    """
    started = time.perf_counter()
    check_first(options.prompt, "the prompt")
    modality = modality_of_file(options.output)
    paths = numbered_paths(options.output, options.count)
    for path in paths:
        check_output(path)
    if not options.prompt.strip():
        raise ConfigError("the prompt is empty; expected a sentence that says what to make")
    size = parse_size(options.size)
    own_options = parse_options(options.extra, modality, f"{options.output.suffix} files")
    with no_collection():
        from flagdit_core.pipeline import resolve_model, weights_digest
        from flagdit_core.pipeline.request import GenerationRequest
    folder = resolve_model(options.model, modality.models)
    settings = pipeline_settings(
        folder, steps=options.steps, guidance=options.guidance, solver=options.solver, overrides=options.overrides
    )
    request = GenerationRequest(
        prompts=[options.prompt],
        settings=settings,
        negative_prompt=options.negative,
        size=size,
        count=options.count,
        first=options.first,
        seeds=None if options.seed is None else [options.seed],
        strict=options.strict,
        options=own_options,
        paths=paths,
        source={"model": options.model, "model_sha256": weights_digest(folder)},
    )
    with no_collection():
        generate, save = load_object(modality.generate), load_object(modality.save)
        pipeline = load_object(modality.pipeline).from_pretrained(
            folder, device=pick_device(options.device), dtype=pick_dtype(options.dtype)
        )
    generated = generate(pipeline, request)
    failures = list[str]()
    for path, artifact, metadata in zip(paths, generated.artifacts, generated.metadata, strict=True):
        if isinstance(artifact, FlagDiTError):
            failures.append(f"{path} was not made: {artifact}")
            continue
        save(artifact, path, {**metadata, **request.source})
        print(path)
    for line in generated.report.deviations:
        print(f"note: {line}", file=sys.stderr)
    seed = generated.metadata[0]["seed"]
    print(f"seed {seed}, {settings.num_inference_steps} {settings.solver} steps, "
          f"guidance {settings.guidance_scale:g}, {time.perf_counter() - started:.1f} s")  # fmt: skip
    if failures:
        raise FlagDiTError("; ".join(failures))


def numbered_paths(output: Path, count: int) -> list[Path]:
    """Where each of ``count`` artifacts goes: the path itself, or numbered ones beside it.

    Args:
        output: As given by the user.
        count: At least 1.

    Returns:
        ``out.png``; or ``out-1.png``, ``out-2.png``, with as many digits as the last number has.

    Raises:
        ConfigError: The count is not positive.

    Example:
        >>> [str(path) for path in numbered_paths(Path("out.png"), 2)]
        ['out-1.png', 'out-2.png']
    """
    if count < 1:
        raise ConfigError(f"--count must be at least 1, got {count}")
    if count == 1:
        return [output]
    digits = len(str(count))
    return [output.with_name(f"{output.stem}-{number:0{digits}}{output.suffix}") for number in range(1, count + 1)]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """(width, height) of ``WIDTHxHEIGHT``.

    Args:
        text: As given by the user, or None.

    Returns:
        The size in pixels, or None.

    Raises:
        ShapeError: The text has another form.

    Example:
        >>> parse_size("192x128")
        (192, 128)
    """
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ShapeError(f"--size must be WIDTHxHEIGHT in pixels, such as 192x128, got {text!r}")
    return int(match[1]), int(match[2])
