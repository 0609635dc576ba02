"""Mel spectrograms are the vocoder's, and Griffin-Lim turns them back into the sound they came from."""

import numpy as np
import pytest
import torch
from transformers import SpeechT5FeatureExtractor

from lumina_audio.mel import HOP, SAMPLE_RATE, WINDOW, griffin_lim, log_mel


def _tone(frequency: float, *, seconds: float = 0.512) -> torch.Tensor:
    time = torch.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return 0.3 * torch.sin(2 * torch.pi * frequency * time)[None]


def test_equal_to_the_vocoders_own_features() -> None:
    """The numbers are those of transformers' SpeechT5FeatureExtractor, for which SpeechT5HifiGan is trained."""
    samples = np.random.default_rng(0).normal(0, 0.1, 8192).astype(np.float32)
    theirs = SpeechT5FeatureExtractor()(audio_target=samples, sampling_rate=SAMPLE_RATE, return_tensors="pt")
    ours = log_mel(torch.from_numpy(samples)[None])
    torch.testing.assert_close(ours[0].T, theirs["input_values"][0, :-1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("length", [0, 768, 5000])
def test_lengths_that_do_not_fit(length: int) -> None:
    """Too short a sound, or one that is no multiple of the hop, is refused."""
    with pytest.raises(ValueError, match=f"multiple of {HOP} samples, at least {WINDOW}"):
        log_mel(torch.zeros(1, length))


@pytest.mark.parametrize("frequency", [250.0, 650.0, 1700.0])
def test_griffin_lim_keeps_pitch_and_level(frequency: float) -> None:
    """A tone survives the way through its mel spectrogram: frequency to 3 %, level to 2 dB."""
    samples = _tone(frequency)
    back = griffin_lim(log_mel(samples))
    assert back.shape == samples.shape
    middle = slice(2048, 6144)
    peak = torch.fft.rfft(back[0, middle] * torch.hann_window(4096)).abs().argmax() * SAMPLE_RATE / 4096
    assert float(peak) == pytest.approx(frequency, rel=0.03)
    ratio = back[0, middle].square().mean() / samples[0, middle].square().mean()
    assert abs(10 * float(ratio.log10())) < 2


def test_griffin_lim_is_a_function_of_the_spectrogram() -> None:
    """Equal spectrograms give equal sound, alone or in a batch, whatever the state of torch's random numbers."""
    mel = log_mel(torch.cat([_tone(300.0), _tone(900.0)]))
    torch.manual_seed(1)
    together = griffin_lim(mel, num_iterations=4)
    torch.manual_seed(2)
    alone = griffin_lim(mel[1:], num_iterations=4)
    torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=0)


def test_silence_stays_silent() -> None:
    """Digital silence comes back as nothing audible, and no NaN."""
    back = griffin_lim(log_mel(torch.zeros(1, 4096)), num_iterations=4)
    assert float(back.abs().max()) < 1e-4
