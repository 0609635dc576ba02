"""``lumina train`` finds a recipe, sets its fields and runs it."""

from dataclasses import replace
from pathlib import Path

import pytest

from flagdit_core.cli import main
from flagdit_core.cli.recipes import find_recipe
from flagdit_core.errors import ConfigError
from flagdit_core.modalities import Modality

RECIPES = """
from dataclasses import dataclass
from pathlib import Path

@dataclass(frozen=True, kw_only=True)
class Schedule:
    rate: float = 0.1

@dataclass(frozen=True, kw_only=True)
class Settings:
    output_dir: Path = Path("runs")
    steps: int = 3
    schedule: Schedule = Schedule()

def good(config: Settings, *, resume: bool = False) -> Path:
    config.output_dir.mkdir(parents=True)
    (config.output_dir / "said").write_text(f"{config.steps} {config.schedule.rate} {resume}")
    return config.output_dir

def once(config: Settings) -> Path:
    return config.output_dir

def untyped(config):
    pass

def smaller(config: Settings = Settings(steps=1), *, resume: bool = False) -> Path:
    return good(config, resume=resume)

@dataclass(frozen=True, kw_only=True)
class Demanding:
    steps: int

def demanding(config: Demanding) -> None:
    pass

number = 3
"""


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_modality: Modality) -> str:
    """A module of recipes in the current folder, where only the command's own search finds it."""
    name = f"recipes_of_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(RECIPES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [path for path in __import__("sys").path if path])
    return name


def test_recipe_runs_with_its_settings(recipes: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--set, --output and --resume reach the function; its folder is printed."""
    assert (
        main(
            [
                "train",
                f"{recipes}:good",
                "--set",
                "steps=5",
                "--set",
                "schedule.rate=0.5",
                "--output",
                "out",
                "--resume",
            ]
        )
        == 0
    )
    assert Path("out/said").read_text() == "5 0.5 True"
    assert capsys.readouterr().out == "out\n"


def test_defaults_are_the_recipes(recipes: str) -> None:
    """With no options the recipe's own configuration is used."""
    assert main(["train", f"{recipes}:good"]) == 0
    assert Path("runs/said").read_text() == "3 0.1 False"


def test_the_parameters_own_default_comes_first(recipes: str) -> None:
    """A recipe that reuses another's configuration class starts from its own instance."""
    assert main(["train", f"{recipes}:smaller", "--set", "schedule.rate=0.2"]) == 0
    assert Path("runs/said").read_text() == "1 0.2 False"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing_like_this:good"], "there is no module 'nothing_like_this'"),
        (["{}:bad"], "has no 'bad'"),
        (["{}:number"], "expected a recipe"),
        (["{}:untyped"], "annotated with a dataclass"),
        (["{}:demanding"], "a default for each field"),
        (["{}:once", "--resume"], "no resume option"),
        (["{}:good", "--set", "schedule.speed=1"], "its fields are rate"),
        (["{}:good", "--set", "steps=x"], "must be an integer"),
        (["toy/nothing"], "unknown recipe"),
    ],
)
def test_mistakes_are_one_line(words: list[str], says: str, recipes: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mistake gives one line with exit code 2 and runs nothing."""
    assert main(["train", *(word.format(recipes) for word in words)]) == 2
    captured = capsys.readouterr()
    assert says in captured.err and captured.err.count("\n") == 1
    assert not Path("runs").exists()


def test_short_names(toy_modality: Modality, recipes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shipped recipe is found by its qualified name, and by its own where only one modality has it."""
    one = replace(toy_modality, recipes={"good": f"{recipes}:good", "once": f"{recipes}:once"})
    other = replace(toy_modality, name="film", recipes={"once": f"{recipes}:once"})
    monkeypatch.setattr("flagdit_core.cli.recipes.installed_modalities", lambda: {"toy": one, "film": other})
    assert find_recipe("toy/good").function is find_recipe("good").function
    assert find_recipe("film/once").name == "film/once"
    with pytest.raises(ConfigError, match="toy/once, film/once"):
        find_recipe("once")
