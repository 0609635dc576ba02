"""Settings as text."""

import pytest

from flagdit_core.errors import CodecError
from flagdit_core.metadata import decode_metadata, encode_metadata


@pytest.mark.parametrize("ascii_only", [False, True])
def test_round_trip(ascii_only):
    """What is written comes back, in letters that any container holds where that is asked for."""
    settings = {"prompt": "ein roter Kreis für Zoë", "seed": 7, "size": [1, 2]}
    text = encode_metadata(settings, ascii_only=ascii_only)
    assert decode_metadata(text, "a.png") == settings
    assert text.isascii() == ascii_only


@pytest.mark.parametrize("text", [None, "", "made by hand", "[1, 2]", "{"])
def test_text_of_others(text):
    """Anything else is said to be not ours, with the file's name."""
    with pytest.raises(CodecError, match=r"a\.png carries no settings of this program"):
        decode_metadata(text, "a.png")
