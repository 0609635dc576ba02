"""What the pipelines of all installed modalities do alike, proved of each of them on its tiny random one."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from flagdit_core.errors import CancelledError, CheckpointError, ConfigError, FlagDiTError, ShapeError, StrictError
from flagdit_core.modalities import Modality, installed_modalities, load_object
from flagdit_core.noise import latent_noise

PROMPT = "a red circle"
LONG_PROMPT = "a red circle and " * 20


@dataclass(frozen=True, kw_only=True)
class Medium:
    """What a modality calls its own.

    Attributes:
        artifact: One of what it makes, as in ``num_<artifact>s_per_prompt``.
        shape: Of each latent of its tiny pipeline.
        codec_network: Where a codec has its weights.
        numbers: What the first artifact of an output consists of.
    """

    artifact: str
    shape: tuple[int, ...]
    codec_network: str
    numbers: Callable[[Any], NDArray[Any]]


MEDIA = {
    "image": Medium(
        artifact="image", shape=(4, 4, 6), codec_network="vae", numbers=lambda output: np.array(output.images[0])
    ),
    "video": Medium(
        artifact="video", shape=(4, 6, 4, 6), codec_network="pictures.vae",
        numbers=lambda output: output.films[0].to_numpy(),
    ),
    "3d": Medium(
        artifact="object", shape=(4, 4, 4, 4), codec_network="vae", numbers=lambda output: output.views[0].images
    ),
    "audio": Medium(
        artifact="audio", shape=(6, 8), codec_network="vae", numbers=lambda output: output.audios[0].samples
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=sorted(MEDIA))
def modality(request: pytest.FixtureRequest) -> Modality:
    """Each one, as its package declares it."""
    return installed_modalities()[request.param]


@pytest.fixture(scope="module")
def medium(modality: Modality) -> Medium:
    """Its row in the table above."""
    return MEDIA[modality.name]


@pytest.fixture(scope="module")
def pipe(modality: Modality) -> Any:
    """The tiny pipeline in its package's ``testing`` module."""
    package, _, _ = modality.pipeline.partition(".")
    return load_object(f"{package}.testing:random_pipeline")()


@pytest.fixture(scope="module")
def saved(pipe: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline as a model folder."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder


def precisions(pipe: Any, medium: Medium) -> set[torch.dtype]:
    """Of all weights."""
    parts = pipe.components
    networks = (parts.model, parts.text_encoder, attrgetter(medium.codec_network)(parts.codec))
    return {parameter.dtype for network in networks for parameter in network.parameters()}


def refuses(pipe: Any, error: type[Exception], says: str, **arguments: Any) -> None:
    """Proves that a call with these arguments raises that error, in one line."""
    with pytest.raises(error, match=says) as caught:
        pipe(**{"prompt": PROMPT, **arguments})
    assert "\n" not in str(caught.value)


def test_every_modality_is_held_to_this() -> None:
    """None that is installed is left out."""
    assert sorted(installed_modalities()) == sorted(MEDIA)


def test_the_pipeline_is_the_modalitys_own(modality: Modality, pipe: Any) -> None:
    """What is tested here is the class that the entry point leads to."""
    assert type(pipe) is load_object(modality.pipeline)


def test_latents_in_and_out(pipe: Any, medium: Medium) -> None:
    """The seed's own noise as latents gives what the seed gives; the report says whether latents were given."""
    noise = torch.stack([latent_noise(medium.shape, seed=9, index=index) for index in (0, 1)])
    two = {f"num_{medium.artifact}s_per_prompt": 2}
    given, drawn = pipe(PROMPT, latents=noise, **two), pipe(PROMPT, seed=9, **two)
    assert given.latents.shape == (2, *medium.shape)
    torch.testing.assert_close(given.latents, drawn.latents)
    assert (given.report.settings["from_latents"], drawn.report.settings["from_latents"]) == (True, False)
    assert (given.report.settings["seeds"], drawn.report.settings["seeds"]) == ([None] * 2, [9] * 2)


def test_latents_leave_a_stochastic_solver_its_seed(pipe: Any, medium: Medium) -> None:
    """The noise that it adds on the way comes from the seed, which can be given beside latents and makes them again."""
    start = torch.zeros(1, *medium.shape)
    outputs = [pipe(PROMPT, latents=start, solver="sde-heun", seed=seed) for seed in (1, 1, 2)]
    assert [output.report.settings["seeds"] for output in outputs] == [[1], [1], [2]]
    first, again, other = (output.latents for output in outputs)
    torch.testing.assert_close(first, again)
    assert not torch.allclose(first, other, atol=1e-2)


def test_drawn_seeds_differ(pipe: Any) -> None:
    """Without a seed each prompt of each call gets its own."""
    seeds = [seed for _ in range(3) for seed in pipe([PROMPT, PROMPT]).report.settings["seeds"]]
    assert len(set(seeds)) == 6


def test_callback_sees_every_step_and_cancels(pipe: Any, medium: Medium) -> None:
    """It gets (pipeline, step, time, latents) as in diffusers; CancelledError from it ends the call."""
    seen: list[tuple[Any, int, float, torch.Size]] = []

    def look(pipeline: Any, step: int, t: float, state: dict[str, Tensor]) -> None:
        seen.append((pipeline, step, t, state["latents"].shape))
        if step == 1:
            raise CancelledError("stop")

    with pytest.raises(CancelledError):
        pipe([PROMPT, PROMPT], num_inference_steps=4, callback_on_step_end=look)
    shape = torch.Size((2, *medium.shape))
    assert seen == [(pipe, 0, 0.25, shape), (pipe, 1, 0.5, shape)]


def test_report_and_strict(pipe: Any) -> None:
    """A prompt too long is told, and an error under strict."""
    assert "dropped" in pipe(LONG_PROMPT).report.deviations[0]
    with pytest.raises(StrictError, match="dropped"):
        pipe(LONG_PROMPT, strict=True)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({"prompt": ""}, ConfigError, "expected a prompt"),
        ({"prompt": ["a", " "]}, ConfigError, "expected a prompt"),
        ({"prompt": []}, ConfigError, "at least one prompt"),
        ({"prompt": 5}, ConfigError, "expected a prompt that says what to make, got 5"),
        ({"num_inference_steps": 0}, ConfigError, "num_inference_steps"),
        ({"num_inference_steps": -1}, ConfigError, "num_inference_steps"),
        ({"guidance_scale": float("nan")}, ConfigError, "guidance_scale"),
        ({"guidance_scale": 3e38}, FlagDiTError, "finite"),
        ({"solver": "magic"}, ConfigError, "the solvers are euler"),
        ({"seed": -1}, ConfigError, "seed"),
        ({"seed": [1, 2]}, ConfigError, "one seed, a whole number, or one for each of the 1 prompts"),
        ({"seed": 1.5}, ConfigError, "one seed, a whole number, .* got 1.5"),
        ({"negative_prompt": ["a", "b"]}, ConfigError, "one negative_prompt"),
        ({"negative_prompt": 5}, ConfigError, "one negative_prompt, .* got 5"),
        ({"negative_prompt": [5]}, ConfigError, "expected a text, got 5"),
        ({"negative_prompt": "a", "guidance_scale": 1.0}, ConfigError, "does nothing"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: dict[str, Any], error: type[Exception], says: str, pipe: Any) -> None:
    """Each mistake raises our error with one line that says what was expected."""
    refuses(pipe, error, says, **arguments)


def test_wrong_counts_and_numbers_are_one_line(pipe: Any, medium: Medium) -> None:
    """The two arguments that are called after what is made are whole numbers of at least 1 and 0."""
    for name, value in ((f"num_{medium.artifact}s_per_prompt", 0), (f"first_{medium.artifact}_index", -1)):
        refuses(pipe, ConfigError, name, **{name: value})


def test_wrong_latents_are_one_line(pipe: Any, medium: Medium) -> None:
    """They have the shape of what is made, in each axis, and take the place of a seed."""
    right = (1, *medium.shape)
    for axis, length in enumerate(right):
        wrong = torch.zeros(*right[:axis], length + 1, *right[axis + 1 :])
        refuses(pipe, ShapeError, re.escape(str(right)), latents=wrong)
    refuses(pipe, ConfigError, "one of them", latents=torch.zeros(right), seed=1)


def test_unknown_arguments_raise(pipe: Any) -> None:
    """A misspelt argument is never ignored."""
    with pytest.raises(TypeError, match="guidence"):
        pipe(PROMPT, guidence=3)


def test_save_and_load_give_the_identical_output(pipe: Any, medium: Medium, saved: Path) -> None:
    """A saved pipeline, loaded by the ordinary code, makes the same bit for bit, with the same defaults."""
    loaded = type(pipe).from_pretrained(saved)
    assert type(loaded.components.codec) is type(pipe.components.codec)
    assert loaded.components.sampling == pipe.components.sampling
    assert loaded.components.defaults == pipe.components.defaults
    one, other = (each(PROMPT, seed=3) for each in (loaded, pipe))
    assert torch.equal(one.latents, other.latents)
    assert np.array_equal(medium.numbers(one), medium.numbers(other))


def test_to_moves_all_parts_and_the_noise_stays(pipe: Any, medium: Medium, saved: Path) -> None:
    """Weights change their precision in every part; in bfloat16 the output differs by rounding only."""
    loaded = type(pipe).from_pretrained(saved, dtype=torch.bfloat16)
    assert precisions(loaded, medium) == {torch.bfloat16}
    half = loaded(PROMPT, seed=2)
    for arguments in ((torch.float32,), ("cpu", torch.bfloat16), (None, torch.float32)):
        assert loaded.to(*arguments) is loaded
        assert precisions(loaded, medium) == {arguments[-1]}
    with pytest.raises(ConfigError, match="a device and a dtype"):
        loaded.to(torch.float32, torch.bfloat16)
    for each in (pipe, loaded):
        whole = each(PROMPT, seed=2)
        assert half.latents.dtype == whole.latents.dtype == torch.float32
        assert medium.numbers(half).dtype == medium.numbers(whole).dtype
        assert 0 < (whole.latents - half.latents).abs().mean() < 0.1 * whole.latents.abs().mean()


def test_a_folder_of_another_pipeline_is_refused(pipe: Any, tmp_path: Path) -> None:
    """The class in model_index.json decides."""
    (tmp_path / "model_index.json").write_text('{"_class_name": "OtherPipeline"}')
    expected = f"holds the pipeline OtherPipeline, expected {type(pipe).__name__}"
    with pytest.raises(CheckpointError, match=expected):
        type(pipe).from_pretrained(tmp_path)
