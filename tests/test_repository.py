"""Rules for the repository as a whole: arrows between packages, the shape of files, and nothing of anyone's machine."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("packages", "tests", "benchmarks", "studies", "docs", "examples", ".ci")
TEXT = {".py", ".md", ".toml", ".txt", ".yaml", ".json", ".jsonl", ".cfg", ".ini", ""}
FOUND = [*ROOT.glob("*.*"), ROOT / "Makefile", *(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/*"))]
FILES = [path for path in FOUND if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts]
SOURCES = [path for path in FILES if path.suffix == ".py"]
PROJECTS = sorted(ROOT.glob("packages/*/pyproject.toml"))
# Where people and machines keep things: no such place is the same elsewhere.
ABSOLUTE = re.compile(r"(?<![\w./:~>-])/(?:home|root|Users|work|workspace|mnt|opt|data|scratch)/\w")


def test_there_is_something_to_check() -> None:
    """The collections that the tests below walk through are the repository's."""
    assert len(SOURCES) > 100
    assert len(PROJECTS) == 6
    assert ROOT / ".ci" / "run" in FILES


def test_arrows() -> None:
    """Kernels know nothing of core, core nothing of the modalities, and these nothing of one another."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "0 broken" in result.stdout


def test_no_absolute_paths() -> None:
    """No file names a place on the machine where it was written."""
    found = {str(path.relative_to(ROOT)): ABSOLUTE.findall(path.read_text(encoding="utf-8")) for path in FILES}
    assert {name: places for name, places in found.items() if places} == {}


def test_an_absolute_path_is_seen() -> None:
    """The pattern above finds such places, and lets links and paths inside the repository pass."""
    assert ABSOLUTE.search("read " + "/home" + "/me/model") and ABSOLUTE.search("'" + "/opt" + "/wheels'")
    assert not ABSOLUTE.search("https://example.org/data/x tests/data/parity ../data/x ~/work/x")


def test_file_names() -> None:
    """A file is named for what is in it."""
    assert [path for path in SOURCES if path.stem in {"utils", "util", "helpers", "misc", "common"}] == []


def test_file_lengths() -> None:
    """A file is short enough to be read; Triton's may be longer."""
    lengths = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES}
    assert [path for path, length in lengths.items() if length > (700 if path.name == "triton.py" else 500)] == []


@pytest.mark.parametrize("path", PROJECTS, ids=lambda path: path.parent.name)
def test_packages_agree(path: Path) -> None:
    """A package has what a release needs: typed, licensed, described, and pinned to the others' same version."""
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    module = project["name"].replace("-", "_")
    assert project["name"] == path.parent.name
    for name in ("README.md", "CHANGELOG.md", "LICENSE", f"src/{module}/py.typed", f"src/{module}/__init__.py"):
        assert path.with_name("src").parent.joinpath(name).is_file(), name
    for requirement in project.get("dependencies", []):
        if requirement.startswith(("flagdit-", "lumina-")):
            assert requirement.endswith(f"=={project['version']}")
    assert f"## {project['version']}" in path.with_name("CHANGELOG.md").read_text(encoding="utf-8")
