"""Every script in examples/ runs from the repository's root, and makes what it says."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from lumina_audio import read_sound
from lumina_video import read_film

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str) -> None:
    """Run a script as ``python examples/NAME`` does, in the present folder."""
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_sizes_and_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    """It writes pictures of four sizes and one of all, and reads back how one was made."""
    run("sizes_and_seeds.py")
    sizes = {Image.open(path).size for path in Path.cwd().glob("picture-*.png")}
    assert sizes == {(128, 128), (192, 96), (96, 192), (256, 256)}
    assert Image.open("sizes.png").width > 192 + 96 + 128 + 256
    assert "a blue star left of a yellow cross on black [7, 7] euler" in capsys.readouterr().out


@pytest.mark.slow
def test_gallery(capsys: pytest.CaptureFixture[str]) -> None:
    """It writes the README's picture, and says of each part whether it is right."""
    run("gallery.py")
    assert Image.open("gallery.png").width > 8 * 128
    assert "of 16 right" in capsys.readouterr().out


@pytest.mark.slow
def test_four_modalities() -> None:
    """It writes a film, a mesh and a sound that can be read back, and one picture of all."""
    run("four_modalities.py")
    assert len(read_film("film.mp4").to_numpy()) == 8
    assert trimesh.load_mesh("object.glb").is_watertight
    assert read_sound("sound.wav").seconds == 3.2
    assert Image.open("four.png").height > 4 * 128


def test_edit_by_inversion() -> None:
    """It writes the picture, the picture come back, and the edited one, which differ from one another."""
    run("edit_by_inversion.py")
    pictures = {name: Image.open(f"{name}.png").tobytes() for name in ("before", "again", "after")}
    assert len(set(pictures.values())) == 3


def test_extend_a_film() -> None:
    """Its four films are as long as they should be, the longer one begins with the first, and one picture shows all."""
    run("extend_a_film.py")
    films = {name: read_film(name).to_numpy() for name in ("film.mp4", "longer.mp4", "between.webm", "becoming.gif")}
    assert [len(frames) for frames in films.values()] == [8, 14, 8, 12]
    assert np.abs(films["longer.mp4"][:8].astype(int) - films["film.mp4"]).mean() < 2
    assert Image.open("films.png").width > 14 * 64


def test_object_from_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """The object is what the sentence says; all its files are there; the other one has the volume of its original."""
    run("object_from_a_sentence.py")
    assert "views True, mesh True" in capsys.readouterr().out
    names = {"cone.glb", "points.ply", "turntable.gif", "views", "capsule", "capsule.obj"}
    assert {path.name for path in Path.cwd().iterdir()} == names
    assert trimesh.load("cone.glb", force="mesh").is_watertight
    capsule = trimesh.creation.capsule(height=0.5, radius=0.25)  # 1 metre long, as files of objects are
    assert trimesh.load("capsule.obj").volume == pytest.approx(capsule.volume, rel=0.1)


@pytest.mark.slow
def test_train_a_network(capsys: pytest.CaptureFixture[str]) -> None:
    """The little network learns which label has which frequency."""
    run("train_a_network.py")
    assert "found [1, 1, 3, 3]" in capsys.readouterr().out


@pytest.mark.slow
def test_fifth_modality(capsys: pytest.CaptureFixture[str]) -> None:
    """After a short training the curves rise, fall and wave as the sentences say, at another length too."""
    run("fifth_modality.py")
    rising, falling, slow, fast = capsys.readouterr().out.strip().splitlines()
    assert "from -" in rising and "to +" in rising and "from +" in falling and "to -" in falling
    times = [int(re.search(r"mean (\d+) times", line)[1]) for line in (slow, fast)]
    assert times[0] <= 4 and times[1] >= 7
    assert all("; 72 values" in line for line in (rising, falling, slow, fast))


def test_all_examples_are_listed() -> None:
    """The folder's page lists every script; the recipe is run by the training page's snippet."""
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    scripts = {path.name for path in EXAMPLES.glob("*.py")}
    assert scripts == {
        "gallery.py",
        "sizes_and_seeds.py",
        "edit_by_inversion.py",
        "extend_a_film.py",
        "object_from_a_sentence.py",
        "train_a_network.py",
        "own_recipe.py",
        "four_modalities.py",
        "fifth_modality.py",
    }
    assert all(f"({name})" in page for name in scripts)
