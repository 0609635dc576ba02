"""The ``lumina`` command. Importing it must stay cheap: each command imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

import flagdit_core

DEBUG_HELP = "Every command takes --debug, which shows a traceback where an error would be one line."
PROGRAM = "lumina"

app = typer.Typer(
    name=PROGRAM,
    help="Text to images, videos, 3-D objects and sound with Flag-DiT.",
    epilog=DEBUG_HELP,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Change any other setting; may be repeated.")
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, ...; by default a GPU if there is one.")]
Dtype = Annotated[str, typer.Option(help="Precision of the weights: float32, bfloat16 or float16.")]
# What a command does not know goes on, as typed, to the modality.
_PASSES_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.callback(invoke_without_command=True)
def lumina(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Text to images, videos, 3-D objects and sound with Flag-DiT."""
    if version:
        print(f"{PROGRAM} {flagdit_core.__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(
    epilog=f"Some kinds of files take options of their own, such as a duration: lumina info lists them. {DEBUG_HELP}",
    context_settings=_PASSES_ON,
)
def infer(
    context: typer.Context,
    prompt: Annotated[str, typer.Argument(help="What to make, in words.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; its ending picks the modality.")],
    model: Annotated[str, typer.Option(help="A shipped model, a folder, or a hub id owner/name.")] = "nano",
    size: Annotated[str | None, typer.Option(metavar="WIDTHxHEIGHT", help="By default the model's own.")] = None,
    steps: Annotated[int | None, typer.Option(help="Solver steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale; 1 is none.")] = None,
    seed: Annotated[int | None, typer.Option(help="Drawn and reported if not given.")] = None,
    solver: Annotated[str | None, typer.Option(help="euler, midpoint, heun, ...")] = None,
    negative: Annotated[str | None, typer.Option(help="What to steer away from.")] = None,
    count: Annotated[int, typer.Option(help="How many; more than one gives numbered files.")] = 1,
    first: Annotated[int, typer.Option(help="Number of the first one under its seed.")] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Fail where something would only be reported.")] = False,
    overrides: Overrides = None,
    device: Device = None,
    dtype: Dtype = "float32",
) -> None:
    """Make an image, a video, a 3-D object or sound from a sentence.

    For example: lumina infer "a red circle" -o circle.png
    """
    from flagdit_core.cli.infer import InferOptions, run_infer

    run_infer(
        InferOptions(
            prompt=prompt, output=output, model=model, size=size, steps=steps, guidance=guidance, seed=seed,
            solver=solver, negative=negative, count=count, first=first, strict=strict,
            overrides=tuple(overrides or ()), extra=tuple(context.args), device=device, dtype=dtype,
        )
    )  # fmt: skip


@app.command(epilog=DEBUG_HELP)
def train(
    recipe: Annotated[str, typer.Argument(help="module:function, or the short name of a shipped recipe.")],
    overrides: Overrides = None,
    output: Annotated[Path | None, typer.Option(help="Folder to train in; sets the recipe's output_dir.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
) -> None:
    """Train a model by a recipe."""
    from flagdit_core.cli.train import run_train

    run_train(recipe, tuple(overrides or ()), output=output, resume=resume)


@app.command(
    "eval",
    epilog=f"Some models take options of their own, such as a duration: lumina info lists them. {DEBUG_HELP}",
    short_help="Have a world's verifier judge a model.",
    context_settings=_PASSES_ON,
)
def evaluate(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="RECIPE_OR_MODEL", help="A model, or a recipe that has been run.")],
    count: Annotated[int, typer.Option(help="Held-out captions.")] = 500,
    seed: Annotated[int, typer.Option(help="Picks the captions and the noise.")] = 0,
    output: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Picture of the first 64 results to write.")] = None,
    modality: Annotated[str | None, typer.Option(help="Only needed where several have a model of that name.")] = None,
    batch_size: Annotated[int, typer.Option(help="Captions sampled at once.")] = 50,
    size: Annotated[str | None, typer.Option(metavar="WIDTHxHEIGHT", help="By default the model's own.")] = None,
    steps: Annotated[int | None, typer.Option(help="Solver steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale; 1 is none.")] = None,
    solver: Annotated[str | None, typer.Option(help="euler, midpoint, heun, ...")] = None,
    overrides: Overrides = None,
    device: Device = None,
    dtype: Dtype = "float32",
) -> None:
    """Count how often the world's verifier finds in the results what held-out captions say."""
    from flagdit_core.cli.evaluate import EvalOptions, run_eval

    run_eval(
        EvalOptions(
            target=target, count=count, seed=seed, output=output, sheet=sheet, modality=modality,
            batch_size=batch_size, size=size, steps=steps, guidance=guidance, solver=solver,
            overrides=tuple(overrides or ()), extra=tuple(context.args), device=device, dtype=dtype,
        )
    )  # fmt: skip


@app.command(epilog=DEBUG_HELP, short_help="Convert the authors' weights, or pickled ones.")
def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The authors' folder or weights file.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="Folder to make, or a .safetensors file.")],
    family: Annotated[
        str | None, typer.Option(help="t2i, imagenet, audio or music; told from the names if left out.")
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Arguments of the authors' constructor, or a file that holds them."),
    ] = None,
) -> None:
    """Convert the authors' weights to a folder of ours, or pickled weights (.pth) to a .safetensors file."""
    from flagdit_core.cli.convert import run_convert

    run_convert(source, target, family=family, config=config)


@app.command(epilog=DEBUG_HELP, short_help="Say what is installed, or what a model or file is.")
def info(
    target: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A model, or a file that this program made.")
    ] = None,
) -> None:
    """Say what is installed, which kernels can run here and why not; or what a model or a file is."""
    from flagdit_core.cli.info import run_info

    run_info(target)
