"""Film files: what a format cannot hold, what goes wrong while writing, settings in them."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from flagdit_core.errors import CodecError, ConfigError, OutputError, ShapeError
from flagdit_core.film_files import ENDINGS, check_film_file, read_film_metadata, write_film

SETTINGS = {"prompt": 'ein grüner Kreis "☃"\n', "seed": 2**63, "guidance_scale": 4.0, "sizes": [1, None]}


def _frames(count: int, *, fails_at: int = -1) -> Iterator[npt.NDArray[np.uint8]]:
    """Plain pictures, from red to blue, made as they are asked for."""
    for number in range(count):
        if number == fails_at:
            raise RuntimeError("the decoder broke")
        level = round(255 * number / count)
        yield np.full((48, 64, 3), (255 - level, 0, level), dtype=np.uint8)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "A.MP4"])
def test_films_from_an_iterator(name: str, tmp_path: Path) -> None:
    """Frames that can be gone through once become a film with all of them, its rate and its settings."""
    write_film(_frames(10), tmp_path / name, fps=5.0, metadata=SETTINGS)
    assert read_film_metadata(tmp_path / name) == SETTINGS
    with av.open(str(tmp_path / name)) as container:
        found = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert container.duration / av.time_base == pytest.approx(2.0)
    assert np.abs(np.array(found).astype(int) - list(_frames(10))).max() <= 6
    assert [child.name for child in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "changes", "error", "says"),
    [
        ("a.avi", {}, ConfigError, r"ends in '.avi'; a film file ends in .mp4, .webm, .gif"),
        ("a", {}, ConfigError, "ends in ''"),
        ("a.mp4", {"width": 33}, ShapeError, "even sides, got 33x32; use .gif"),
        ("a.webm", {"height": 33}, ShapeError, "even sides"),
        ("a.mp4", {"width": 20000}, ShapeError, "at most 16384"),
        ("a.mp4", {"fps": 0.0}, ConfigError, "0.01 to 240 fps, got 0"),
        ("a.mp4", {"fps": float("nan")}, ConfigError, "got nan"),
        ("a.mp4", {"fps": float("inf")}, ConfigError, "got inf"),
        ("a.webm", {"fps": 1e-5}, ConfigError, "0.01 to 240"),
        ("a.gif", {"fps": 60.0}, ConfigError, "0.01 to 50 fps, got 60"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(
    name: str, changes: dict[str, float], error: type[Exception], says: str, tmp_path: Path
) -> None:
    """Each impossible ending, size and rate is known before anything is written."""
    with pytest.raises(error, match=says):
        check_film_file(tmp_path / name, **{"width": 32, "height": 32, "fps": 8.0, **changes})


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "odd", [np.zeros((32, 48, 3), np.uint8), np.zeros((48, 64), np.uint8), np.zeros((48, 64, 3), np.float32)]
)
def test_frames_of_another_kind_are_refused(ending: str, odd: npt.NDArray[np.uint8], tmp_path: Path) -> None:
    """A frame of another size would be scaled by the encoder without a word; nothing is left of such a film."""
    with pytest.raises(ShapeError, match=r"expected frames of uint8 \(48, 64, 3\), got .* as frame 2"):
        write_film([*_frames(2), odd], tmp_path / f"a{ending}", fps=5.0, metadata={})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_frames_are_no_film(ending: str, tmp_path: Path) -> None:
    """Nothing to write is one clear error, and no file."""
    with pytest.raises(ShapeError, match="at least one frame"):
        write_film(iter(()), tmp_path / f"a{ending}", fps=5.0, metadata=SETTINGS)
    assert not list(tmp_path.iterdir())


def test_files_without_settings_are_named(tmp_path: Path) -> None:
    """A missing file, a text and films made elsewhere raise one line each."""
    for ending in ENDINGS:
        (tmp_path / f"text{ending}").write_text("no film")
        for name, says in ((f"none{ending}", "there is no file"), (f"text{ending}", "cannot be read")):
            with pytest.raises(CodecError, match=says):
                read_film_metadata(tmp_path / name)
    with av.open(str(tmp_path / "foreign.mp4"), "w") as container:
        container.metadata["comment"] = '{"made": "elsewhere"}'
        stream = container.add_stream("libx264", rate=8)
        stream.pix_fmt, stream.width, stream.height = "yuv420p", 64, 48
        container.mux(stream.encode(av.VideoFrame.from_ndarray(next(_frames(2)), format="rgb24")))
        container.mux(stream.encode())
    Image.new("RGB", (8, 8)).save(tmp_path / "foreign.gif")
    for name in ("foreign.mp4", "foreign.gif"):
        with pytest.raises(CodecError, match="carries no settings"):
            read_film_metadata(tmp_path / name)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("fails_at", [1, 30])
def test_a_film_that_breaks_off_leaves_nothing(ending: str, fails_at: int, tmp_path: Path) -> None:
    """When a frame cannot be made, the old file is whole, the new one is gone, and the error is the decoder's."""
    path = tmp_path / f"a{ending}"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="the decoder broke"):
        write_film(_frames(60, fails_at=fails_at), path, fps=8.0, metadata={})
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_full_disk_leaves_nothing(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system or FFmpeg says of a file that cannot be written becomes one line of ours."""

    def fill_up(*_: object, **__: object) -> None:
        raise av.error.OSError(28, "No space left on device") if ending != ".gif" else OSError(28, "No space left")

    monkeypatch.setattr(*((av, "open") if ending != ".gif" else (Path, "open")), fill_up)
    with pytest.raises(OutputError, match=rf"cannot write .*a{ending}: No space left"):
        write_film(_frames(2), tmp_path / f"a{ending}", fps=8.0, metadata={})
    assert list(tmp_path.iterdir()) == []
