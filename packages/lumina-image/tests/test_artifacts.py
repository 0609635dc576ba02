"""Picture files carry their settings, hold the right pixels, and appear whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from flagdit_core.errors import CodecError, ConfigError, OutputError, ShapeError
from lumina_image.artifacts import check_image_file, read_metadata, save_image

SETTINGS = {"prompt": 'ein grüner Kreis "☃"\n', "seed": 2**63, "guidance_scale": 4.0, "sizes": [1, None]}


@pytest.fixture
def image() -> Image.Image:
    """A smooth picture, which lossy formats keep well."""
    ramp = np.linspace(0, 255, 40)[None, :, None] * np.array([1.0, 0.5, 0.2]) * np.ones((24, 1, 1))
    return Image.fromarray(ramp.astype(np.uint8))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg", "a.webp", "A.PNG"])
def test_round_trip(name: str, image: Image.Image, tmp_path: Path) -> None:
    """The file is of the format that its ending says, with the picture and the settings in it."""
    path = tmp_path / name
    save_image(image, path, SETTINGS)
    assert read_metadata(path) == SETTINGS
    with Image.open(path) as opened:
        assert opened.format == {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}[path.suffix[1:].lower()]
        difference = np.abs(np.array(opened.convert("RGB"), dtype=int) - np.array(image, dtype=int))
    assert difference.mean() < (0.001 if path.suffix.lower() == ".png" else 3)
    assert [child.name for child in tmp_path.iterdir()] == [name]


def test_png_uses_the_standard_keywords(image: Image.Image, tmp_path: Path) -> None:
    """Other programs find the prompt under PNG's own keyword."""
    save_image(image, tmp_path / "a.png", SETTINGS)
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.info["Description"] == SETTINGS["prompt"]
        assert opened.info["Software"] == "lumina-image"


def test_a_failed_write_keeps_the_old_picture(
    image: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up in the middle leaves the old file whole, and nothing beside it."""
    save_image(image, tmp_path / "a.png", SETTINGS)
    old = (tmp_path / "a.png").read_bytes()

    def fill_up(self: Image.Image, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill_up)
    with pytest.raises(OutputError, match="No space left"):
        save_image(image, tmp_path / "a.png", SETTINGS)
    assert (tmp_path / "a.png").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_unknown_endings_list_the_known_ones(image: Image.Image, tmp_path: Path) -> None:
    """A wrong ending is refused before anything is written."""
    with pytest.raises(ConfigError, match=r"\.png, \.jpg, \.jpeg, \.webp"):
        save_image(image, tmp_path / "a.tiff", SETTINGS)
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_cannot_hold_is_refused(image: Image.Image, tmp_path: Path) -> None:
    """Sides past the format's limit are known early; settings too long for EXIF leave no file."""
    check_image_file(tmp_path / "a.png", width=20000, height=16)
    with pytest.raises(ShapeError, match="16383"):
        check_image_file(tmp_path / "a.webp", width=20000, height=16)
    with pytest.raises(OutputError, match=r"a\.jpg"):
        save_image(image, tmp_path / "a.jpg", {"prompt": "x" * 100_000})
    assert list(tmp_path.iterdir()) == []


def test_files_without_settings_are_named(image: Image.Image, tmp_path: Path) -> None:
    """A missing file, a text file and foreign pictures raise one line each."""
    image.save(tmp_path / "foreign.png")
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"\xff\xfe made elsewhere"
    image.save(tmp_path / "foreign.jpg", exif=exif)
    exif.get_ifd(0x8769)[0x9286] = "a text where the standard has bytes"
    image.save(tmp_path / "text.jpg", exif=exif)
    (tmp_path / "text.png").write_text("no picture")
    endless = PngInfo()
    endless.add_text("Comment", " " * 2**21, zip=True)
    image.save(tmp_path / "endless.png", pnginfo=endless)
    for name, says in (
        ("none.png", "there is no file"),
        ("text.png", "cannot be read"),
        ("endless.png", "cannot be read"),
        ("text.jpg", "carries no settings"),
        ("foreign.png", "carries no settings"),
        ("foreign.jpg", "carries no settings"),
    ):
        with pytest.raises(CodecError, match=says):
            read_metadata(tmp_path / name)
