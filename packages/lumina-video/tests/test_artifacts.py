"""Film files are what their endings say, carry their settings, keep their times, and appear whole or not at all."""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from flagdit_core.errors import CodecError, ConfigError, ShapeError
from flagdit_core.film_files import ENDINGS, read_film_metadata
from lumina_video import Film, join, read_film, save_film
from lumina_video.world import describe, draw, sample_scene, verify

SETTINGS = {"prompt": 'ein grüner Kreis "☃"\n', "seed": 2**63, "guidance_scale": 4.0, "sizes": [1, None]}


def _frames(count: int, *, width: int = 64, height: int = 48, seed: int = 0) -> npt.NDArray[np.uint8]:
    """A film of the world."""
    return draw(sample_scene(np.random.default_rng(seed), category="moving"), count, width, height)


@dataclass(frozen=True, kw_only=True)
class MadeFrames:
    """Frames that are made as they are asked for; ``alive`` counts those that somebody still holds."""

    count: int
    alive: list[int]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        references: list[weakref.ref[npt.NDArray[np.uint8]]] = []
        for number in range(self.count):
            frame = np.full((32, 32, 3), number % 256, dtype=np.uint8)
            references.append(weakref.ref(frame))
            yield frame
            del frame
            self.alive.append(sum(reference() is not None for reference in references))


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "A.MP4"])
def test_round_trip(name: str, tmp_path: Path) -> None:
    """The file is of the format that its ending says, with the frames, the rate and the settings in it."""
    path, frames = tmp_path / name, _frames(10)
    save_film(Film(frames=frames, fps=8.0), path, SETTINGS)
    assert read_film_metadata(path) == SETTINGS
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = stream.codec_context.name.removeprefix("lib"), (stream.width, stream.height)
    codec = {"mp4": "h264", "webm": "vp9", "gif": "gif"}[path.suffix[1:].lower()]
    assert found in ((codec, (64, 48)), (f"{codec}-vp9", (64, 48)), ("vpx-vp9", (64, 48)))
    film = read_film(path)
    assert film.fps == pytest.approx(8.0) and len(film.frames) == 10
    difference = np.abs(film.to_numpy().astype(int) - frames)
    assert difference.mean() < (0.5 if codec == "gif" else 4)
    assert [child.name for child in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("ending", ENDINGS)
def test_colors_are_kept(ending: str, tmp_path: Path) -> None:
    """Flat colours come back to within a few levels, by the matrix that the file itself names."""
    colors = np.array([(214, 39, 40), (40, 160, 60), (35, 80, 215), (250, 150, 195), (128, 128, 128)], dtype=np.uint8)
    frames = np.broadcast_to(colors[:, None, None], (5, 32, 32, 3))
    save_film(Film(frames=frames, fps=4.0), tmp_path / f"a{ending}", {})
    found = read_film(tmp_path / f"a{ending}").to_numpy()[:, 16, 16]
    assert np.abs(found.astype(int) - colors).max() <= 4
    if ending != ".gif":
        with av.open(str(tmp_path / f"a{ending}")) as container:
            assert next(container.decode(video=0)).colorspace == 1  # Rec. 709


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("fps", [0.01, 7.77, 24000 / 1001, 30.0, 50.0])
def test_times(ending: str, fps: float, tmp_path: Path) -> None:
    """Rates come back, and a film lasts as long as it should: a GIF's hundredths of a second do not add up."""
    save_film(Film(frames=_frames(30), fps=fps), tmp_path / f"a{ending}", {})
    film = read_film(tmp_path / f"a{ending}")
    assert film.fps == pytest.approx(fps, rel=0.005) and len(film.frames) == 30
    with av.open(str(tmp_path / f"a{ending}")) as container:
        assert container.duration / av.time_base == pytest.approx(30 / fps, abs=0.02)


@pytest.mark.parametrize("ending", ENDINGS)
def test_frames_that_repeat_are_kept(ending: str, tmp_path: Path) -> None:
    """A film that stands still has all its frames, and so has one of a single frame."""
    for count in (1, 6):
        still = np.repeat(_frames(2)[:1], count, axis=0)
        save_film(Film(frames=still, fps=4.0), tmp_path / f"a{ending}", {})
        film = read_film(tmp_path / f"a{ending}")
        assert (len(film.frames), film.fps) == (count, 4.0)


def test_a_gif_moves_in_pillow_too(tmp_path: Path) -> None:
    """Another reader finds every frame, its time, the endless loop and the right pixels."""
    frames = _frames(5)
    save_film(Film(frames=frames, fps=4.0), tmp_path / "a.gif", {"long": "x" * 1000})
    with Image.open(tmp_path / "a.gif") as image:
        assert image.n_frames == 5 and image.info["loop"] == 0 and image.info["duration"] == 250
        image.seek(4)
        assert np.abs(np.asarray(image.convert("RGB"), dtype=int) - frames[4]).mean() < 0.5
    assert read_film_metadata(tmp_path / "a.gif") == {"long": "x" * 1000}


@pytest.mark.parametrize("ending", [".mp4", ".webm", ".gif"])
def test_the_verifier_still_sees_what_the_film_shows(ending: str, tmp_path: Path) -> None:
    """Films whose places, contrasts and turns matter pass through a file and are judged as before."""
    generator = np.random.default_rng(5)
    for category in ("moving", "fading", "turning"):
        scene = sample_scene(generator, category=category)
        save_film(Film(frames=draw(scene, 8, 64, 64), fps=8.0), tmp_path / f"a{ending}", {})
        assert verify(read_film(tmp_path / f"a{ending}"), describe(scene)).passed


@pytest.mark.parametrize("ending", ENDINGS)
def test_writing_and_reading_stream(ending: str, tmp_path: Path) -> None:
    """However long the film, no more than a few of its frames are held while it is written."""
    alive: list[int] = []
    save_film(Film(frames=MadeFrames(count=120, alive=alive), fps=30.0), tmp_path / f"a{ending}", {})
    assert len(alive) == 120 and max(alive) <= 2
    frames = iter(read_film(tmp_path / f"a{ending}").frames)
    held = [weakref.ref(next(frames)) for _ in range(60)]
    assert sum(reference() is not None for reference in held) <= 1


def test_odd_sizes_are_for_gif(tmp_path: Path) -> None:
    """GIF holds sides that the others refuse, and those leave no file."""
    film = Film(frames=_frames(3, width=35, height=33), fps=8.0)
    save_film(film, tmp_path / "a.gif", {})
    assert read_film(tmp_path / "a.gif").to_numpy().shape == (3, 33, 35, 3)
    with pytest.raises(ShapeError, match="35x33"):
        save_film(film, tmp_path / "a.mp4", {})
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


def test_films_without_frames_or_rate() -> None:
    """A film has a frame and goes forward."""
    with pytest.raises(ConfigError, match="at least one frame"):
        Film(frames=_frames(2)[:0], fps=8.0)
    for fps in (0.0, -1.0, float("nan"), float("inf"), "8"):
        with pytest.raises(ConfigError, match="above 0"):
            Film(frames=_frames(2), fps=fps)
    assert Film(frames=_frames(6), fps=4.0).seconds == 1.5


def test_films_are_joined() -> None:
    """One film and then another, but for the frames that both have, at the second one's rate; more are refused."""
    before, after = Film(frames=_frames(4), fps=8.0), Film(frames=_frames(3, seed=1), fps=5.0)
    both = join(before, after, overlap=2)
    assert np.array_equal(both.to_numpy(), [*before.frames, *after.frames[2:]])
    assert (len(both.frames), both.fps) == (5, 5.0)
    for overlap in (-1, 4, 1.0, True):
        with pytest.raises(ConfigError, match=f"overlap of 0 to 3 frames, as many as either film has, got {overlap}"):
            join(before, after, overlap=overlap)


@pytest.mark.parametrize("ending", ENDINGS)
def test_damaged_films_are_named(ending: str, tmp_path: Path) -> None:
    """Missing files, texts and halves of films raise one line with their name, also where FFmpeg would make do."""
    path = tmp_path / f"half{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    save_film(Film(frames=noise, fps=8.0), path, {})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / f"text{ending}").write_text("no film")
    for name in ("none", "text", "half"):
        with pytest.raises(CodecError, match=rf"{name}{ending}") as caught:
            read_film(tmp_path / f"{name}{ending}")
        assert "\n" not in str(caught.value)


def test_a_gif_damaged_in_its_middle_is_named(tmp_path: Path) -> None:
    """FFmpeg makes do with what it finds; its blocks tell. Bytes after the end are of no account."""
    path = tmp_path / "a.gif"
    save_film(Film(frames=_frames(12), fps=8.0), path, {})
    data = bytearray(path.read_bytes())
    path.write_bytes(data + b"\0made by hand")
    assert len(read_film(path).frames) == 12
    for place in range(len(data) // 2, len(data) // 2 + 400):
        data[place] ^= 0x5A
    path.write_bytes(data)
    with pytest.raises(CodecError, match=r"a\.gif is damaged: it breaks off"):
        read_film(path)


def test_a_name_with_a_colon_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """FFmpeg would look for a protocol of that name."""
    monkeypatch.chdir(tmp_path)
    save_film(Film(frames=_frames(2), fps=8.0), "film:1.mp4", {})
    assert len(read_film("film:1.mp4").frames) == 2


def test_sound_is_no_film(tmp_path: Path) -> None:
    """A file that FFmpeg opens but that has no pictures is refused."""
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(CodecError, match="has no pictures"):
        read_film(tmp_path / "a.mp4")


def test_films_filmed_sideways_are_turned(tmp_path: Path) -> None:
    """What a phone stores lying and marks as turned is read upright."""
    upright = _frames(3)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "10"})
        stream.pix_fmt, stream.width, stream.height = "yuv420p", 48, 64
        stream.set_display_rotation(90)
        for frame in upright:
            lying = np.ascontiguousarray(np.rot90(frame, -1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(lying, format="rgb24")))
        container.mux(stream.encode())
    found = read_film(tmp_path / "a.mp4").to_numpy()
    assert found.shape == upright.shape
    assert np.abs(found.astype(int) - upright).mean() < 5
