"""``lumina eval``: the world's verifier on what a model makes of held-out captions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flagdit_core.cli.collection import no_collection
from flagdit_core.cli.infer import parse_size
from flagdit_core.cli.models import find_model, pipeline_settings
from flagdit_core.cli.options import check_first, parse_options
from flagdit_core.devices import pick_device, pick_dtype
from flagdit_core.errors import ConfigError
from flagdit_core.modalities import load_object
from flagdit_core.output import check_output

_ON_SHEET = 64


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """The options of the command, as typed; None is the model's own default.

    ``extra`` has the words that are no option of the command itself; the model's modality may know them.
    """

    target: str
    count: int = 500
    seed: int = 0
    output: Path | None = None
    sheet: Path | None = None
    modality: str | None = None
    batch_size: int = 50
    size: str | None = None
    steps: int | None = None
    guidance: float | None = None
    solver: str | None = None
    overrides: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    device: str | None = None
    dtype: str = "float32"


def run_eval(options: EvalOptions) -> None:
    """Evaluate a model, print the table and write what was asked for.

    Args:
        options: What was typed.

    Raises:
        FlagDiTError: Something is wrong with the input, the model or the output.
    """
    with no_collection():
        from tqdm import tqdm

        from flagdit_core.evaluation import evaluate, write_json
        from flagdit_core.pipeline import weights_digest
        from flagdit_core.pipeline.request import GenerationRequest

    check_first(options.target, "the model")
    for path in (options.output, options.sheet):
        if path is not None:
            check_output(path)
    if options.sheet is not None and options.sheet.suffix.lower() != ".png":
        raise ConfigError(f"--sheet must end in .png, got {options.sheet}")
    size = parse_size(options.size)
    modality, folder = find_model(options.target, options.modality)
    if modality.world is None:
        raise ConfigError(f"there is no world to evaluate {modality.name} models with")
    if options.sheet is not None and modality.contact_sheet is None:
        raise ConfigError(f"there is no contact sheet of {modality.name} results; leave --sheet out")
    own_options = parse_options(options.extra, modality, f"{modality.name} models")
    if files := [name for name, value in own_options.items() if isinstance(value, Path)]:
        raise ConfigError(f"--{files[0]} is a file of one result, and an evaluation has many")
    settings = pipeline_settings(
        folder, steps=options.steps, guidance=options.guidance, solver=options.solver, overrides=options.overrides
    )
    with no_collection():
        generate = load_object(modality.generate)
        pipeline = load_object(modality.pipeline).from_pretrained(
            folder, device=pick_device(options.device), dtype=pick_dtype(options.dtype)
        )
    request = GenerationRequest(prompts=(), settings=settings, size=size, options=own_options, progress=False)
    world = load_object(modality.world)(pipeline, request)
    kept: list[Any] = []

    def make(prompts: Sequence[str], seeds: Sequence[int]) -> Sequence[Any]:
        return generate(pipeline, replace(request, prompts=prompts, seeds=seeds)).artifacts

    with tqdm(total=options.count, disable=None, leave=False, unit="caption") as bar:

        def after_batch(artifacts: Sequence[Any]) -> None:
            bar.update(len(artifacts))
            if options.sheet is not None:
                kept.extend(artifacts[: _ON_SHEET - len(kept)])

        evaluation = evaluate(
            make,
            world,
            count=options.count,
            seed=options.seed,
            batch_size=options.batch_size,
            on_batch=after_batch,
        )
    print(evaluation.table())
    if options.output is not None:
        origin = {
            "model": options.target,
            "model_sha256": weights_digest(folder),
            "count": options.count,
            "seed": options.seed,
            "size": size,
            "options": own_options,
            "sampling": settings.to_dict(),
        }
        write_json(origin | evaluation.as_dict(), options.output)
        print(options.output)
    if options.sheet is not None and modality.contact_sheet is not None:
        load_object(modality.contact_sheet)(kept, options.sheet)
        print(options.sheet)
