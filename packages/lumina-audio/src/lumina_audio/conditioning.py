"""What is given of a sound already: its beginning, or all but a span of it."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from flagdit_core.errors import ConfigError
from flagdit_core.pipeline import Known
from lumina_audio.codec import SoundCodec
from lumina_audio.sound import PEAK_CEILING_DB, Sound

CROSSFADE = 0.01
"""Seconds over which what is kept and what is made pass into one another; the fades lie inside the span, or, where
nothing is given after its start, just before it."""


def fitting(sound: Sound, codec: SoundCodec) -> Sound:
    """A sound with the sample rate and the channels of a codec.

    Args:
        sound: Any.
        codec: Which.

    Returns:
        The same sound, resampled, and mixed down or played on both sides.

    Raises:
        ConfigError: It is something else.
    """
    if not isinstance(sound, Sound):
        raise ConfigError(f"audio must be a Sound, got {type(sound).__name__}; read_sound reads one from a file")
    sound = sound.mono() if codec.audio_channels == 1 else sound.stereo()
    return sound.resampled(codec.sample_rate)


def check_span(span: tuple[float, float] | None, sound: Sound, seconds: float) -> tuple[float, float]:
    """Where a sound is made anew.

    Args:
        span: (start, end) in seconds; None for all that comes after the given sound.
        sound: What is given.
        seconds: Length of the sound to be made.

    Returns:
        The span.

    Raises:
        ConfigError: It is none, is empty, or reaches beyond what there is.
    """
    if span is None:
        if sound.seconds >= seconds:
            raise ConfigError(
                f"nothing is left to make: the sound has {sound.seconds:.2f} s, and {seconds:.2f} s are wanted in all; "
                "ask for more, or name a span to make anew"
            )
        return sound.seconds, seconds
    is_pair = isinstance(span, Sequence) and len(span) == 2
    if not is_pair or not all(isinstance(edge, int | float) for edge in span):
        raise ConfigError(f"audio_span must be (start, end) in seconds, got {span!r}")
    start, end = span
    if not 0 <= start < end <= seconds:
        raise ConfigError(f"expected a span within 0 and {seconds:.2f} s, its start before its end, got {start}, {end}")
    if sound.seconds < seconds and not (start <= sound.seconds and end == seconds):
        raise ConfigError(
            f"the sound ends at {sound.seconds:.2f} s: the span must begin there or before it, "
            f"and reach to {seconds:.2f} s, got {start}, {end}"
        )
    return start, end


def known_sound(codec: SoundCodec, sound: Sound, span: tuple[float, float], length: int, device: torch.device) -> Known:
    """The cells of a sound that are given. What is not is silent when they are encoded, and leaves no trace in them.

    Args:
        codec: Encodes it.
        sound: What is given, as the codec takes it.
        span: (start, end) in seconds, where it is made anew.
        length: L of the latent.
        device: Where the codec is.

    Returns:
        Values (C, L) or (C, R, L), and a mask (1, L) of the cells that no part of the span touches.

    Raises:
        ConfigError: The span leaves no cell to keep.
    """
    stride = codec.stride[0]
    start, end = (round(edge * sound.sample_rate) for edge in span)
    samples = torch.from_numpy(sound.samples)[:, : length * stride]
    media = F.pad(samples, (0, length * stride - samples.shape[1]))[None].to(device)
    media[..., start:end] = 0
    cells = torch.arange(length)
    kept = ((cells + 1) * stride <= start) | (cells * stride >= end)
    if not bool(kept.any()):
        cell = stride / sound.sample_rate
        raise ConfigError(f"the span leaves nothing of the sound: cells of this model last {cell:.3f} s")
    return Known(values=codec.encode(media)[0].cpu(), mask=kept[None])


def splice(made: Sound, given: Sound, span: tuple[float, float]) -> Sound:
    """What is made inside the span, and what was given outside of it, with short cross-fades.

    Args:
        made: The whole sound as the codec gives it.
        given: What was given, at the same rate.
        span: (start, end) in seconds.

    Returns:
        As long as ``made``; turned down as a whole where it would clip.
    """
    length, rate = made.samples.shape[1], made.sample_rate
    given_length = min(length, given.samples.shape[1])
    start, end = (round(edge * rate) for edge in span)
    fade = max(1, min(round(CROSSFADE * rate), (end - start) // 2))
    place = np.arange(length) + 0.5
    inside = np.ones(length, dtype=np.float32)
    if start > 0:
        inside = np.minimum(inside, (place - min(start, given_length - fade)) / fade)
    if end < length:
        inside = np.minimum(inside, (end - place) / fade)
    inside = np.clip(inside, 0, 1)
    kept = np.pad(given.samples[:, :given_length], ((0, 0), (0, length - given_length)))
    mixed = inside * made.samples + (1 - inside) * kept
    loud = given.peak_db > PEAK_CEILING_DB  # what is made is not; a gain of nearly 1 would change what is kept
    return Sound.of(mixed, sample_rate=rate, safe=loud)
