"""Order of the data, and folders of files with captions."""

import json
import time
from pathlib import Path

import pytest
import torch

from flagdit_core.errors import CodecError, DataError
from flagdit_core.training import Batch, Example, ExampleSource, FolderDataset, read_manifest
from flagdit_core.training.data import prefetched, step_generator


def _numbers(source: ExampleSource, step: int, *, batch_size: int = 4, seed: int = 0) -> list[int]:
    captions = source.batch(step, batch_size=batch_size, seed=seed).captions
    return [int(caption) for caption in captions]


def _source(count: int) -> ExampleSource:
    return ExampleSource([Example(latent=torch.full((1, 2, 2), i), caption=str(i)) for i in range(count)])


def test_order_is_a_function_of_seed_and_step() -> None:
    """Batches asked for in another order, from another source object, are the same; another seed gives others."""
    forward, backward = _source(10), _source(10)
    batches = [_numbers(forward, step) for step in range(6)]
    assert [_numbers(backward, step) for step in reversed(range(6))] == batches[::-1]
    assert [_numbers(_source(10), step, seed=1) for step in range(6)] != batches


def test_every_epoch_has_everything_once_in_a_new_order() -> None:
    """Twenty examples in batches of four (the third crosses the epoch's end) are two shuffled epochs of ten."""
    seen = [number for step in range(5) for number in _numbers(_source(10), step)]
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert seen[:10] != seen[10:]


def test_nothing_to_learn_from() -> None:
    """A source of no examples is an error when it is made."""
    with pytest.raises(DataError, match="at least one example"):
        _source(0)


def test_equal_latents_are_stacked_and_unequal_ones_listed() -> None:
    """A batch of one shape is a tensor, one of several a list, and nothing is cropped."""
    assert _source(3).batch(0, batch_size=2, seed=0).latents.shape == (2, 1, 2, 2)
    mixed = ExampleSource([Example(latent=torch.zeros(1, 2, w), caption="") for w in (2, 5)])
    latents = mixed.batch(0, batch_size=2, seed=0).latents
    assert isinstance(latents, list)
    assert sorted(tuple(latent.shape) for latent in latents) == [(1, 2, 2), (1, 2, 5)]


def test_step_generators_do_not_repeat() -> None:
    """The streams of neighbouring steps and seeds all differ, and one asked for twice is the same."""
    cpu = torch.device("cpu")
    draws = {(s, i): torch.randn(2, generator=step_generator(s, i, cpu)).tolist() for s in range(4) for i in range(50)}
    assert len({tuple(draw) for draw in draws.values()}) == 200
    assert torch.randn(2, generator=step_generator(3, 7, cpu)).tolist() == draws[3, 7]


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_prefetching_keeps_order_and_errors(ahead: int) -> None:
    """Batches come in order however far ahead they are made, and an error comes out where its batch is asked for."""

    def make(step: int) -> Batch:
        time.sleep(0.002 * (step % 2))
        if step == 5:
            raise DataError("broken file")
        return Batch(latents=torch.tensor([float(step)]))

    got = []
    with pytest.raises(DataError, match="broken file"), prefetched(make, 2, 9, ahead=ahead) as batches:
        for step, batch in batches:
            got.append((step, batch.latents.item()))
    assert got == [(2, 2.0), (3, 3.0), (4, 4.0)]


def _folder(folder: Path, lines: list[object], files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "metadata.jsonl").write_text(text, encoding="utf-8")
    return folder


def test_manifest(tmp_path: Path) -> None:
    """Good lines become entries in the file's order; empty lines are nothing."""
    lines = [{"file_name": "b.png", "text": "zwölf"}, "", {"file_name": "a.png", "text": ""}]
    manifest = read_manifest(_folder(tmp_path, lines, {"a.png": b"x", "b.png": b"y"}))
    assert [(entry.path.name, entry.caption) for entry in manifest.entries] == [("b.png", "zwölf"), ("a.png", "")]
    assert manifest.skipped == []


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_manifest_of_other_programs(tmp_path: Path, ending: str) -> None:
    """Line separators stand inside captions as JSON allows; a byte order mark and Windows' line endings are nothing."""
    captions = ["one\u2028two\u2029three", "four\x85five"]
    (tmp_path / "a.png").write_bytes(b"x")
    lines = [json.dumps({"file_name": "a.png", "text": text}, ensure_ascii=False) + ending for text in captions]
    (tmp_path / "metadata.jsonl").write_bytes("".join(lines).encode("utf-8-sig"))
    assert [entry.caption for entry in read_manifest(tmp_path).entries] == captions


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", "expected a JSON object"),
        ("[1]", "expected a JSON object"),
        ({"file_name": "a.png"}, "file_name and text"),
        ({"file_name": "gone.png", "text": "x"}, "gone.png does not exist"),
        ({"file_name": "empty.png", "text": "x"}, "empty.png is empty"),
        ({"file_name": "a long caption " * 20, "text": "a.png"}, "cannot be read: File name too long"),
    ],
)
def test_bad_lines_are_named_or_skipped(tmp_path: Path, line: object, message: str) -> None:
    """A bad line is an error with its number, or, when that is asked for, skipped and reported."""
    good = {"file_name": "a.png", "text": "fine"}
    folder = _folder(tmp_path, [good, line], {"a.png": b"x", "empty.png": b""})
    with pytest.raises(DataError, match=f"line 2: .*{message}"):
        read_manifest(folder)
    manifest = read_manifest(folder, on_error="skip")
    assert [entry.caption for entry in manifest.entries] == ["fine"]
    assert len(manifest.skipped) == 1
    assert message in manifest.skipped[0]


def test_missing_or_useless_manifest(tmp_path: Path) -> None:
    """No manifest, or one without a usable line, is an error that says what was expected."""
    with pytest.raises(DataError, match="file_name"):
        read_manifest(tmp_path)
    with pytest.raises(DataError, match="no usable line"):
        read_manifest(_folder(tmp_path, [{"file_name": "gone.png", "text": "x"}], {}), on_error="skip")


def _load(path: Path) -> torch.Tensor:
    content = path.read_bytes()
    if content == b"corrupt":
        raise DataError(f"{path} cannot be decoded")
    if content == b"damaged":
        raise CodecError(f"{path} breaks off")
    return torch.zeros(1, 2, len(content))


def test_folder_dataset_keeps_shapes_and_replaces_corrupt_files(tmp_path: Path) -> None:
    """Files keep their shapes; a corrupt one stops the run, or its successor takes its place and it is reported."""
    lines = [{"file_name": name, "text": name} for name in ("a", "b", "c", "d")]
    files = {"a": b"12", "b": b"corrupt", "c": b"1234", "d": b"damaged"}
    manifest = read_manifest(_folder(tmp_path, lines, files))
    strict = FolderDataset(manifest, _load)
    assert [strict[0].latent.shape[-1], strict[2].latent.shape[-1]] == [2, 4]
    for number, says in ((1, "cannot be decoded"), (3, "breaks off")):
        with pytest.raises(DataError, match=says):
            strict[number]
    lenient = FolderDataset(manifest, _load, on_error="skip")
    assert [lenient[1].caption, lenient[3].caption] == ["c", "a"]
    assert [path.name for path in lenient.skipped] == ["b", "d"]


def test_folder_dataset_of_corrupt_files_only(tmp_path: Path) -> None:
    """Skipping ends in an error where nothing is left."""
    manifest = read_manifest(_folder(tmp_path, [{"file_name": "a", "text": ""}], {"a": b"corrupt"}))
    with pytest.raises(DataError, match="none of the 1 files"):
        FolderDataset(manifest, _load, on_error="skip")[0]


def test_cache_loads_once(tmp_path: Path) -> None:
    """With a cache every file is decoded once; without, on each access."""
    manifest = read_manifest(_folder(tmp_path, [{"file_name": "a", "text": ""}], {"a": b"12"}))
    for cache, expected in ((True, 1), (False, 2)):
        calls = []

        def load(path: Path, calls: list[Path] = calls) -> torch.Tensor:
            calls.append(path)
            return _load(path)

        dataset = FolderDataset(manifest, load, cache=cache)
        assert torch.equal(dataset[0].latent, dataset[0].latent)
        assert len(calls) == expected
