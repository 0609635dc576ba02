"""Every link between the pages leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (".", "docs", "packages/*", "packages/*/src/*/models/*", "benchmarks", "studies", "examples")
PAGES = [page for folder in FOLDERS for page in sorted(ROOT.glob(f"{folder}/*.md"))]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)


def anchor(title: str) -> str:
    """What GitHub calls a heading in a link: lower case, words joined by hyphens, punctuation left out."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def anchors_of(page: Path) -> list[str]:
    """The anchors of a page's headings."""
    return [anchor(title) for title in HEADING.findall(page.read_text(encoding="utf-8"))]


def broken(page: Path) -> list[str]:
    """The relative links of a page that lead nowhere."""
    text = re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = []
    for target in LINK.findall(text):
        if "://" in target:
            continue
        path, _, fragment = target.partition("#")
        there = page.parent / path if path else page
        if not there.exists() or (fragment and fragment not in anchors_of(there)):
            found.append(target)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links(page: Path) -> None:
    """Files and headings that a page points to exist."""
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    """A missing file and a missing heading are both seen; what is there, and the web, are not complained of."""
    page = tmp_path / "page.md"
    page.write_text("# A heading, here\n[a](page.md#a-heading-here) [b](https://x.org) [c](no.md) [d](#nowhere)\n")
    assert broken(page) == ["no.md", "#nowhere"]
