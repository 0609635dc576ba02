"""Both codecs: shapes, units, folders, and what they refuse; the mel codec is local and takes a vocoder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderOobleck
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from flagdit_core.errors import CheckpointError, CodecError
from lumina_audio.codec import SoundCodec, latent_shape, reconstruct
from lumina_audio.mel import HOP
from lumina_audio.mel_codec import MelCodec
from lumina_audio.mel_vae import MelVAE, MelVAEConfig
from lumina_audio.sound import Sound
from lumina_audio.waveform_codec import WaveformCodec


def _mel_vae(**settings: object) -> MelVAE:
    torch.manual_seed(0)
    defaults = {"latent_channels": 6, "hidden_size": 32, "depth": 2, "scaling_factor": 2.0, "shift_factor": 0.5}
    return MelVAE(MelVAEConfig(**{**defaults, **settings}))


def _vocoder(**settings: object) -> SpeechT5HifiGan:
    torch.manual_seed(0)
    small = {"upsample_initial_channel": 32, "resblock_kernel_sizes": [3], "resblock_dilation_sizes": [[1]]}
    return SpeechT5HifiGan(SpeechT5HifiGanConfig(**{**small, **settings}))


def _oobleck(**settings: object) -> AutoencoderOobleck:
    torch.manual_seed(0)
    small = {
        "encoder_hidden_size": 8,
        "downsampling_ratios": [2, 4],
        "channel_multiples": [1, 2],
        "decoder_channels": 4,
        "decoder_input_channels": 4,
        "sampling_rate": 44_100,
    }
    return AutoencoderOobleck(**{**small, **settings})


@pytest.fixture(params=["mel", "mel and vocoder", "waveform"])
def codec(request: pytest.FixtureRequest) -> SoundCodec:
    """A tiny random codec of each kind."""
    match request.param:
        case "mel":
            return MelCodec(_mel_vae())
        case "mel and vocoder":
            return MelCodec(_mel_vae(), _vocoder())
        case _:
            return WaveformCodec(_oobleck(), scale=2.0, shift=0.5)


def _samples(codec: SoundCodec, latents: int, *, batch: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (batch, codec.audio_channels, latents * codec.stride[0])
    return 0.1 * torch.randn(shape, generator=generator)


def test_shapes_and_units(codec: SoundCodec) -> None:
    """Samples (B, A, n) become latents (B, C, n / stride) and come back with their length, in the caller's dtype."""
    samples = _samples(codec, 16)
    latents = codec.encode(samples)
    assert latents.shape == (2, codec.latent_channels, 16)
    assert codec.decode(latents).shape == samples.shape
    assert codec.encode(samples.double()).dtype == torch.float64
    assert codec.decode(latents.bfloat16()).dtype == torch.bfloat16


def test_scale_and_shift_are_of_the_raw_latents(codec: SoundCodec) -> None:
    """Latents are (raw - shift) * scale; decoding undoes that before the network sees them."""
    samples = _samples(codec, 8)
    raw = codec.encode(samples) / codec.scale + codec.shift
    if isinstance(codec, WaveformCodec):
        plain: SoundCodec = WaveformCodec(codec.vae)
    else:
        plain = MelCodec(_mel_vae(scaling_factor=1.0, shift_factor=0.0), codec.vocoder)
    torch.testing.assert_close(plain.encode(samples), raw)
    torch.testing.assert_close(plain.decode(raw), codec.decode(codec.encode(samples)), atol=1e-4, rtol=1e-3)


def test_save_and_load_are_bit_equal(codec: SoundCodec, tmp_path: Path) -> None:
    """A saved codec comes back with the same weights, units and vocoder, and so with the same numbers, bit for bit."""
    codec.save_pretrained(tmp_path)
    loaded = type(codec).from_pretrained(tmp_path)
    samples = _samples(codec, 8)
    assert (loaded.scale, loaded.shift) == (2.0, 0.5)
    latents = codec.encode(samples)
    assert torch.equal(loaded.encode(samples), latents)
    assert torch.equal(loaded.decode(latents), codec.decode(latents))


def test_nothing_of_a_codec_is_trained(codec: SoundCodec) -> None:
    """The weights take no gradient, so an optimiser over a pipeline cannot change them."""
    assert not codec.encode(_samples(codec, 8)).requires_grad
    modules = [codec.vae, getattr(codec, "vocoder", None)]
    assert not any(parameter.requires_grad for module in modules if module for parameter in module.parameters())


def test_half_precision_is_honoured(codec: SoundCodec) -> None:
    """Weights in bfloat16 compute in it, and come near."""
    samples = _samples(codec, 8)
    exact = codec.encode(samples)
    half = codec.to(dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.vae.parameters()} == {torch.bfloat16}
    latents = half.encode(samples)
    assert latents.dtype == torch.float32
    assert float((latents - exact).abs().mean()) < 0.05 * float(exact.std())
    assert half.decode(latents).isfinite().all()


def test_what_does_not_fit_is_refused(codec: SoundCodec) -> None:
    """Wrong ranks, channels, dtypes and lengths raise one line; a length names the nearest that would do."""
    stride, channels = codec.stride[0], codec.audio_channels
    with pytest.raises(CodecError, match="expected floating-point samples"):
        codec.encode(torch.zeros(channels, stride))
    with pytest.raises(CodecError, match="expected floating-point samples"):
        codec.encode(torch.zeros(1, 3, stride))
    with pytest.raises(CodecError, match=r"got torch.int16"):
        codec.encode(torch.zeros(1, channels, stride, dtype=torch.int16))
    with pytest.raises(CodecError, match=f"multiple of {stride} samples.*nearest is {2 * stride}"):
        codec.encode(torch.zeros(1, channels, 2 * stride + 1))
    with pytest.raises(CodecError, match="expected floating-point latents"):
        codec.decode(torch.zeros(1, codec.latent_channels + 1, 4))


def test_reconstruction_keeps_length_and_checks_the_sound(codec: SoundCodec) -> None:
    """Any duration goes through; another rate or number of channels is refused with what to do."""
    samples = 0.1 * np.random.default_rng(0).normal(size=(codec.audio_channels, 5000))
    sound = Sound.of(np.clip(samples, -1, 1), sample_rate=codec.sample_rate)
    assert reconstruct(codec, sound).samples.shape == sound.samples.shape
    with pytest.raises(CodecError, match="resample first"):
        reconstruct(codec, sound.resampled(8000))


def test_latents_of_a_place_do_not_depend_on_the_length() -> None:
    """The mel VAE looks at a neighbourhood alone: the beginning of a long sound is coded as that of a short one."""
    codec = MelCodec(_mel_vae())
    samples = _samples(codec, 48, batch=1)
    whole, beginning = codec.encode(samples), codec.encode(samples[..., : 24 * codec.stride[0]])
    torch.testing.assert_close(whole[..., :16], beginning[..., :16], atol=1e-5, rtol=0)
    torch.testing.assert_close(
        codec.decode_mel(whole)[..., : 4 * 8], codec.decode_mel(whole[..., :24])[..., : 4 * 8], atol=1e-5, rtol=0
    )


def test_rows_hold_the_same_numbers(tmp_path: Path) -> None:
    """Folded into two rows, latents are the same numbers in another order, and sound the same; the folder says so."""
    plain = MelCodec(_mel_vae())
    MelCodec(plain.vae, latent_rows=2).save_pretrained(tmp_path)
    folded = MelCodec.from_pretrained(tmp_path)
    samples = _samples(plain, 8)
    latents = folded.encode(samples)
    assert latents.shape == (2, folded.latent_channels, folded.latent_rows, 8) == (2, 3, 2, 8)
    assert torch.equal(latents.flatten(1, 2), plain.encode(samples))
    assert torch.equal(folded.decode(latents), plain.decode(plain.encode(samples)))


def test_folders_of_before_rows(tmp_path: Path) -> None:
    """A folder that does not speak of rows has latents without them, like the shipped one."""
    MelCodec(_mel_vae()).save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    settings = json.loads(config.read_text())
    assert settings.pop("latent_rows") == 1
    config.write_text(json.dumps(settings))
    assert MelCodec.from_pretrained(tmp_path).latent_rows == 1


def test_latent_shapes() -> None:
    """Whole latents, and whole patches of them, that hold all of the samples and no more than that."""
    codec = MelCodec(_mel_vae())
    folded, stride = MelCodec(codec.vae, latent_rows=2), codec.stride[0]
    assert latent_shape(codec, 7 * stride, patch_size=1) == (6, 7)
    assert latent_shape(codec, 7 * stride + 1, patch_size=1) == (6, 8)
    assert latent_shape(folded, 8 * stride, patch_size=2) == (3, 2, 8)
    assert latent_shape(folded, 8 * stride + 1, patch_size=2) == (3, 2, 10)
    assert latent_shape(WaveformCodec(_oobleck()), 17, patch_size=1) == (4, 3)


def test_the_vocoder_reads_the_decoded_spectrogram() -> None:
    """With a vocoder the sound is its output for the decoded spectrogram, which Griffin-Lim has no part in."""
    codec = MelCodec(_mel_vae(), _vocoder())
    latents = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    spectrogram = codec.decode_mel(latents)[0].T
    torch.testing.assert_close(codec.decode(latents)[0, 0], codec.vocoder(spectrogram), atol=1e-5, rtol=1e-4)


def test_waveform_folder_is_diffusers_own(tmp_path: Path) -> None:
    """What we write diffusers reads, and one that it wrote, without our units, loads with scale 1 and shift 0."""
    vae = _oobleck(audio_channels=1)
    WaveformCodec(vae, scale=3.0).save_pretrained(tmp_path / "ours")
    theirs = AutoencoderOobleck.from_pretrained(tmp_path / "ours", low_cpu_mem_usage=False)
    samples = torch.randn(1, 1, 64)
    assert torch.equal(theirs.encode(samples).latent_dist.mode(), vae.encode(samples).latent_dist.mode())
    _oobleck().save_pretrained(tmp_path / "theirs")
    loaded = WaveformCodec.from_pretrained(tmp_path / "theirs")
    assert (loaded.scale, loaded.shift, loaded.audio_channels, loaded.sample_rate) == (1.0, 0.0, 2, 44_100)


def test_parts_that_do_not_fit() -> None:
    """Other spectrograms, other vocoders, a scale of 0 and impossible sizes are refused."""
    with pytest.raises(CodecError, match="80 bins, got 64"):
        MelCodec(_mel_vae(num_bins=64))
    with pytest.raises(CodecError, match=f"80 bins, {HOP} samples a frame and 16000 Hz, got 80, 256 and 22050"):
        MelCodec(_mel_vae(), _vocoder(sampling_rate=22_050))
    for rows in (0, 4):
        with pytest.raises(CodecError, match=f"rows that divide the 6 channels of the mel VAE, got {rows}"):
            MelCodec(_mel_vae(), latent_rows=rows)
    with pytest.raises(CodecError, match=r"latents \(B, 3, 2, L\), got torch.float32 \(1, 6, 8\)"):
        MelCodec(_mel_vae(), latent_rows=2).decode(torch.zeros(1, 6, 8))
    with pytest.raises(CodecError, match="other than 0"):
        WaveformCodec(_oobleck(), scale=0.0)
    for settings in ({"kernel_size": 4}, {"depth": 0}, {"mel_std": 0.0}, {"scaling_factor": 0.0}):
        with pytest.raises(ValueError, match="expected"):
            MelVAEConfig(**settings)


@pytest.mark.parametrize("kind", [MelCodec, WaveformCodec])
def test_damaged_folders(kind: type[MelCodec] | type[WaveformCodec], tmp_path: Path) -> None:
    """A folder that is missing, of another class, cut short or without some weights is refused, not half-loaded."""
    with pytest.raises(CheckpointError, match="does not exist"):
        kind.from_pretrained(tmp_path / "nowhere")
    (MelCodec(_mel_vae()) if kind is MelCodec else WaveformCodec(_oobleck())).save_pretrained(tmp_path)
    weights, config = tmp_path / "diffusion_pytorch_model.safetensors", tmp_path / "config.json"
    whole, settings = weights.read_bytes(), json.loads(config.read_text())
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="truncated"):
        kind.from_pretrained(tmp_path)
    weights.write_bytes(whole)
    config.write_text(json.dumps({**settings, **({"depth": 3} if kind is MelCodec else {"audio_channels": 1})}))
    with pytest.raises(CheckpointError):
        kind.from_pretrained(tmp_path)
    config.write_text(json.dumps({**settings, "_class_name": "AutoencoderKL"}))
    with pytest.raises(CheckpointError, match="got AutoencoderKL"):
        kind.from_pretrained(tmp_path)


def test_damaged_vocoders(tmp_path: Path) -> None:
    """A vocoder folder that holds something else is named."""
    MelCodec(_mel_vae(), _vocoder()).save_pretrained(tmp_path)
    (tmp_path / "vocoder" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="vocoder"):
        MelCodec.from_pretrained(tmp_path)
