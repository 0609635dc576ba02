"""What a pipeline asks of the model that turns sound into latents and back.

Legend: B batch, A audio channels, n samples of a channel, C latent channels, R rows of a latent, L latents.
"""

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from flagdit_core.codec import Codec
from flagdit_core.errors import CodecError
from lumina_audio.sound import Sound


class SoundCodec(Codec, Protocol):
    """A codec of sound: media are (B, A, n) samples, latents (B, C, L), and n is L times ``stride[0]``.

    Latents of several rows are (B, C, R, L), for networks that cut pictures into patches too.

    Attributes:
        sample_rate: Of the samples, in Hz.
        audio_channels: A: 1 for mono, 2 for stereo.
        latent_rows: R.
    """

    @property
    def sample_rate(self) -> int:
        """Samples of a channel per second."""
        ...

    @property
    def audio_channels(self) -> int:
        """1 or 2."""
        ...

    @property
    def latent_rows(self) -> int:
        """1 for latents without rows."""
        ...


def latent_shape(codec: SoundCodec, num_samples: int, *, patch_size: int) -> tuple[int, ...]:
    """The shape of the latent of a sound.

    Args:
        codec: Makes it.
        num_samples: Of each channel.
        patch_size: Side of the network's patches, of which there are whole ones only.

    Returns:
        (C, L), or (C, R, L) of several rows, for the sound and as much after its end as fills the last patch.
    """
    length = patch_size * math.ceil(num_samples / (patch_size * codec.stride[0]))
    rows = () if codec.latent_rows == 1 else (codec.latent_rows,)
    return codec.latent_channels, *rows, length


def reconstruct(codec: SoundCodec, sound: Sound) -> Sound:
    """A sound as it is after a codec's round trip, by which verifiers are calibrated and codecs judged.

    Args:
        codec: Any.
        sound: With the codec's sample rate and channels; padded with silence to a whole number of latents.

    Returns:
        Of the same length; turned down as a whole where it would clip.

    Raises:
        CodecError: The sample rate or the number of channels is another.
    """
    if (sound.sample_rate, sound.num_channels) != (codec.sample_rate, codec.audio_channels):
        raise CodecError(
            f"expected {codec.audio_channels} channel(s) at {codec.sample_rate} Hz, "
            f"got {sound.num_channels} at {sound.sample_rate} Hz; resample first"
        )
    length = sound.samples.shape[1]
    padded = F.pad(torch.from_numpy(sound.samples), (0, -length % codec.stride[0]))
    decoded = codec.decode(codec.encode(padded[None]))[0, :, :length]
    return Sound.of(decoded.float().cpu().numpy(), sample_rate=sound.sample_rate, safe=True)


def check_media(media: Tensor, channels: int, stride: int) -> None:
    """Refuse what a codec cannot encode.

    Args:
        media: To be (B, ``channels``, n), floating point, n a multiple of ``stride``.
        channels: A.
        stride: Samples per latent.

    Raises:
        CodecError: The shape, the dtype or the length does not fit.
    """
    if media.ndim != 3 or media.shape[1] != channels or not media.is_floating_point():
        raise CodecError(
            f"expected floating-point samples (B, {channels}, n) in [-1, 1], got {media.dtype} {tuple(media.shape)}"
        )
    length = media.shape[-1]
    if length < stride or length % stride:
        nearest = max(1, round(length / stride)) * stride
        raise CodecError(f"expected a multiple of {stride} samples, got {length}; the nearest is {nearest}")


def check_latents(latents: Tensor, channels: int, *, rows: int = 1) -> None:
    """Refuse what a codec cannot decode.

    Args:
        latents: To be (B, ``channels``, L), or (B, ``channels``, ``rows``, L) of several rows, floating point.
        channels: C.
        rows: R.

    Raises:
        CodecError: The shape or dtype does not fit.
    """
    expected = (channels,) if rows == 1 else (channels, rows)
    if latents.ndim != 2 + len(expected) or latents.shape[1:-1] != expected or not latents.is_floating_point():
        raise CodecError(
            f"expected floating-point latents (B, {', '.join(map(str, expected))}, L), "
            f"got {latents.dtype} {tuple(latents.shape)}"
        )
