"""Files that the command line asks for beside the artifact."""

from pathlib import Path

import pytest

from flagdit_core.errors import ConfigError, OutputError
from flagdit_core.pipeline import SamplingSettings
from flagdit_core.pipeline.request import GenerationRequest


def _request(path: Path, **changes: object) -> GenerationRequest:
    return GenerationRequest(prompts=["a"], settings=SamplingSettings(), options={"sheet": path}, **changes)


def test_extra_files_and_folders(tmp_path: Path) -> None:
    """The path that an option gives comes back, and None for one that was not given; nothing is left there."""
    request = _request(tmp_path / "A.PNG")
    assert request.extra_file("sheet", (".png",), of_one=True) == tmp_path / "A.PNG"
    assert request.extra_folder("sheet", of_one=True) == tmp_path / "A.PNG"
    assert request.extra_file("other", (".png",)) is None and request.extra_folder("other") is None
    assert not list(tmp_path.iterdir())


def test_extra_files_that_cannot_be(tmp_path: Path) -> None:
    """Another ending, the artifact's own path, a folder that is missing or taken, and several for one are refused."""
    with pytest.raises(ConfigError, match=r"--sheet must end in \.png, \.gif, got .*a\.mp4"):
        _request(tmp_path / "a.mp4").extra_file("sheet", (".png", ".gif"))
    with pytest.raises(OutputError, match="no folder"):
        _request(tmp_path / "no" / "a.png").extra_file("sheet", (".png",))
    with pytest.raises(OutputError, match="already there"):
        _request(tmp_path).extra_folder("sheet")
    with pytest.raises(ConfigError, match=r"--sheet needs a name of its own: .*a\.png is the file to make"):
        _request(tmp_path / "a.png", paths=[tmp_path / "a.png"]).extra_file("sheet", (".png",))
    several = _request(tmp_path / "a.png", count=2)
    assert several.extra_file("sheet", (".png",)) == tmp_path / "a.png"
    with pytest.raises(ConfigError, match="--sheet is of one of them; leave --count out"):
        several.extra_file("sheet", (".png",), of_one=True)
    with pytest.raises(ConfigError, match="--sheet is of one of them"):
        several.extra_folder("sheet", of_one=True)
