"""Log-mel spectrograms in the convention of SpeechT5's vocoder, and back to sound by Griffin-Lim.

16 kHz, 80 bins from 80 to 7600 Hz on Slaney's scale, a Hann window of 1024 samples every 256, the decimal logarithm of
amplitudes: what transformers' ``SpeechT5FeatureExtractor`` gives and ``SpeechT5HifiGan`` reads.

Legend: B batch, M mel bins, F frequency bins, T frames, n samples; frame i is centred on sample 256 i.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLE_RATE = 16_000
NUM_BINS = 80
HOP = 256
WINDOW = 1024
LOWEST_HZ, HIGHEST_HZ = 80.0, 7600.0
FLOOR = 1e-10
"""Mel amplitudes below this count as this, so that silence has a logarithm."""

_PHASE_SEED = 0
_MOMENTUM = 0.99


def log_mel(samples_Bn: Tensor) -> Tensor:
    """The log-mel spectrogram of mono sound at 16 kHz.

    Args:
        samples_Bn: (B, n) floating point in [-1, 1], n a multiple of 256 and at least 1024.

    Returns:
        (B, 80, n / 256), log10 of amplitudes, float32.

    Raises:
        ValueError: n does not fit.

    Example:
        >>> log_mel(torch.zeros(1, 16384)).shape
        torch.Size([1, 80, 64])
    """
    length = samples_Bn.shape[-1]
    if length % HOP or length < WINDOW:
        raise ValueError(f"expected a multiple of {HOP} samples, at least {WINDOW}, got {length}")
    magnitude_BFT = _stft(samples_Bn.float()).abs()[..., :-1]
    filters_FM = _filters().to(samples_Bn.device)
    mel_BMT = torch.einsum("bft,fm->bmt", magnitude_BFT, filters_FM)
    return mel_BMT.clamp(min=FLOOR).log10()


def griffin_lim(log_mel_BMT: Tensor, *, num_iterations: int = 48) -> Tensor:
    """Sound whose log-mel spectrogram is near the given one.

    Magnitudes are the non-negative ones whose mel spectrogram fits best, found by multiplicative updates (Lee and
    Seung, 2001); phases are found by alternating projections (Griffin and Lim, 1984) with momentum (Perraudin, Balazs
    and Søndergaard, 2013), from a fixed start, so that equal spectrograms give equal sound.

    Args:
        log_mel_BMT: (B, 80, T) log10 of amplitudes.
        num_iterations: Projections; more are slower and slightly better.

    Returns:
        (B, 256 T) samples, float32; not limited to [-1, 1].
    """
    magnitude_BFT = _magnitudes(10 ** log_mel_BMT.float())
    magnitude_BFT = F.pad(magnitude_BFT, (0, 1), mode="replicate")
    length = HOP * log_mel_BMT.shape[-1]
    generator = torch.Generator().manual_seed(_PHASE_SEED)
    angles_FT = 2 * torch.pi * torch.rand(magnitude_BFT.shape[1:], generator=generator).to(magnitude_BFT.device)
    spectrum_BFT = torch.polar(magnitude_BFT, angles_FT.expand_as(magnitude_BFT))
    previous_BFT = torch.zeros_like(spectrum_BFT)
    for _ in range(num_iterations):
        consistent_BFT = _stft(_istft(spectrum_BFT, length))
        ahead_BFT = consistent_BFT + _MOMENTUM * (consistent_BFT - previous_BFT)
        previous_BFT = consistent_BFT
        spectrum_BFT = magnitude_BFT * ahead_BFT / ahead_BFT.abs().clamp(min=1e-9)
    return _istft(spectrum_BFT, length)


def _stft(samples_Bn: Tensor) -> Tensor:
    """(B, 513, n / 256 + 1) complex."""
    window = torch.hann_window(WINDOW, device=samples_Bn.device)
    return torch.stft(samples_Bn, WINDOW, HOP, window=window, center=True, pad_mode="reflect", return_complex=True)


def _istft(spectrum_BFT: Tensor, length: int) -> Tensor:
    window = torch.hann_window(WINDOW, device=spectrum_BFT.device)
    return torch.istft(spectrum_BFT, WINDOW, HOP, window=window, center=True, length=length)


@cache
def _filters() -> Tensor:
    """(513, 80) float32: the triangles of the mel bank."""
    from transformers.audio_utils import mel_filter_bank  # takes a while to import

    bank = mel_filter_bank(
        num_frequency_bins=WINDOW // 2 + 1,
        num_mel_filters=NUM_BINS,
        min_frequency=LOWEST_HZ,
        max_frequency=HIGHEST_HZ,
        sampling_rate=SAMPLE_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    return torch.from_numpy(bank).float()


def _magnitudes(mel_BMT: Tensor, *, num_updates: int = 60) -> Tensor:
    """(B, 513, T) non-negative magnitudes that have nearly these mel amplitudes."""
    filters_FM = _filters().to(mel_BMT.device)
    target_BFT = torch.einsum("bmt,fm->bft", mel_BMT, filters_FM)
    magnitude_BFT = target_BFT / filters_FM.square().sum().div(NUM_BINS)
    for _ in range(num_updates):
        reached_BMT = torch.einsum("fm,bft->bmt", filters_FM, magnitude_BFT)
        reached_BFT = torch.einsum("fm,bmt->bft", filters_FM, reached_BMT)
        magnitude_BFT = magnitude_BFT * target_BFT / reached_BFT.clamp(min=1e-12)
    return magnitude_BFT
