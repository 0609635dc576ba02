"""``lumina convert``: pickles become safetensors without being run, and nothing is overwritten."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from flagdit_core import FlagDiT
from flagdit_core.cli import main


def their_weights() -> dict[str, torch.Tensor]:
    """A tiny label-conditional network under the authors' names."""
    torch.manual_seed(0)
    d, a, f = 8, 8, 256
    shapes = {
        "x_embedder.weight": (d, 16), "x_embedder.bias": (d,), "t_embedder.mlp.0.weight": (a, 256),
        "t_embedder.mlp.0.bias": (a,), "t_embedder.mlp.2.weight": (a, a), "t_embedder.mlp.2.bias": (a,),
        "y_embedder.embedding_table.weight": (11, a), "final_layer.linear.weight": (16, d),
        "final_layer.linear.bias": (16,), "final_layer.adaLN_modulation.1.weight": (2 * d, a),
        "final_layer.adaLN_modulation.1.bias": (2 * d,), "layers.0.attention.wq.weight": (d, d),
        "layers.0.attention.wk.weight": (d, d), "layers.0.attention.wv.weight": (d, d),
        "layers.0.attention.wo.weight": (d, d), "layers.0.feed_forward.w1.weight": (f, d),
        "layers.0.feed_forward.w2.weight": (d, f), "layers.0.feed_forward.w3.weight": (f, d),
        "layers.0.attention_norm.weight": (d,), "layers.0.ffn_norm.weight": (d,),
        "layers.0.adaLN_modulation.1.weight": (6 * d, a), "layers.0.adaLN_modulation.1.bias": (6 * d,),
    }  # fmt: skip
    return {name: torch.randn(shape) for name, shape in shapes.items()}


def test_pth_to_safetensors(tmp_path: Path) -> None:
    """The same tensors under the same names, shared memory or not."""
    weights = their_weights()
    weights["alias"] = weights["x_embedder.bias"]
    torch.save(weights, tmp_path / "a.pth")
    assert main(["convert", str(tmp_path / "a.pth"), str(tmp_path / "a.safetensors")]) == 0
    converted = load_file(tmp_path / "a.safetensors")
    assert converted.keys() == weights.keys()
    assert all(torch.equal(converted[name], tensor) for name, tensor in weights.items())


def test_authors_weights_to_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The family is told from the names; the folder loads, and the key report is printed."""
    torch.save(their_weights(), tmp_path / "a.pth")
    words = ["convert", str(tmp_path / "a.pth"), str(tmp_path / "model"), "--config", '{"n_heads": 2}']
    assert main(words) == 0, capsys.readouterr().err
    assert "0 missing, 0 unexpected" in capsys.readouterr().out
    assert FlagDiT.from_pretrained(tmp_path / "model").config.num_classes == 10


class Bomb:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_no_pickle_is_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that would run code is refused, and its code does not run."""
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"w": Bomb(tmp_path / "exploded")}))
    assert main(["convert", str(tmp_path / "a.pth"), str(tmp_path / "a.safetensors")]) == 2
    assert "safely" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_mistakes_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A missing source, a target that is there, foreign weights, wrong options: one line each, and no new file."""
    torch.save({"w": torch.zeros(2)}, tmp_path / "a.pth")
    (tmp_path / "there").mkdir()
    source, there = str(tmp_path / "a.pth"), str(tmp_path / "there")
    for words, says in (
        ([str(tmp_path / "none.pth"), str(tmp_path / "m")], "there is no"),
        ([source, there], "already there"),
        ([source, str(tmp_path / "m")], "none of the families"),
        ([source, str(tmp_path / "m"), "--family", "smell"], "unknown family"),
        ([source, str(tmp_path / "m"), "--config", "{"], "--config"),
        ([source, str(tmp_path / "m.safetensors"), "--family", "t2i"], "leave them out"),
        ([source, str(tmp_path / "no" / "m.safetensors")], "there is no folder"),
    ):
        assert main(["convert", *words]) == 2, words
        captured = capsys.readouterr()
        assert says in captured.err and captured.err.count("\n") == 1, captured.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pth", "there"]
