"""Films to latents and back: what the two codecs mean by a latent, and that decoding streams."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan

from flagdit_core.errors import CheckpointError, CodecError
from lumina_video.codec import CausalCodec, FilmCodec, FrameCodec, load_codec, to_pixels


def _film(frames: int, *, height: int = 16, width: int = 24) -> torch.Tensor:
    return torch.rand(2, 3, frames, height, width, generator=torch.Generator().manual_seed(frames)) * 2 - 1


@pytest.fixture(params=["frame", "causal"])
def codec(request: pytest.FixtureRequest) -> FilmCodec:
    """Both codecs in turn."""
    chosen: FilmCodec = request.getfixturevalue(f"{request.param}_codec")
    return chosen


def test_frames_are_pictures(frame_codec: FrameCodec) -> None:
    """Frame by frame, the latent of a film is that of its pictures, and so is what is decoded."""
    film = _film(3)
    latents = frame_codec.encode(film)
    assert latents.shape == (2, 4, 3, 2, 3)
    for number in range(3):
        assert torch.equal(latents[:, :, number], frame_codec.pictures.encode(film[:, :, number]))
    assert torch.equal(frame_codec.decode(latents)[:, :, 1], frame_codec.pictures.decode(latents[:, :, 1]))


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 5, 13])
def test_streaming_is_the_whole_decoding(causal_codec: CausalCodec, frames: int) -> None:
    """Frame after frame, the causal decoder gives what diffusers gives for the whole film, in the VAE's own units."""
    latents = causal_codec.encode(_film(frames))
    mean, deviation = (torch.tensor(causal_codec.vae.config[name]) for name in ("latents_mean", "latents_std"))
    z = latents * deviation[:, None, None, None] + mean[:, None, None, None]
    whole = causal_codec.vae.decode(z).sample
    streamed = torch.stack(list(causal_codec.decode_frames(latents[0])), dim=1)
    assert whole.shape == (2, 3, frames, 16, 24)
    torch.testing.assert_close(streamed, whole[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(causal_codec.decode(latents), whole, rtol=0, atol=1e-5)


@torch.no_grad()
def test_units_are_the_configurations(causal_codec: CausalCodec) -> None:
    """A causal latent is the posterior's mean, less each channel's mean, over its deviation."""
    film = _film(5)
    z = causal_codec.vae.encode(film).latent_dist.mode()
    latents = causal_codec.encode(film)
    torch.testing.assert_close(latents[:, 0], (z[:, 0] - 0.5) / 2.0)
    torch.testing.assert_close(latents[:, 2], z[:, 2] / 0.5)


def test_a_picture_is_a_film_of_one_frame(causal_codec: CausalCodec) -> None:
    """One frame is one latent frame, the same that begins a longer film: the codec does not look ahead."""
    film = _film(9)
    one, many = causal_codec.encode(film[:, :, :1]), causal_codec.encode(film)
    assert (one.shape[2], many.shape[2]) == (1, 3)
    torch.testing.assert_close(one[:, :, 0], many[:, :, 0])


def test_counts(frame_codec: FrameCodec, causal_codec: CausalCodec) -> None:
    """Frames and latent frames belong together, both ways; impossible counts name their neighbours."""
    assert [causal_codec.latent_frames(count) for count in (1, 5, 9, 81)] == [1, 2, 3, 21]
    for any_codec in (frame_codec, causal_codec):
        assert all(any_codec.latent_frames(any_codec.num_frames(count)) == count for count in range(1, 9))
    with pytest.raises(CodecError, match="got 16; the nearest are 13 and 17"):
        causal_codec.latent_frames(16)
    with pytest.raises(CodecError, match="got 4; the nearest are 1 and 5"):
        causal_codec.encode(_film(4))


def test_decoding_takes_a_latent_frame_at_a_time(codec: FilmCodec) -> None:
    """Asking for the first frame of a very long film decodes no more than its first latent frame."""
    network = codec.pictures.vae if isinstance(codec, FrameCodec) else codec.vae
    seen = []
    with network.decoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape)):
        assert next(codec.decode_frames(torch.zeros(4, 1000, 2, 3))).shape == (3, 16, 24)
    assert len(seen) == 1 and seen[0].numel() == 4 * 2 * 3


@pytest.mark.parametrize(
    "media",
    [torch.zeros(3, 5, 16, 16), torch.zeros(1, 4, 5, 16, 16), torch.zeros(1, 3, 5, 16, 16, dtype=torch.uint8)],
)
def test_what_is_no_film_is_refused(codec: FilmCodec, media: torch.Tensor) -> None:
    """A missing axis, four channels and bytes raise our error."""
    with pytest.raises(CodecError, match="expected floating-point films"):
        codec.encode(media)


def test_sizes_that_the_vae_cannot_divide(codec: FilmCodec) -> None:
    """Sides that are no multiple of 8 are refused with the nearest that are."""
    with pytest.raises(CodecError, match="20x16; the nearest is 16x16"):
        codec.encode(torch.zeros(1, 3, 1, 16, 20))


def test_save_and_load_by_class(codec: FilmCodec, tmp_path: Path) -> None:
    """The folder's class picks the codec, which then gives the same latents and films, in the dtype asked for."""
    codec.save_pretrained(tmp_path / "vae")
    loaded = load_codec(tmp_path / "vae")
    assert type(loaded) is type(codec)
    latents = codec.encode(_film(5))
    assert torch.equal(loaded.encode(_film(5)), latents)
    assert torch.equal(loaded.decode(latents), codec.decode(latents))
    half = load_codec(tmp_path / "vae", dtype=torch.bfloat16)
    difference = (half.encode(_film(5)) - latents).abs().mean()
    assert 0 < difference < 0.1 * latents.abs().mean()
    assert half.encode(_film(5)).dtype == torch.float32
    assert torch.allclose(half.to(dtype=torch.float32).encode(_film(5)), latents, atol=0.1)


def test_folders_of_other_kinds_are_refused(tmp_path: Path) -> None:
    """A VAE of another class, and none at all, are named."""
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderTiny"}')
    with pytest.raises(CheckpointError, match=r"AutoencoderKL or AutoencoderKLWan in .*, got AutoencoderTiny"):
        load_codec(tmp_path)
    with pytest.raises(CheckpointError):
        load_codec(tmp_path / "none")


def test_vaes_of_other_factors_are_refused() -> None:
    """Only 4 x 8 x 8 has the counts that the rest relies on."""
    vae = AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1], num_res_blocks=1, temperal_downsample=[True, True],
        latents_mean=[0.0] * 4, latents_std=[1.0] * 4, scale_factor_spatial=4,
    )  # fmt: skip
    with pytest.raises(CodecError, match=r"got \(4, 4\)"):
        CausalCodec(vae)


def test_pixels() -> None:
    """Bytes become [-1, 1] exactly, and the axes a batch of one film."""
    frames = torch.tensor([0, 255, 128], dtype=torch.uint8).expand(4, 8, 16, 3)
    pixels = to_pixels(frames)
    assert pixels.shape == (1, 3, 4, 8, 16)
    assert pixels[0, :, 0, 0, 0].tolist() == pytest.approx([-1.0, 1.0, 128 / 127.5 - 1], abs=1e-6)
