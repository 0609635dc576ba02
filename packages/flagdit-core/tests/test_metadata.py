"""Settings as text."""

import hashlib
from pathlib import Path

import pytest

from flagdit_core.errors import CodecError
from flagdit_core.metadata import decode_metadata, encode_metadata, fingerprints


@pytest.mark.parametrize("ascii_only", [False, True])
def test_round_trip(ascii_only):
    """What is written comes back, in letters that any container holds where that is asked for."""
    settings = {"prompt": "ein roter Kreis für Zoë", "seed": 7, "size": [1, 2]}
    text = encode_metadata(settings, ascii_only=ascii_only)
    assert decode_metadata(text, "a.png") == settings
    assert text.isascii() == ascii_only


def test_names_in_another_encoding() -> None:
    """A file whose name is not UTF-8, as Python spells it, can be told in every container, and comes back."""
    settings = {"path": "caf\udce9 \\udce9 ☃"}
    text = encode_metadata(settings)
    assert "☃" in text.encode().decode() and decode_metadata(text, "a.png") == settings


@pytest.mark.parametrize("text", [None, "", "made by hand", "[1, 2]", "{"])
def test_text_of_others(text):
    """Anything else is said to be not ours, with the file's name."""
    with pytest.raises(CodecError, match=r"a\.png carries no settings of this program"):
        decode_metadata(text, "a.png")


def test_fingerprints_tell_files_apart(tmp_path: Path) -> None:
    """A file is told by the path that it was given as and by the hash of its content."""
    (tmp_path / "a.png").write_bytes(b"picture")
    told = fingerprints({"first-frame": tmp_path / "a.png"})
    assert told == {"first-frame": {"path": str(tmp_path / "a.png"), "sha256": hashlib.sha256(b"picture").hexdigest()}}
    assert fingerprints({}) == {}
