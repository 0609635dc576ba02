"""Every snippet of the pages runs: what a reader copies works, from the top of a page to its end.

The blocks of one page run in order, as a reader would: Python ones share their names, and all share a folder that looks
like the repository's root. ``print(...)  # -> text`` says what is printed, and is held to it.
"""

import contextlib
import io
import re
import shlex
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import torch

from flagdit_core.cli import main
from flagdit_core.pipeline.settings import SOLVERS, SamplingSettings

ROOT = Path(__file__).parents[2]
# The kernels' page is run by its own package's tests.
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/*.md")),
    *(page for page in sorted(ROOT.glob("packages/*/README.md")) if page.parent.name != "flagdit-kernels"),
]
FENCE = re.compile(r"^```(?P<kind>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
RUN, SHOWN = {"python", "bash"}, {"text", "json", "jsonl"}
PRINTED = re.compile(r"^\s*print\(.*\)  # -> (?P<text>.+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block of a page."""

    kind: str
    text: str
    line: int


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [
        Block(kind=match["kind"], text=match["text"], line=text.count("\n", 0, match.start()) + 1)
        for match in FENCE.finditer(text)
    ]


def run_python(block: Block, names: dict[str, object], page: str) -> None:
    """Run a block, with tracebacks that point into the page, and compare what it says that it prints."""
    code = compile("\n" * block.line + block.text, page, "exec")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, names)  # noqa: S102 - our own pages
    for promised in PRINTED.findall(block.text):
        assert promised in printed.getvalue().splitlines(), f"{page}:{block.line} printed {printed.getvalue()!r}"


def commands_of(block: Block) -> list[list[str]]:
    """The words of each command of a block, without comments; lines that end in a backslash go on."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def run_commands(block: Block, page: str) -> None:
    """Run a block of ``lumina`` commands in this process."""
    for words in commands_of(block):
        assert words[0] == "lumina", f"{page}:{block.line} runs {words[0]}; mark what no test can run as text"
        assert main(words[1:]) == 0, f"{page}:{block.line} {shlex.join(words)}"


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run in, where the repository's data and examples are found by the paths that the pages use."""
    for name in ("tests", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])  # lumina train looks for recipes in the current folder
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page(page: Path, workplace: Path) -> None:
    """Every Python block and every command of a page works, one after the other."""
    name, names = str(page.relative_to(ROOT)), {"__name__": "page"}
    threads = torch.get_num_threads()
    try:
        for block in blocks_of(page.read_text(encoding="utf-8")):
            assert block.kind in RUN | SHOWN, f"{name}:{block.line} is a block of kind {block.kind!r}"
            if block.kind == "python":
                run_python(block, names, name)
            elif block.kind == "bash":
                run_commands(block, name)
    finally:
        torch.set_num_threads(threads)  # recipes choose their own


def test_main_pages_have_snippets() -> None:
    """The pages that teach by example do have some: an empty collection would pass every test above."""
    for name in ("README.md", "docs/sampling.md", "docs/parity.md", "docs/training.md"):
        kinds = {block.kind for block in blocks_of((ROOT / name).read_text(encoding="utf-8"))}
        assert kinds >= RUN


def test_sampling_page_is_complete() -> None:
    """The page on sampling names every solver, and every setting that a user can change."""
    text = (ROOT / "docs" / "sampling.md").read_text(encoding="utf-8")
    names = [*SOLVERS, *(field.name for field in fields(SamplingSettings))]
    assert [name for name in names if f"`{name}`" not in text and f"{name}=" not in text] == []


def test_a_wrong_snippet_fails() -> None:
    """A block that raises, prints something else, or runs another program than ``lumina`` is caught."""
    with pytest.raises(ZeroDivisionError):
        run_python(Block(kind="python", text="1 / 0\n", line=1), {}, "page")
    with pytest.raises(AssertionError, match="printed"):
        run_python(Block(kind="python", text="print(1 + 1)  # -> 3\n", line=1), {}, "page")
    with pytest.raises(AssertionError, match="mark what no test can run"):
        run_commands(Block(kind="bash", text="make demo\n", line=1), "page")
    with pytest.raises(AssertionError, match="--sise"):
        run_commands(Block(kind="bash", text="lumina infer hello -o a.png --sise 8x8\n", line=1), "page")
