"""One network on four modalities: whose turn it is, and the recipe in two updates of each."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from flagdit_core.errors import ConfigError
from flagdit_core.pipeline import weights_digest
from flagdit_core.recipes import Medium, Part, Stage, TextEncoderRecipe
from flagdit_core.training import Batch
from flagdit_core.training.processes import ALONE, Processes
from lumina_3d import ObjectPipeline
from lumina_audio import AudioPipeline
from lumina_image import ImagePipeline
from lumina_video import VideoPipeline
from studies.one_model import recipe
from studies.one_model.media import MEDIA, SOUND_ROWS
from studies.one_model.mixture import Mixture, Ration, seen, turn
from studies.one_model.recipe import ONE_MODEL, RATIONS, TINY, OneModelRecipe, tiny

THIRDS = {"often": Ration(updates=2.0), "rarely": Ration(examples=0.25)}


class Named:
    """Batches that say where they are from."""

    def __init__(self, name: str) -> None:
        self._name = name

    def batch(self, step: int, *, batch_size: int, seed: int) -> Batch:
        """Captions of the source's name and the step."""
        return Batch(latents=torch.zeros(batch_size, 1), captions=[f"{self._name} {step} {seed}"] * batch_size)


def test_each_batch_is_of_one_source() -> None:
    """A batch is what the step's source gives for the step, as large as its ration says."""
    mixture = Mixture({name: Named(name) for name in THIRDS}, THIRDS)
    sizes = {"often": 8, "rarely": 2}
    for step in range(20):
        name = turn(THIRDS, step, seed=3)
        assert mixture.batch(step, batch_size=8, seed=3).captions == [f"{name} {step} 3"] * sizes[name]
    assert mixture.batch(turns_of("rarely")[0], batch_size=2, seed=3).captions == [f"rarely {turns_of('rarely')[0]} 3"]


def turns_of(name: str) -> list[int]:
    """Steps of a source."""
    return [step for step in range(100) if turn(THIRDS, step, seed=3) == name]


def test_updates_follow_the_rations() -> None:
    """A source with twice the ration gets about twice the updates; what was seen counts them and their examples."""
    counted = seen(THIRDS, 3000, batch_size=8, seed=0)
    updates = {name: count for name, (count, _) in counted.items()}
    assert sum(updates.values()) == 3000 and 1850 < updates["often"] < 2150
    assert counted["often"][1] == 8 * updates["often"] and counted["rarely"][1] == 2 * updates["rarely"]
    assert seen(THIRDS, 3000, batch_size=8, seed=1) != counted


def test_the_recipe_agrees_with_itself() -> None:
    """One network fits all codecs, what is learnt is what is sampled, and batches are those of the single models."""
    assert {name: ration.of(ONE_MODEL.training.batch_size) for name, ration in RATIONS.items()} == {
        "picture": 64,
        "film": 24,
        "object": 16,
        "sound": 64,
    }
    for medium in MEDIA.values():
        assert len({part.kind.shape for stage in medium.stages for part in stage.parts}) == 1
        assert sum(stage.steps for stage in medium.stages) == ONE_MODEL.training.num_steps
    assert (MEDIA["sound"].sampling.training_shape, SOUND_ROWS) == ((1, 2, 50), 2)
    with pytest.raises(ConfigError, match="a ration of each of picture, got picture, film"):
        replace(ONE_MODEL, media={"picture": MEDIA["picture"]})


def _in_four_updates(folder: Path) -> OneModelRecipe:
    """The tiny recipe with two examples and, at these turns, one update of each medium."""
    first = next(seed for seed in range(1000) if {turn(RATIONS, step, seed=seed) for step in range(4)} == set(RATIONS))
    parts = {name: medium.stages[0].parts[0] for name, medium in TINY.media.items()}
    return replace(
        TINY,
        output_dir=folder,
        text_encoder=TextEncoderRecipe(num_layers=1, captions=200),
        media={
            name: replace(
                medium,
                stages=(Stage(steps=4, parts=(Part(kind=parts[name].kind, examples=2),)),),
                sampling=medium.sampling.replace(num_inference_steps=1, guidance_scale=1.0),
            )
            for name, medium in TINY.media.items()
        },
        training=replace(
            TINY.training, num_steps=4, batch_size=4, warmup_steps=1, sample_every=4, checkpoint_every=4, seed=first
        ),
        sampled_prompts=1,
        device="cpu",
    )


def test_processes_share_the_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second of two processes encodes its share only, and leaves the codec that is folded to the first.

    Nothing is encoded where they cannot share each medium's batches.
    """
    second, shared, config = Processes(rank=1, size=2), list[Processes](), _in_four_updates(tmp_path)

    def encoded(self: Medium, folder: Path, *, processes: Processes = ALONE, **options: int) -> None:
        shared.append(processes)

    monkeypatch.setattr(recipe, "joined", lambda device: nullcontext(second))
    monkeypatch.setattr(recipe, "first_networks", Mock(return_value=(Mock(), Mock())))
    monkeypatch.setattr(recipe, "train", Mock(side_effect=InterruptedError))
    monkeypatch.setattr(Medium, "encoded", encoded)
    with pytest.raises(ConfigError, match="2 processes can share equally, got 1"):
        tiny(config)
    assert shared == []
    with pytest.raises(InterruptedError):
        tiny(replace(config, training=replace(config.training, batch_size=16)))
    assert shared == [second] * 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_from_nothing_to_four_pipelines(tmp_path: Path) -> None:
    """An update of each medium ends in four ordinary folders with the same network, each of which makes its own."""
    config = _in_four_updates(tmp_path)
    folder = tiny(config)
    picture = ImagePipeline.from_pretrained(folder / "image")("a red circle", seed=1)
    film = VideoPipeline.from_pretrained(folder / "video")("a red circle grows", seed=1)
    views = ObjectPipeline.from_pretrained(folder / "3d")("a red cube", seed=1)
    sound = AudioPipeline.from_pretrained(folder / "audio")("a low bell", seed=1)
    assert [output.latents.shape[1:] for output in (picture, film, views, sound)] == [
        (8, 16, 16), (8, 8, 8, 8), (8, 12, 8, 8), (8, 2, 50),
    ]  # fmt: skip
    assert sound.audios[0].seconds == 3.2
    for part in ("transformer", "text_encoder"):
        assert len({weights_digest(folder / name, part=part) for name in ("image", "video", "3d", "audio")}) == 1
    for name in RATIONS:
        assert (tmp_path / "samples" / name / "verified.csv").is_file()
