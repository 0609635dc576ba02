"""Sound to latents and back by way of its mel spectrogram: a small VAE of ours, and a vocoder or Griffin-Lim.

Legend: B batch, n samples, M mel bins, T mel frames, C latent channels, R rows of a latent, L latents.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from flagdit_core.errors import CheckpointError, CodecError
from flagdit_core.model.checkpoint import load_into, read_config, read_state_dict
from lumina_audio.codec import check_latents, check_media
from lumina_audio.mel import HOP, NUM_BINS, SAMPLE_RATE, griffin_lim, log_mel
from lumina_audio.mel_vae import MelVAE, MelVAEConfig

if TYPE_CHECKING:
    from transformers import SpeechT5HifiGan

_VOCODER = "vocoder"


class MelCodec:
    """A mel VAE, and a vocoder that turns its spectrograms into sound: mono at 16 kHz, 1024 samples for a latent.

    Args:
        vae: The network; put into eval mode, its parameters frozen.
        vocoder: A SpeechT5HifiGan for 80 bins at 16 kHz; None for Griffin-Lim, which needs no training.
        latent_rows: R. The network's channels are folded into so many rows: with two of them, patches of 2 x 2 of a
            latent of 8 channels hold as much as those of pictures, and one Flag-DiT reads both.

    Attributes:
        latent_channels: C, the network's channels divided by the rows.
        stride: Samples per latent along (T, H, W): the second and third are 1.

    Raises:
        CodecError: VAE or vocoder is for other spectrograms, or the channels do not fill the rows.

    Example:
        >>> codec = MelCodec(MelVAE(MelVAEConfig(hidden_size=32, depth=1)))
        >>> codec.encode(torch.zeros(1, 1, 4096)).shape
        torch.Size([1, 16, 4])
    """

    library_class = ("lumina_audio", "MelCodec")
    sample_rate = SAMPLE_RATE
    audio_channels = 1

    def __init__(self, vae: MelVAE, vocoder: SpeechT5HifiGan | None = None, *, latent_rows: int = 1) -> None:
        if vae.config.num_bins != NUM_BINS:
            raise CodecError(f"expected a mel VAE of {NUM_BINS} bins, got {vae.config.num_bins}")
        if vocoder is not None:
            _check_vocoder(vocoder)
        channels = vae.config.latent_channels
        if latent_rows < 1 or channels % latent_rows:
            raise CodecError(f"expected rows that divide the {channels} channels of the mel VAE, got {latent_rows}")
        self.vae = vae.eval().requires_grad_(False)
        self.vocoder = None if vocoder is None else vocoder.eval().requires_grad_(False)
        self.latent_rows = latent_rows
        self.latent_channels = channels // latent_rows
        self.stride = (HOP * vae.config.patch_frames, 1, 1)
        self.scale = vae.config.scaling_factor
        self.shift = vae.config.shift_factor

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, dtype: torch.dtype = torch.float32) -> MelCodec:
        """Load a folder that :meth:`save_pretrained` wrote.

        Args:
            folder: Holds config.json and safetensors weights, and the vocoder's own folder ``vocoder`` if there is one.
            dtype: Of the weights, and of the computation up to the spectrogram.

        Returns:
            The codec, on the CPU.

        Raises:
            CheckpointError: The folder or its weights are missing, damaged or of another kind.
        """
        folder = Path(folder)
        config = read_config(folder)
        kind, latent_rows = config.pop("_class_name", None), config.pop("latent_rows", 1)
        if kind != "MelVAE":
            raise CheckpointError(f"expected a VAE of class MelVAE in {folder}, got {kind}")
        try:
            settings = MelVAEConfig(**config)
        except TypeError as error:
            raise CheckpointError(f"{folder}: config.json is not of a mel VAE: {error}") from error
        with torch.device("meta"):
            vae = MelVAE(settings)
        load_into(vae, read_state_dict(folder), source=str(folder))
        vocoder = _load_vocoder(folder / _VOCODER) if (folder / _VOCODER).is_dir() else None
        return cls(vae.to(dtype=dtype), vocoder, latent_rows=latent_rows)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json (with scale and shift) and safetensors weights; a vocoder in a folder of its own."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {"_class_name": "MelVAE", **asdict(self.vae.config), "latent_rows": self.latent_rows}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in self.vae.state_dict().items()}
        save_file(weights, folder / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
        if self.vocoder is not None:
            self.vocoder.save_pretrained(folder / _VOCODER)

    def to(self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> MelCodec:
        """This codec, with its weights moved; the vocoder stays in float32."""
        self.vae.to(device=device, dtype=dtype)
        if self.vocoder is not None:
            self.vocoder.to(device=device)
        return self

    @torch.no_grad()
    def encode(self, media: Tensor) -> Tensor:
        """Latents of sound.

        Args:
            media: (B, 1, n) floating point in [-1, 1], n a multiple of ``stride[0]``.

        Returns:
            (B, C, n / stride) or, of several rows, (B, C, R, n / stride), in the dtype of ``media``: the posterior's
            mean, about unit variance.

        Raises:
            CodecError: The shape, the dtype or the length does not fit.
        """
        check_media(media, self.audio_channels, self.stride[0])
        mean_BCL, _ = self.vae.encode(log_mel(media[:, 0]).to(next(self.vae.parameters()).dtype))
        latents = ((mean_BCL.float() - self.shift) * self.scale).to(media.dtype)
        if self.latent_rows > 1:
            latents = rearrange(latents, "b (c r) l -> b c r l", r=self.latent_rows)
        return latents

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Sound of latents.

        Args:
            latents: (B, C, L) or (B, C, R, L), floating point, as ``encode`` gives them.

        Returns:
            (B, 1, L * stride) in the dtype of ``latents``, in [-1, 1] but for small excursions (not clamped).

        Raises:
            CodecError: The shape or dtype does not fit.
        """
        mel_BMT = self.decode_mel(latents)
        if self.vocoder is None:
            samples_Bn = griffin_lim(mel_BMT)
        else:
            spectrogram_BTM = rearrange(mel_BMT, "b m t -> b t m")
            samples_Bn = self.vocoder(spectrogram_BTM)
        return samples_Bn[:, None].to(latents.dtype)

    @torch.no_grad()
    def decode_mel(self, latents: Tensor) -> Tensor:
        """The log-mel spectrogram of latents.

        Args:
            latents: As for :meth:`decode`.

        Returns:
            (B, M, T) log10 amplitudes, float32; what lies at the floor or below is silence.

        Raises:
            CodecError: The shape or dtype does not fit.
        """
        check_latents(latents, self.latent_channels, rows=self.latent_rows)
        if self.latent_rows > 1:
            latents = rearrange(latents, "b c r l -> b (c r) l")
        raw_BCL = (latents.float() / self.scale + self.shift).to(next(self.vae.parameters()).dtype)
        return self.vae.decode(raw_BCL).float()


def _load_vocoder(folder: Path) -> SpeechT5HifiGan:
    """A vocoder from its own folder, in float32."""
    from transformers import SpeechT5HifiGan

    try:
        vocoder: Any = SpeechT5HifiGan.from_pretrained(folder)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{folder} is not a SpeechT5HifiGan: {error}") from error
    return vocoder


def _check_vocoder(vocoder: SpeechT5HifiGan) -> None:
    """Refuse a vocoder of another kind of spectrogram."""
    config = vocoder.config
    hop = math.prod(config.upsample_rates)
    if (config.model_in_dim, hop, config.sampling_rate) != (NUM_BINS, HOP, SAMPLE_RATE):
        raise CodecError(
            f"expected a vocoder of {NUM_BINS} bins, {HOP} samples a frame and {SAMPLE_RATE} Hz, "
            f"got {config.model_in_dim}, {hop} and {config.sampling_rate}"
        )
