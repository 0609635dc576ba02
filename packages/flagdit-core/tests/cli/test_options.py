"""Options that a modality brings along."""

from pathlib import Path

import pytest

from flagdit_core.cli.options import parse_options
from flagdit_core.errors import ConfigError
from flagdit_core.modalities import Modality, Option

FILMS = Modality(
    name="film", distribution="lumina-film", endings=(".film",), pipeline="", generate="", save="", read_metadata="",
    options=(
        Option(name="seconds", kind=float, help="How long it is."),
        Option(name="frames", kind=int, help="How many pictures."),
        Option(name="contact-sheet", kind=Path, help="Where to show them side by side."),
        Option(name="title", kind=str, help="What it is called."),
        Option(name="loop", kind=bool, help="Let the end meet the beginning."),
    ),
)  # fmt: skip


def test_values_are_read_as_their_kinds():
    """Both spellings of a value, a path, a text, and a switch without one."""
    words = ["--seconds", "1.5", "--frames=8", "--contact-sheet", "a.png", "--title", "a = b", "--loop"]
    expected = {"seconds": 1.5, "frames": 8, "contact-sheet": Path("a.png"), "title": "a = b", "loop": True}
    assert parse_options(words, FILMS, ".film files") == expected
    assert parse_options([], FILMS, ".film files") == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--second", "1"], r"unknown option --second \(.film files also take --seconds, --frames"),
        (["--seconds"], "--seconds needs a value: How long"),
        (["--seconds", "long"], "--seconds must be a number, got 'long'"),
        (["--frames", "1.5"], "--frames must be a whole number, got '1.5'"),
        (["--loop=yes"], "--loop takes no value"),
        (["red", "circle"], "unexpected 'red': put a sentence in quotes"),
    ],
)
def test_bad_words(words, message):
    """Each mistake gets a line that says what to do."""
    with pytest.raises(ConfigError, match=message):
        parse_options(words, FILMS, ".film files")
