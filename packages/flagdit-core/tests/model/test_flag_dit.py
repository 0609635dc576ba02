"""The network: packed equals one by one, positions are exact, and what does not fit is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from flagdit_core import FlagDiT, FlagDiTConfig
from flagdit_core.errors import CheckpointError, ConfigError, ShapeError
from flagdit_core.model.config import PRESETS
from flagdit_core.model.rope import rotary_cos_sin

TINY = FlagDiTConfig(
    in_channels=3,
    hidden_size=32,
    depth=2,
    num_heads=4,
    num_kv_heads=2,
    ffn_hidden_size=64,
    conditioning_size=16,
    caption_size=12,
)


def randomized(config: FlagDiTConfig) -> FlagDiT:
    """A network whose every parameter matters: the initial zeros replaced."""
    torch.manual_seed(0)
    model = FlagDiT(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


MODEL = randomized(TINY)
FITTING = (torch.zeros(1, 3, 4, 4), 0.5, torch.zeros(1, 5, 12))


@settings(deadline=None, max_examples=20)
@given(
    grids=st.lists(st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3)), min_size=2, max_size=4),
    base=st.sampled_from([None, 6]),
    ntk=st.sampled_from([1.0, 2.5]),
)
@torch.no_grad()
def test_packed_equals_one_by_one(grids: list[tuple[int, int, int]], base: int | None, ntk: float) -> None:
    """Latents of any mix of shapes do not see one another, nor one another's captions and times."""
    latents = [torch.randn(3, t, 2 * h, 2 * w) for t, h, w in grids]
    caption, times = torch.randn(len(grids), 5, 12), torch.rand(len(grids))
    mask = torch.rand(len(grids), 5) < 0.7
    options = {"ntk_factor": ntk, "base_sequence_length": base}
    together = MODEL(latents, times, caption, mask, **options)
    for i, latent in enumerate(latents):
        alone = MODEL(latent[None], times[i : i + 1], caption[i : i + 1], mask[i : i + 1], **options)[0]
        torch.testing.assert_close(together[i], alone, rtol=2e-5, atol=2e-5)


@torch.no_grad()
def test_equal_shapes_equal_unequal_path() -> None:
    """The batched path for equal shapes and the packed path for mixed ones agree."""
    latents, caption, times = torch.randn(2, 3, 4, 6), torch.randn(3, 5, 12), torch.rand(3)
    odd = torch.randn(3, 2, 2)
    mixed = MODEL([*latents, odd], times, caption)
    torch.testing.assert_close(torch.stack(mixed[:2]), MODEL(latents, times[:2], caption[:2]), rtol=2e-5, atol=2e-5)


@torch.no_grad()
def test_forward_is_pure() -> None:
    """Call-time options leave nothing behind, and inputs are not written to."""
    x, caption = torch.randn(1, 3, 4, 4), torch.randn(1, 5, 12)
    before, kept = MODEL(x, 0.5, caption), x.clone()
    MODEL(x, 0.5, caption, ntk_factor=4.0, rope_scaling_factor=2.0, base_sequence_length=3)
    assert torch.equal(MODEL(x, 0.5, caption), before)
    assert torch.equal(x, kept)


@torch.no_grad()
def test_per_latent_extrapolation() -> None:
    """A factor for each latent equals a call for each."""
    latents, caption = [torch.randn(3, 4, 4), torch.randn(3, 2, 6)], torch.randn(2, 5, 12)
    factors = torch.tensor([1.0, 3.0])
    together = MODEL(latents, 0.5, caption, ntk_factor=factors, rope_scaling_factor=factors)
    for i, factor in enumerate(factors.tolist()):
        alone = MODEL(latents[i][None], 0.5, caption[i][None], ntk_factor=factor, rope_scaling_factor=factor)[0]
        torch.testing.assert_close(together[i], alone, rtol=2e-5, atol=2e-5)


@torch.no_grad()
def test_row_stride() -> None:
    """A stride of the row's own length is the published order of tokens; another one moves the rows apart."""
    x, caption = torch.randn(1, 3, 4, 6), torch.randn(1, 5, 12)
    same, other = FlagDiT(replace(MODEL.config, rope_row_stride=4)), FlagDiT(replace(MODEL.config, rope_row_stride=9))
    same.load_state_dict(MODEL.state_dict())
    other.load_state_dict(MODEL.state_dict())
    expected = MODEL(x, 0.5, caption)
    assert torch.equal(same(x, 0.5, caption), expected)
    assert not torch.allclose(other(x, 0.5, caption), expected, atol=1e-3)


def test_initial_network_is_silent() -> None:
    """At the start of training the velocity is zero, and gradients reach the last layer."""
    model = FlagDiT(TINY)
    out = model(torch.randn(1, 3, 4, 4), 0.5, torch.randn(1, 5, 12))
    assert not out.any()
    (out - 1).square().mean().backward()
    assert model.final_layer.linear.weight.grad.abs().sum() > 0


@torch.no_grad()
def test_text_reaches_the_output_only_through_gate_and_pooling() -> None:
    """With closed gates and a silent pooled caption the text changes nothing; each of the two lets it in."""
    model = randomized(TINY)
    x, one, other = torch.randn(1, 3, 4, 4), torch.randn(1, 5, 12), torch.randn(1, 5, 12)
    for block in model.blocks:
        block.attention.gate.zero_()
    model.caption_embedder[1].weight.zero_()
    assert torch.equal(model(x, 0.5, one), model(x, 0.5, other))
    model.blocks[0].attention.gate.fill_(0.5)
    assert not torch.allclose(model(x, 0.5, one), model(x, 0.5, other))


@torch.no_grad()
def test_captions_are_read_once_for_many_calls() -> None:
    """What was read of captions gives the same velocity as they do, at any time and for some of them; it is checked."""
    model = MODEL
    latents, caption, mask = torch.randn(3, 3, 8, 8), torch.randn(3, 5, 12), torch.rand(3, 5) > 0.4
    read = model.read_caption(caption, mask)
    for t in (0.1, 0.9):
        torch.testing.assert_close(model(latents, t, read), model(latents, t, caption, mask))
        two = model(latents[:2], t, read.first(2))
        torch.testing.assert_close(two, model(latents[:2], t, caption[:2], mask[:2]))
    for count, given_mask in ((2, None), (3, mask)):
        with pytest.raises(ShapeError, match=f"{count} captions with their own masks"):
            model(latents[:count], 0.5, read, given_mask)
    with pytest.raises(ShapeError, match="caption of shape"):
        model.read_caption(caption[..., 1:])


@torch.no_grad()
def test_grouped_query_heads() -> None:
    """Two key heads for four query heads equal four key heads that repeat them."""
    grouped, full = randomized(TINY), FlagDiT(replace(TINY, num_kv_heads=4, qk_norm=False)).eval()
    grouped = randomized(replace(TINY, qk_norm=False))
    state = grouped.state_dict()

    def repeated(rows: torch.Tensor) -> torch.Tensor:
        return rows.unflatten(0, (2, 8)).repeat_interleave(2, 0).flatten(0, 1)

    for name, tensor in state.items():
        if name.endswith("qkv.weight"):
            q, k, v = tensor.split([32, 16, 16])
            state[name] = torch.cat([q, repeated(k), repeated(v)])
        elif name.endswith("caption_kv.weight"):
            state[name] = torch.cat([repeated(part) for part in tensor.chunk(2)])
    full.load_state_dict(state)
    x, caption = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 12)
    torch.testing.assert_close(grouped(x, 0.3, caption), full(x, 0.3, caption), rtol=2e-5, atol=2e-5)


@torch.no_grad()
def test_labels() -> None:
    """The label-conditional form reads labels, the null label among them, and no caption."""
    model = randomized(replace(TINY, caption_size=None, num_classes=3))
    x = torch.randn(2, 3, 4, 4)
    assert model(x, 0.5, labels=torch.tensor([0, 3])).shape == x.shape
    with pytest.raises(ConfigError, match="needs labels"):
        model(x, 0.5)
    with pytest.raises(ConfigError, match="no caption"):
        model(x, 0.5, torch.randn(2, 5, 12), labels=torch.tensor([0, 1]))


@torch.no_grad()
def test_discrete_timesteps() -> None:
    """Floating times become truncated steps; integer ones are taken as they are."""
    model = randomized(replace(TINY, discrete_timesteps=1000))
    x, caption = torch.randn(1, 3, 4, 4), torch.randn(1, 5, 12)
    assert torch.equal(model(x, torch.tensor([0.4567]), caption), model(x, torch.tensor([456]), caption))


@torch.no_grad()
def test_bfloat16() -> None:
    """Half-precision weights give the float32 answer to bfloat16's accuracy."""
    x, caption = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 12)
    exact = MODEL(x, 0.5, caption)
    half = randomized(TINY).bfloat16()(x.bfloat16(), 0.5, caption.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half.float() - exact).norm() / exact.norm() < 0.05


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m(torch.zeros(1, 4, 4, 4), 0.5, torch.zeros(1, 5, 12)), ShapeError, "3 channels"),
        (lambda m: m(torch.zeros(1, 3, 4, 4), 0.5), ConfigError, "needs a caption"),
        (lambda m: m(torch.zeros(1, 3, 4, 4), 0.5, torch.zeros(2, 5, 12)), ShapeError, r"\(1, M, 12\)"),
        (lambda m: m(torch.zeros(2, 3, 4, 4), torch.rand(3), torch.zeros(2, 5, 12)), ShapeError, "one time, or 2"),
        (lambda m: m(torch.zeros(1, 3, 4, 4), 0.5, torch.zeros(1, 5, 12), torch.ones(1, 4)), ShapeError, "mask"),
        (lambda m: m(*FITTING, labels=torch.tensor([0])), ConfigError, "no labels"),
        (lambda m: m(*FITTING, base_sequence_length=1), ConfigError, "at least 2"),
    ],
)
def test_bad_calls(call, error: type[Exception], message: str) -> None:
    """What does not fit the configuration is refused with what was expected."""
    with pytest.raises(error, match=message):
        call(MODEL)


@pytest.mark.parametrize("position", [40_000, 131_072, 524_288])
@pytest.mark.parametrize("head_dim", [48, 96, 128])
def test_rotary_angles_are_exact(position: int, head_dim: int) -> None:
    """At any length, cosines and sines are those of float64 angles to float32 rounding."""
    cos, sin = rotary_cos_sin(
        torch.tensor([position]),
        torch.tensor([1]),
        head_dim=head_dim,
        theta=10000.0,
        ntk_factor=3.0,
        scaling_factor=2.0,
    )
    k = torch.arange(0, head_dim, 2, dtype=torch.float64)
    angles = position / 2.0 / (30000.0 ** (k / head_dim))
    assert (cos[0].double() - angles.cos()).abs().max() < 1e-7
    assert (sin[0].double() - angles.sin()).abs().max() < 1e-7


def test_rotary_shift_invariance() -> None:
    """The product of rotated queries and keys depends on the distance of their positions only."""
    q, k = torch.randn(2, 16, dtype=torch.float64)

    def product(m: int, n: int) -> float:
        cos, sin = rotary_cos_sin(torch.tensor([m, n]), torch.tensor([2]), head_dim=16, theta=100.0)
        turn = torch.complex(cos.double(), sin.double())
        pairs = torch.view_as_complex(torch.stack([q, k]).reshape(2, 8, 2)) * turn
        return float((pairs[0] * pairs[1].conj()).real.sum())

    assert product(3, 10) == pytest.approx(product(1003, 1010), abs=1e-5)
    assert product(3, 10) != pytest.approx(product(3, 11), abs=1e-3)


def test_long_sequence_needs_no_table() -> None:
    """Half a million tokens pass through the network's shapes; nothing is limited by a table."""
    with torch.device("meta"):
        model = FlagDiT(replace(TINY, depth=1))
        out = model(torch.empty(1, 3, 1024, 2048), torch.empty(1), torch.empty(1, 5, 12))
    assert out.shape == (1, 3, 1024, 2048)


@pytest.mark.parametrize("name", list(PRESETS))
def test_presets_build_on_the_meta_device(name: str) -> None:
    """Every preset can be built without memory, and is as large as documented."""
    with torch.device("meta"):
        model = FlagDiT(FlagDiTConfig.preset(name))
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    low, high = {"nano": (1, 12), "600m": (600, 850), "3b": (3900, 4100), "5b": (5000, 5100), "7b": (7000, 9000)}[name]
    assert low < millions < high


def test_config_round_trip_and_errors() -> None:
    """A configuration survives JSON; unknown, missing and contradictory settings are named."""
    assert FlagDiTConfig.from_dict(json.loads(json.dumps(TINY.to_dict()))) == TINY
    with pytest.raises(ConfigError, match="presets are nano"):
        FlagDiTConfig.preset("13b")
    with pytest.raises(ConfigError, match="unknown Flag-DiT settings width"):
        FlagDiTConfig.from_dict(TINY.to_dict() | {"width": 3})
    with pytest.raises(ConfigError, match="incomplete"):
        FlagDiTConfig.from_dict({"hidden_size": 32})
    for change in ({"num_kv_heads": 3}, {"hidden_size": 36}, {"num_classes": 4}, {"depth": 0}, {"norm_eps": 0.0},
                   {"rope_row_stride": -1}):  # fmt: skip
        with pytest.raises(ConfigError):
            replace(TINY, **change)


@pytest.mark.parametrize("max_shard_size", ["5GB", "20KB"])
def test_save_and_load(tmp_path: Path, max_shard_size: str) -> None:
    """A stored network, in one file or in shards, comes back bit for bit."""
    MODEL.save_pretrained(tmp_path, max_shard_size=max_shard_size)
    assert (len(list(tmp_path.glob("*.safetensors"))) > 1) == (max_shard_size == "20KB")
    loaded = FlagDiT.from_pretrained(tmp_path)
    assert loaded.config == TINY
    assert all(
        torch.equal(a, b) for a, b in zip(MODEL.state_dict().values(), loaded.state_dict().values(), strict=True)
    )
    assert FlagDiT.from_pretrained(tmp_path, dtype=torch.bfloat16).dtype == torch.bfloat16


def _truncate(folder: Path) -> None:
    path = next(folder.glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-100])


def _pointer(folder: Path) -> None:
    next(folder.glob("*.safetensors")).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def _pickle(folder: Path) -> None:
    path = next(folder.glob("*.safetensors"))
    path.rename(path.with_suffix(".bin"))


def _reshape(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"ffn_hidden_size": 32}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "not valid JSON"),
        (lambda f: next(f.glob("*.safetensors")).unlink(), "weights are missing"),
        (_truncate, "truncated"),
        (_pointer, "git lfs pull"),
        (_pickle, "lumina convert"),
        (_reshape, "should have shape"),
    ],
)
def test_damaged_folders(tmp_path: Path, damage, message: str) -> None:
    """Each kind of damage is named, with what to do."""
    MODEL.save_pretrained(tmp_path)
    damage(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        FlagDiT.from_pretrained(tmp_path)


def test_missing_shard(tmp_path: Path) -> None:
    """A shard that was not copied is named."""
    MODEL.save_pretrained(tmp_path, max_shard_size="20KB")
    sorted(tmp_path.glob("*.safetensors"))[1].unlink()
    with pytest.raises(CheckpointError, match="lacks the shard"):
        FlagDiT.from_pretrained(tmp_path)


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that is not there is named."""
    with pytest.raises(CheckpointError, match="does not exist"):
        FlagDiT.from_pretrained(tmp_path / "nowhere")
