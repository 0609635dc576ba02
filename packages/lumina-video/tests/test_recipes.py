"""The recipes' data: encoded films of the world, and folders of films."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flagdit_core.errors import ConfigError, DataError, OutputError
from flagdit_core.recipes import EncodedWorld, TextEncoderRecipe, encode_shards, wanted_shards
from lumina_video import Film, VideoPipeline, save_film
from lumina_video.codec import FrameCodec, load_codec, to_pixels
from lumina_video.recipes.films import FilmKind, encode_films, film_stage
from lumina_video.recipes.folder import FolderRecipe, folder, read_pixels
from lumina_video.recipes.tiny import TINY, tiny
from lumina_video.recipes.vae import random_frames
from lumina_video.world import draw, parse, sample_scene

STAGE = film_stage(
    steps=3, films={"moving": 3, "two objects": 3}, shares={"moving": 1.0, "two objects": 0.5}, num_frames=7
)
READ = {"multiple": 16, "max_pixels": 64 * 64, "max_frames": 8, "fps": 8.0, "stride": 1}


@pytest.fixture(scope="module")
def vae(frame_codec: FrameCodec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny VAE as a folder."""
    path = tmp_path_factory.mktemp("codec") / "vae"
    frame_codec.save_pretrained(path)
    return path


def _film(path: Path, count: int = 8, *, size: tuple[int, int] = (48, 32), fps: float = 8.0) -> np.ndarray:
    """A lossless enough film: frame k is of level 20 k."""
    levels = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.uint8(20)
    frames = np.broadcast_to(levels, (count, size[1], size[0], 3))
    save_film(Film(frames=frames, fps=fps), path, {})
    return frames


def _levels(pixels: torch.Tensor) -> list[int]:
    """Which frame each one of ``_film`` was."""
    return ((pixels.mean(dim=(0, 2, 3)) + 1) * 127.5 / 20).round().int().tolist()


def test_encoded_world(vae: Path, tmp_path: Path) -> None:
    """Batches are pure functions of their step; latents are those of the film that the captions tell of."""
    shards = wanted_shards((STAGE,), seed=3)
    assert [shard.kind.name for shard in shards] == ["64x64x7-moving", "64x64x7-two-objects"]
    encode_shards(shards, encode_films, vae, tmp_path, workers=1)
    world, again = (EncodedWorld((STAGE,), tmp_path, seed=3) for _ in range(2))
    one, other = (source.batch(1, batch_size=5, seed=0) for source in (world, again))
    assert isinstance(one.latents, torch.Tensor) and isinstance(other.latents, torch.Tensor)
    assert one.latents.shape == (5, 4, 7, 8, 8)
    assert torch.equal(one.latents, other.latents) and one.captions == other.captions
    assert world.batch(1, batch_size=5, seed=1).captions != one.captions
    kind = shards[0].kind
    assert isinstance(kind, FilmKind)
    latents, captions = encode_films(kind, 1, np.random.default_rng(5), vae)
    scene = sample_scene(np.random.default_rng(5), category="moving")
    film = to_pixels(torch.from_numpy(draw(scene, 7, 64, 64)))
    assert torch.equal(latents, load_codec(vae, dtype=torch.bfloat16).encode(film))
    assert {parse(caption).facts for caption in captions[0]} == {scene.claims.facts}


def test_kinds_tell_what_a_pipeline_of_theirs_makes() -> None:
    """Defaults are the film's, and kinds of one size and length share batches, others do not."""
    kinds = [part.kind for part in STAGE.parts]
    assert kinds[0].defaults == {"width": 64, "height": 64, "num_frames": 7, "fps": 4.0}
    assert kinds[0].shape == kinds[1].shape and kinds[0].seed != kinds[1].seed
    assert replace(kinds[0], num_frames=9).shape != kinds[0].shape


def test_vae_pictures() -> None:
    """The VAE learns from frames in [-1, 1], each of another film, and is judged by held-out ones."""
    frames = random_frames(np.random.default_rng(0), 3, 32)
    assert frames.shape == (3, 3, 32, 32) and float(frames.abs().max()) <= 1
    assert torch.equal(frames, random_frames(np.random.default_rng(0), 3, 32))
    assert len({frame.numpy().tobytes() for frame in frames}) == 3
    assert not torch.equal(frames, random_frames(np.random.default_rng(0), 3, 32, held_out=True))


def test_tiny_recipe(vae: Path, tmp_path: Path) -> None:
    """From nothing to a model folder that makes films of the recipe's size, with samples and the verifier's counts."""
    config = replace(
        TINY,
        output_dir=tmp_path / "run",
        codec=vae,
        model=replace(TINY.model, in_channels=4),
        text_encoder=TextEncoderRecipe(num_layers=1, captions=50),
        stages=(film_stage(steps=2, films={"moving": 4}, shares={"moving": 1.0}, side=32, num_frames=7),),
        training=replace(TINY.training, num_steps=2, batch_size=2, warmup_steps=1, sample_every=2, checkpoint_every=2),
        sampling=TINY.sampling.replace(num_inference_steps=1),
        sampled_prompts=2,
    )
    film = VideoPipeline.from_pretrained(tiny(config))("a red circle moves up", seed=1, num_inference_steps=1).films[0]
    assert film.to_numpy().shape == (7, 32, 32, 3) and film.fps == 4.0
    names = {path.name for path in (tmp_path / "run" / "samples").iterdir()}
    assert names == {"step-000002.png", "verified.csv"}
    with pytest.raises(OutputError, match="already there"):
        tiny(config)


def test_films_keep_their_shape(tmp_path: Path) -> None:
    """Frames are read whole: scaled to the nearest sides the network reads, down to the area, never cropped."""
    _film(tmp_path / "wide.mp4", size=(200, 100))
    assert read_pixels(tmp_path / "wide.mp4", **READ).shape == (3, 8, 48, 96)
    frames = _film(tmp_path / "fits.gif", size=(48, 32))
    pixels = read_pixels(tmp_path / "fits.gif", **READ)
    assert np.array_equal(((pixels.permute(1, 2, 3, 0).numpy() + 1) * 127.5).round(), frames)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"max_frames": 3}, [0, 1, 2]),
        ({"fps": 4.0}, [0, 2, 4, 6]),
        ({"fps": 3.0}, [0, 2, 5]),
        ({"fps": 16.0, "max_frames": 5}, [0, 0, 1, 1, 2]),
        ({"fps": 0.01}, [0]),
        ({"stride": 4}, [0, 1, 2, 3, 4]),
        ({"stride": 4, "max_frames": 4}, [0]),
    ],
)
@pytest.mark.parametrize("ending", ["gif", "mp4"])
def test_times_are_kept(ending: str, changes: dict[str, float], expected: list[int], tmp_path: Path) -> None:
    """At another rate frames are left out or repeated; long films are cut, to what the codec can encode."""
    _film(tmp_path / f"a.{ending}")
    assert _levels(read_pixels(tmp_path / f"a.{ending}", **{**READ, **changes})) == expected


def test_folder_recipe(saved: Path, tmp_path: Path) -> None:
    """A folder of three shapes, two files damaged and skipped, trains into a model folder that makes other films."""
    data = tmp_path / "data"
    data.mkdir()
    sizes = {"a.mp4": (64, 32), "b.gif": (32, 64), "c.webm": (48, 48)}
    for name, size in sizes.items():
        _film(data / name, size=size)
    (data / "d.mp4").write_text("no film")
    (data / "e.webm").write_bytes((data / "c.webm").read_bytes()[:700])
    names = [*sizes, "d.mp4", "e.webm"]
    (data / "metadata.jsonl").write_text("\n".join(json.dumps({"file_name": n, "text": f"film {n}"}) for n in names))
    config = FolderRecipe(data=data, output_dir=tmp_path / "run", model=str(saved), on_error="skip", max_frames=5)
    config = replace(
        config, training=replace(config.training, num_steps=2, batch_size=5, learning_rate=1e-2, warmup_steps=0)
    )
    made = [VideoPipeline.from_pretrained(name)("a red circle", seed=1).latents for name in (saved, folder(config))]
    assert not torch.equal(*made)
    with pytest.raises(OutputError, match="already there"):
        folder(config, resume=True)
    with pytest.raises(DataError, match=r"[de]\.(mp4|webm)"):
        folder(replace(config, output_dir=tmp_path / "strict", on_error="raise"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [({"max_pixels": 100}, "max_pixels must be at least 256"), ({"fps": 0.0}, "fps must be above 0"),
     ({"max_frames": 0}, "max_frames at least 1")],
)  # fmt: skip
def test_settings_that_no_file_can_meet(changes: dict[str, float], says: str, pipe: VideoPipeline) -> None:
    """Impossible sizes, rates and lengths are refused before a file is read."""
    with pytest.raises(ConfigError, match=says):
        FolderRecipe(**changes).loader(pipe.components)
