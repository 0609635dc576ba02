"""The authors' checkpoints: every published key is placed, shards are merged, and nothing is unpickled."""

import argparse
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from flagdit_core.errors import CheckpointError, ConfigError
from flagdit_core.interop.lumina_t2x import load_model, load_with_report

DATA = Path(__file__).parents[4] / "tests" / "data"
MANIFESTS = {
    "lumina_t2i_5b": "t2i",
    "flagdit_imagenet_600m": "imagenet",
    "flagdit_imagenet_3b": "imagenet",
    "flagdit_imagenet_7b": "imagenet",
    "lumina_audio_flagditv2": "audio",
    "lumina_music_flagditv2": "music",
}


def golden(name: str) -> tuple[dict[str, Tensor], dict]:
    """The authors' state dict of a tiny model, and the arguments of its constructor."""
    tensors = load_file(DATA / "parity" / f"{name}.safetensors")
    weights = {key.removeprefix("weights."): value for key, value in tensors.items() if key.startswith("weights.")}
    return weights, json.loads((DATA / "parity" / f"{name}.json").read_text())["ctor"]


@pytest.mark.parametrize(("name", "family"), MANIFESTS.items())
@pytest.mark.parametrize("with_arguments", [True, False])
def test_published_keys(name: str, family: str, with_arguments: bool) -> None:
    """Every parameter of each published size is placed: none missing, none left over, and none is counted twice."""
    manifest = json.loads((DATA / "key_manifest" / f"{name}.json").read_text())
    state_dict = {key: torch.empty(entry["shape"], device="meta") for key, entry in manifest["keys"].items()}
    arguments = manifest["ctor"] if with_arguments else {"n_heads": 32} if family == "imagenet" else None
    model, report = load_with_report(state_dict, family=family, config=arguments)
    assert report.complete, str(report)
    assert len(report.loaded) + len(report.unneeded) == manifest["n_tensors"]
    unneeded = sum(state_dict[key].numel() for key in report.unneeded)
    assert sum(p.numel() for p in model.parameters()) == manifest["parameter_count"] - unneeded


def test_left_over_and_missing_keys_are_named() -> None:
    """A key too many and a key too few are both refused by name."""
    weights, arguments = golden("flagdit_t2i_dim48")
    del weights["layers.0.ffn_norm.weight"]
    weights["surprise"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match=r"missing: layers.0.ffn_norm.weight.*unexpected: surprise"):
        load_model(weights, family="t2i", config=arguments)


def test_wrong_family_and_arguments() -> None:
    """Weights of another family, unknown families and unknown arguments are refused."""
    weights, arguments = golden("flagdit_t2i_dim48")
    with pytest.raises(CheckpointError, match="another family"):
        load_model(weights, family="audio")
    with pytest.raises(ConfigError, match="families are t2i"):
        load_model(weights, family="video")
    with pytest.raises(ConfigError, match=r"unknown constructor arguments .* width"):
        load_model(weights, family="t2i", config=arguments | {"width": 3})
    with pytest.raises(CheckpointError, match="should have shape"):
        load_model(weights, family="t2i", config=arguments | {"cap_feat_dim": 24})
    weights, _ = golden("flagdit_imagenet")
    with pytest.raises(ConfigError, match="n_heads"):
        load_model(weights, family="imagenet")


def test_arguments_can_be_read_from_the_weights() -> None:
    """Without arguments, a text model's shapes determine it."""
    weights, arguments = golden("flagdit_t2i_tensor_and_list")
    assert load_model(weights, family="t2i").config == load_model(weights, family="t2i", config=arguments).config


@pytest.mark.parametrize("ending", ["safetensors", "pth"])
def test_their_folder(tmp_path: Path, ending: str) -> None:
    """A folder as they publish it, with its pickled arguments read safely, gives the same network."""
    weights, _ = golden("flagdit_t2i_dim48")
    path = tmp_path / f"consolidated.00-of-01.{ending}"
    if ending == "pth":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    torch.save(argparse.Namespace(qk_norm=True, lm="somewhere", image_size=256), tmp_path / "model_args.pth")
    loaded, direct = load_model(tmp_path, family="t2i"), load_model(weights, family="t2i")
    assert loaded.config == direct.config
    pairs = zip(loaded.state_dict().values(), direct.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def _split(weights: dict[str, Tensor], rank: int) -> dict[str, Tensor]:
    """One of two tensor-parallel shards: rows of column-parallel weights, columns of row-parallel ones."""

    def part(name: str, tensor: Tensor) -> Tensor:
        if any(key in name for key in ("wo.", "w2.")):
            return tensor.chunk(2, dim=1)[rank].contiguous()
        if any(
            key in name for key in ("wq.", "wk.", "wv.", "wk_y.", "wv_y.", "w1.", "w3.", "_norm.", "attention.gate")
        ):
            return tensor if "y_norm.weight" in name and "ky" not in name else tensor.chunk(2)[rank].contiguous()
        return tensor.clone()

    return {
        name: tensor if name.endswith(("attention_norm.weight", "ffn_norm.weight")) else part(name, tensor)
        for name, tensor in weights.items()
    }


def test_tensor_parallel_shards(tmp_path: Path) -> None:
    """Two shards are merged into the whole, and the report says what that means for the query and key norms."""
    weights, arguments = golden("flagdit_t2i_tensor_and_list")
    for rank in (0, 1):
        save_file(_split(weights, rank), tmp_path / f"consolidated.{rank:02d}-of-02.safetensors")
    model, report = load_with_report(tmp_path, family="t2i", config=arguments)
    whole = load_model(weights, family="t2i", config=arguments)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor), name
    assert "tensor-parallel" in report.remarks[0]
    (tmp_path / "consolidated.01-of-02.safetensors").unlink()
    with pytest.raises(CheckpointError, match="lacks shard 1 of 2"):
        load_model(tmp_path, family="t2i")


def test_lightning_checkpoint(tmp_path: Path) -> None:
    """The network is found inside a Lightning checkpoint; the codec's parameters beside it are left alone."""
    weights, arguments = golden("flagdit_audio")
    inner = {f"model.diffusion_model.{name}": tensor for name, tensor in weights.items()}
    torch.save({"state_dict": inner | {"first_stage_model.x": torch.zeros(1)}, "epoch": 3}, tmp_path / "last.ckpt")
    loaded = load_model(tmp_path / "last.ckpt", family="music", config=arguments)
    assert torch.equal(loaded.token_embedder.weight, weights["proj_in.weight"])


class _Bomb:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("exploded"),))


def test_pickles_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle that would run code is refused, and its code does not run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bomb.pth").write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(CheckpointError, match="cannot be read safely"):
        load_model(tmp_path / "bomb.pth", family="t2i")
    assert not (tmp_path / "exploded").exists()


def test_missing_source(tmp_path: Path) -> None:
    """Paths and folders without weights are named."""
    with pytest.raises(CheckpointError, match="does not exist"):
        load_model(tmp_path / "nothing", family="t2i")
    with pytest.raises(CheckpointError, match="no consolidated"):
        load_model(tmp_path, family="t2i")
