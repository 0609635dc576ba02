"""PictureCodec: units, sizes, tiles, dtypes, and what bad input gets."""

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from flagdit_core.errors import CheckpointError, CodecError
from flagdit_core.picture_codec import PictureCodec


def _vae(**settings: object) -> AutoencoderKL:
    """A random VAE with factor 8, small enough for a test."""
    torch.manual_seed(0)
    return AutoencoderKL(
        **{
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "block_out_channels": (8, 8, 8, 8),
            "norm_num_groups": 4,
            "latent_channels": 3,
            "mid_block_add_attention": False,
            "scaling_factor": 0.5,
            "shift_factor": 0.25,
            **settings,
        }
    )


@pytest.fixture
def codec() -> PictureCodec:
    """A random codec with a scale and a shift that show when they are forgotten."""
    return PictureCodec(_vae(), scale=0.5, shift=0.25)


def _pixels(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_shapes_and_units(codec: PictureCodec) -> None:
    """Latents are the VAE's posterior mean, shifted and scaled; decoding undoes exactly that."""
    pixels = _pixels(2, 3, 24, 40)
    latents = codec.encode(pixels)
    mean = codec.vae.encode(pixels).latent_dist.mean
    assert (codec.latent_channels, codec.stride) == (3, (1, 8, 8))
    assert latents.shape == (2, 3, 3, 5)
    torch.testing.assert_close(latents, (mean - 0.25) * 0.5)
    torch.testing.assert_close(codec.decode(latents), codec.vae.decode(mean).sample)


def test_posterior_sample_has_its_mean_and_spread(codec: PictureCodec) -> None:
    """Posterior samples are mean + std * noise of the given generator, in scaled units."""
    pixels = _pixels(1, 3, 16, 16)
    posterior = codec.vae.encode(pixels).latent_dist
    sample = codec.encode(pixels, sample_posterior=True, generator=torch.Generator().manual_seed(3))
    noise = torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(sample, (posterior.mean + posterior.std * noise - 0.25) * 0.5)


def _without_norms(vae: AutoencoderKL) -> AutoencoderKL:
    """The same network with group norms, whose statistics are over all of a picture, taken out: purely local."""
    for module in list(vae.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.GroupNorm):
                setattr(module, name, torch.nn.Identity())
    return vae


def _relative_error(actual: Tensor, expected: Tensor) -> float:
    return float((actual - expected).norm() / (expected - expected.mean()).norm())


@pytest.mark.parametrize(("height", "width"), [(256, 128), (64, 384)])
def test_tiles_agree_with_the_whole(height: int, width: int) -> None:
    """A local network gives nearly the same in blended tiles as at once; without overlap the seams are far worse."""
    vae = _without_norms(_vae())
    blended = PictureCodec(vae, 0.5, 0.25, tile_size=128, tile_overlap=64)
    seamed = PictureCodec(vae, 0.5, 0.25, tile_size=128, tile_overlap=0)
    pixels = _pixels(1, 3, height, width)
    latents = blended.encode(pixels, tiled=False)
    picture = blended.decode(latents, tiled=False)
    for coded, expected in [("encode", latents), ("decode", picture)]:
        source = pixels if coded == "encode" else latents
        good, bad = (
            _relative_error(getattr(codec, coded)(source, tiled=True), expected) for codec in (blended, seamed)
        )
        assert good < 0.03
        assert bad > 3 * good


def test_tiling_leaves_no_trace(codec: PictureCodec) -> None:
    """A tiled call does not change what the next call does, and a picture of one tile is coded as a whole."""
    pixels = _pixels(1, 3, 64, 48)
    before = codec.encode(pixels, tiled=False)
    torch.testing.assert_close(codec.encode(pixels, tiled=True), before)
    assert torch.equal(codec.encode(pixels, tiled=False), before)


def test_large_pictures_are_tiled_by_default(codec: PictureCodec) -> None:
    """Past 1024 pixels the network never sees more than a tile, so that memory is bounded; up to there it sees all."""
    seen: list[tuple[int, int]] = []
    codec.vae.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(tuple(inputs[0].shape[-2:])))
    codec.encode(_pixels(1, 3, 16, 1024))
    codec.encode(_pixels(1, 3, 16, 1032))
    assert seen[0] == (16, 1024)
    assert len(seen) > 2
    assert max(width for _, width in seen[1:]) == codec.tile_size


def test_blending_weights_sum_to_one() -> None:
    """A codec whose network is a per-pixel map gives the same picture in tiles as whole, whatever the sizes."""
    codec = PictureCodec(_vae(), 1.0, 0.0, tile_size=64, tile_overlap=24)
    for height, width in [(64, 64), (72, 200), (328, 88)]:
        pixels = _pixels(1, 3, height, width)
        tiled = codec._code(lambda part: part * 2, pixels, 8, 8, tiled=True)
        torch.testing.assert_close(tiled, pixels * 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_honoured(codec: PictureCodec, dtype: torch.dtype) -> None:
    """Weights in half precision compute in it, on the CPU too, and what comes back has the caller's dtype."""
    pixels = _pixels(1, 3, 16, 24)
    exact = codec.encode(pixels)
    half = codec.to(dtype=dtype)
    assert {parameter.dtype for parameter in half.vae.parameters()} == {dtype}
    latents = half.encode(pixels)
    assert latents.dtype == torch.float32
    assert half.decode(latents.to(dtype)).dtype == dtype
    torch.testing.assert_close(latents, exact, atol=0.02, rtol=0.05)
    assert not torch.equal(latents, exact)


def test_save_and_load_are_bit_equal(codec: PictureCodec, tmp_path: Path) -> None:
    """A saved codec comes back with the same weights, scale and shift, and so with the same latents, bit for bit."""
    codec.save_pretrained(tmp_path)
    loaded = PictureCodec.from_pretrained(tmp_path)
    pixels = _pixels(1, 3, 16, 24)
    assert (loaded.scale, loaded.shift) == (0.5, 0.25)
    assert torch.equal(loaded.encode(pixels), codec.encode(pixels))
    other = AutoencoderKL.from_pretrained(tmp_path, low_cpu_mem_usage=False).to(memory_format=torch.channels_last)
    assert torch.equal(other.encode(pixels).latent_dist.mean, codec.vae.encode(pixels).latent_dist.mean)


def test_convolutions_have_their_channels_last(codec: PictureCodec, tmp_path: Path) -> None:
    """Which is faster; also after saving, whose files hold plain tensors, and in another precision."""
    codec.save_pretrained(tmp_path)
    for each in (codec, PictureCodec.from_pretrained(tmp_path), codec.to(dtype=torch.bfloat16)):
        kernels = [parameter for parameter in each.vae.parameters() if parameter.ndim == 4 and parameter.shape[-1] > 1]
        assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
        assert not all(kernel.is_contiguous() for kernel in kernels)


def test_nothing_of_the_codec_is_trained(codec: PictureCodec) -> None:
    """The codec's weights take no gradient, so an optimiser over a pipeline cannot change them."""
    assert not any(parameter.requires_grad for parameter in codec.vae.parameters())


@pytest.mark.parametrize(("shape", "nearest"), [((1, 3, 60, 67), "64x64"), ((1, 3, 8, 3), "8x8")])
def test_sizes_that_do_not_fit_name_the_nearest(codec: PictureCodec, shape: tuple[int, ...], nearest: str) -> None:
    """A side that is no multiple of 8 is refused, with the nearest size (width x height) that would do."""
    with pytest.raises(CodecError, match=f"got {shape[3]}x{shape[2]}; the nearest is {nearest}"):
        codec.encode(torch.zeros(shape))


def test_shapes_and_dtypes_that_do_not_fit(codec: PictureCodec) -> None:
    """Wrong ranks, channels and integer pictures are refused in one line."""
    with pytest.raises(CodecError, match=r"pixels \(B, 3, H, W\).*got torch.float32 \(3, 8, 8\)"):
        codec.encode(torch.zeros(3, 8, 8))
    with pytest.raises(CodecError, match=r"got torch.uint8"):
        codec.encode(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(CodecError, match=r"latents \(B, 3, h, w\), got torch.float32 \(1, 4, 2, 2\)"):
        codec.decode(torch.zeros(1, 4, 2, 2))


def test_vaes_that_do_not_fit() -> None:
    """A VAE of another factor, a scale of 0 and impossible tiles are refused."""
    half = _vae(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(8, 8, 8),
    )
    with pytest.raises(CodecError, match="divides sizes by 8, got one that divides by 4"):
        PictureCodec(half, 1.0, 0.0)
    with pytest.raises(CodecError, match="other than 0"):
        PictureCodec(_vae(), 0.0, 0.0)
    with pytest.raises(CodecError, match="got 64 and 64"):
        PictureCodec(_vae(), 1.0, 0.0, tile_size=64, tile_overlap=64)


def test_damaged_folders(codec: PictureCodec, tmp_path: Path) -> None:
    """A folder of another class, with a truncated file, or with weights missing is refused instead of half-loaded."""
    with pytest.raises(CheckpointError, match="does not exist"):
        PictureCodec.from_pretrained(tmp_path / "nowhere")
    codec.save_pretrained(tmp_path)
    weights, config = tmp_path / "diffusion_pytorch_model.safetensors", tmp_path / "config.json"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="truncated"):
        PictureCodec.from_pretrained(tmp_path)
    weights.write_bytes(whole)
    settings = json.loads(config.read_text())
    config.write_text(json.dumps({**settings, "layers_per_block": 2}))
    with pytest.raises(CheckpointError, match="tensors missing"):
        PictureCodec.from_pretrained(tmp_path)
    config.write_text(json.dumps({**settings, "_class_name": "AutoencoderTiny"}))
    with pytest.raises(CheckpointError, match="got AutoencoderTiny"):
        PictureCodec.from_pretrained(tmp_path)
