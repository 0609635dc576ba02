"""Picture files of users, sizes that a network can read, and PNG files with settings."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flagdit_core.errors import CodecError, ConfigError, DataError, OutputError
from flagdit_core.picture_files import fitted, fitting_size, on_white, read_picture, read_png_metadata, save_png


def test_what_is_clear_becomes_white(tmp_path: Path) -> None:
    """A transparent pixel is white whatever colour it hides, an opaque one stays, and the result is RGB."""
    Image.fromarray(np.array([[(255, 0, 0, 0), (10, 20, 30, 255)]], dtype=np.uint8)).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.mode == "RGB"
    assert np.array_equal(np.asarray(picture), [[(255, 255, 255), (10, 20, 30)]])


def test_pictures_taken_sideways_are_turned(tmp_path: Path) -> None:
    """What a camera stores lying and marks as turned is read upright."""
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees clockwise to view"
    Image.fromarray(np.array([[(255, 0, 0), (0, 0, 255)]], dtype=np.uint8)).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(np.asarray(read_picture(tmp_path / "a.png")), [[(255, 0, 0)], [(0, 0, 255)]])


def test_greys_of_sixteen_bits(tmp_path: Path) -> None:
    """They are scaled to eight, not cut off at white, in files and in memory; what has no such range is refused."""
    levels = np.array([[0, 255, 256, 32768, 65535]], dtype=np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    assert np.asarray(read_picture(tmp_path / "a.png"))[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    assert np.asarray(on_white(Image.fromarray(levels)))[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    with pytest.raises(ConfigError, match="expected 8 or 16 bits"):
        on_white(Image.fromarray(levels.astype(np.int32)))
    Image.fromarray(levels.astype(np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(DataError, match=r"a\.tiff cannot be read as a picture: expected 8 or 16 bits"):
        read_picture(tmp_path / "a.tiff")


def test_files_that_are_no_pictures_are_named(tmp_path: Path) -> None:
    """A missing file, a text, half a picture and one with a damaged block raise one line with their name."""
    (tmp_path / "text.png").write_text("no picture")
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)  # of several blocks
    Image.fromarray(noise).save(tmp_path / "half.png")
    data = (tmp_path / "half.png").read_bytes()
    (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "bent.png").write_bytes(b"?DAT".join(data.rsplit(b"IDAT", 1)))
    damaged = {"none.png": "there is no file", **dict.fromkeys(["text.png", "half.png", "bent.png"], "cannot be read")}
    for name, says in damaged.items():
        with pytest.raises(DataError, match=says) as caught:
            read_picture(tmp_path / name)
        assert name in str(caught.value)


@given(width=st.integers(1, 4000), height=st.integers(1, 4000), multiple=st.sampled_from([8, 16, 32]))
def test_fitting_sizes(width: int, height: int, multiple: int) -> None:
    """Sides are multiples, at least one; what fits already is kept; a large area comes down to about the limit."""
    across, down = fitting_size(width, height, multiple=multiple, max_pixels=128 * 128)
    assert across % multiple == down % multiple == 0 < min(across, down)
    assert across * down <= (128 + multiple) ** 2 or min(width, height) * 16 < max(width, height)
    if width % multiple == height % multiple == 0 and width * height <= 128 * 128:
        assert (across, down) == (width, height)


def test_pictures_are_fitted_whole() -> None:
    """A picture that does not fit is scaled, not cut; one that fits is the same object."""
    halves = Image.new("RGB", (400, 200), "red")
    halves.paste("blue", (200, 0, 400, 200))
    small = fitted(halves, multiple=16, max_pixels=128 * 128)
    assert small.size == (176, 96)
    assert [small.getpixel((column, 48)) for column in (4, 171)] == [(255, 0, 0), (0, 0, 255)]
    assert fitted(small, multiple=16, max_pixels=128 * 128) is small


def test_png_files_carry_settings(tmp_path: Path) -> None:
    """What is written is read back; other PNG files, texts and missing files raise one line with their name."""
    picture, settings = Image.new("RGB", (4, 3), "red"), {"prompt": "ein grüner Ton ☃\n", "seed": 2**63}
    save_png(picture, tmp_path / "a.png", settings)
    assert read_png_metadata(tmp_path / "a.png") == settings
    save_png(picture, tmp_path / "foreign.png")
    (tmp_path / "text.png").write_text("no picture")
    for name, says in (("none", "there is no file"), ("text", "cannot be read"), ("foreign", "carries no settings")):
        with pytest.raises(CodecError, match=says) as caught:
            read_png_metadata(tmp_path / f"{name}.png")
        assert f"{name}.png" in str(caught.value)
    with pytest.raises(OutputError, match="cannot write"):
        save_png(picture, tmp_path / "no" / "a.png")
