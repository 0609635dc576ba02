"""The built wheels: each package installs alone, with nothing but what it says it needs, and works from there."""

import importlib.metadata
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from email.parser import Parser
from functools import cache
from pathlib import Path

import pytest
import trimesh
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from lumina_audio import read_sound
from lumina_image.world import PictureWorld
from lumina_video import read_film

ROOT = Path(__file__).parents[1]
OURS = ("flagdit-kernels", "flagdit-core", "lumina-image", "lumina-video", "lumina-3d", "lumina-audio")
# What a package brings along of ours.
COMPANIONS = {
    "flagdit-kernels": {"flagdit-kernels"},
    "flagdit-core": {"flagdit-kernels", "flagdit-core"},
    **{name: {"flagdit-kernels", "flagdit-core", name} for name in OURS if name.startswith("lumina-")},
}
PROMPT = "a large red circle in the center on a white background"
MODEL_BYTES = 24_000_000

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A finished command with what it printed."""
    return subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=600)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The six wheels by distribution, as ``make dist`` builds them."""
    folder = tmp_path_factory.mktemp("dist")
    options = ("--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    built = run(sys.executable, "-m", "pip", "wheel", *options, *(f"./packages/{name}" for name in OURS))
    assert built.returncode == 0, built.stderr
    found = {path.name.split("-")[0].replace("_", "-"): path for path in folder.iterdir()}
    assert found.keys() == set(OURS)
    return found


@cache
def tops(name: str) -> set[Path]:
    """The top-level files and folders of an installed distribution."""
    distribution = importlib.metadata.distribution(name)
    names = {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    return {Path(str(distribution.locate_file(name))) for name in names}


def required_by(wheel_file: Path) -> list[str]:
    """What a wheel requires, with its markers."""
    with zipfile.ZipFile(wheel_file) as wheel:
        metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(wheel.read(metadata).decode()).get_all("Requires-Dist", [])


def third_party(wheel_files: dict[str, Path]) -> set[Path]:
    """Files and folders here that belong to what the wheels require, directly or not, with the extras asked for."""
    ours = {name: required_by(path) for name, path in wheel_files.items()}
    pending: list[tuple[str, tuple[str, ...]]] = [(line, ()) for lines in ours.values() for line in lines]
    found: set[Path] = set()
    seen: set[tuple[str, tuple[str, ...]]] = set()
    while pending:
        line, extras = pending.pop()
        requirement = Requirement(line)
        wanted = requirement.marker is None or any(requirement.marker.evaluate({"extra": e}) for e in (*extras, ""))
        name, extras = canonicalize_name(requirement.name), tuple(sorted(requirement.extras))
        if not wanted or (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name not in ours:
            found |= tops(name)
        inner = ours[name] if name in ours else importlib.metadata.requires(name) or ()
        pending += [(line, extras) for line in inner]
    return found


@pytest.fixture(scope="module")
def install(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Installs one of ours into an environment of its own, once, and returns that environment's ``bin``.

    Third-party packages are links to those of this environment, so that no index is needed; only the ones required.
    """

    @cache
    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        venv.create(folder / "env", with_pip=False)
        links = folder / "third-party"
        links.mkdir()
        for path in third_party({companion: wheels[companion] for companion in COMPANIONS[name]}):
            (links / path.name).symlink_to(path)
        (site,) = (folder / "env").glob("lib/python*/site-packages")
        (site / "third-party.pth").write_text(f"{links}\n", encoding="utf-8")
        source = ("--isolated", "--no-index", "--find-links", wheels[name].parent)
        python = folder / "env" / "bin" / "python"
        installed = run(sys.executable, "-m", "pip", "--python", python, "install", *source, name)
        assert installed.returncode == 0, installed.stderr
        return python.parent

    return make


@pytest.mark.parametrize("name", OURS)
def test_wheel_holds_one_package(name: str, wheels: dict[str, Path]) -> None:
    """A wheel has its package, typed, and its licence; no tests and nothing of the others."""
    module = name.replace("-", "_")
    with zipfile.ZipFile(wheels[name]) as wheel:
        names = wheel.namelist()
    assert {path.split("/")[0] for path in names} == {module, f"{module}-0.1.0.dist-info"}
    assert {f"{module}/py.typed", f"{module}-0.1.0.dist-info/licenses/LICENSE"} <= set(names)
    tests = [path for path in names if "/tests/" in path or Path(path).name.startswith(("test_", "conftest"))]
    assert not tests and not [path for path in names if path.endswith(".pyc")]


@pytest.mark.parametrize("name", [name for name in OURS if name.startswith("lumina-")])
def test_wheel_holds_the_model(name: str, wheels: dict[str, Path]) -> None:
    """All parts of a nano model are in the wheel of its modality, and stay under their limit."""
    with zipfile.ZipFile(wheels[name]) as wheel:
        sizes = {info.filename: info.file_size for info in wheel.infolist() if "/models/nano/" in info.filename}
    parts = {name.split("/models/nano/")[1].split("/")[0] for name in sizes}
    assert parts >= {"model_index.json", "text_encoder", "tokenizer", "transformer", "vae"}
    assert sum(sizes.values()) < MODEL_BYTES


@pytest.mark.parametrize("name", OURS)
def test_package_installs_alone(name: str, install: Callable[[str], Path]) -> None:
    """Installed from its wheel, a package brings only what it builds on, and its public names load without the rest."""
    code = f"""
import importlib.metadata
import {name.replace("-", "_")} as package
for public in getattr(package, "__all__", ()):
    getattr(package, public)
ours = {{entry.metadata["Name"] for entry in importlib.metadata.distributions()}}
print(*sorted(found for found in ours if found.startswith(("flagdit-", "lumina-"))))
"""
    result = run(install(name) / "python", "-c", code)
    assert result.returncode == 0, result.stderr
    assert set(result.stdout.split()) == COMPANIONS[name]


def test_command_without_modalities(install: Callable[[str], Path], tmp_path: Path) -> None:
    """Core alone has the command, which says what to install for a picture and writes nothing."""
    result = run(install("flagdit-core") / "lumina", "infer", PROMPT, "-o", "circle.png", cwd=tmp_path)
    assert result.returncode == 2
    assert "pip install lumina-image" in result.stderr
    assert not list(tmp_path.iterdir())


def test_picture_from_the_wheel(install: Callable[[str], Path], tmp_path: Path) -> None:
    """lumina-image alone, from its wheel, draws with its own model what the sentence says."""
    result = run(install("lumina-image") / "lumina", "infer", PROMPT, "-o", "circle.png", "--seed", "7", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "circle.png") as image:
        assert image.format == "PNG"
        verdict = PictureWorld().verify(image.convert("RGB"), PROMPT)
    assert verdict.passed, verdict


def test_film_from_the_wheel(install: Callable[[str], Path], tmp_path: Path) -> None:
    """lumina-video alone, from its wheel, makes a film with its own model, of the length asked for."""
    words = ("infer", "a large red circle grows", "-o", "grows.mp4", "--frames", "5", "--steps", "4", "--seed", "7")
    result = run(install("lumina-video") / "lumina", *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    film = read_film(tmp_path / "grows.mp4")
    assert film.to_numpy().shape == (5, 64, 64, 3)


def test_object_from_the_wheel(install: Callable[[str], Path], tmp_path: Path) -> None:
    """lumina-3d alone, from its wheel, makes a watertight mesh with its own model."""
    words = ("infer", "a large blue cone", "-o", "cone.glb", "--steps", "8", "--seed", "0")
    result = run(install("lumina-3d") / "lumina", *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert trimesh.load_mesh(tmp_path / "cone.glb").is_watertight


def test_sound_from_the_wheel(install: Callable[[str], Path], tmp_path: Path) -> None:
    """lumina-audio alone, from its wheel, makes a sound with its own model, of the length asked for."""
    words = ("infer", "a high beep", "-o", "beep.wav", "--seconds", "1.6", "--steps", "4", "--seed", "0")
    result = run(install("lumina-audio") / "lumina", *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert read_sound(tmp_path / "beep.wav").seconds == 1.6
