"""Sounds in files."""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from flagdit_core.errors import CodecError
from lumina_audio.sound import Sound

RATES = range(1_000, 384_001)
"""Sample rates, in Hz, of sounds that somebody plays or records; a file that says another is damaged."""
_WHOLE = 0.9
"""A sound of less than this share of what its file says is damaged."""
_UNKNOWN_BYTES = 0x7FFF_0000
"""A WAV file that says more than this was written to a pipe, by a program that could not know its length."""


def read_sound(path: Path | str) -> Sound:
    """The sound in a file, at the file's own sample rate.

    Args:
        path: WAV, FLAC, Ogg, MP3 or what else libsndfile reads, with one or two channels.

    Returns:
        The sound; samples past full scale, which float files can hold, turn the whole down.

    Raises:
        CodecError: The file is missing, damaged, empty or no sound.
    """
    path = Path(path)
    with opened(path) as file:
        rate, channels, promised = file.samplerate, file.channels, file.frames
        is_wav = file.format == "WAV"
        try:
            samples = file.read(dtype="float32", always_2d=True).T
        except MemoryError as error:
            raise CodecError(f"{path} is damaged, or too long: it says that it has {promised} samples") from error
    if channels > 2:
        raise CodecError(f"{path} has {channels} channels; expected one or two: mix it down first")
    if rate not in RATES:
        raise CodecError(f"{path} is damaged: expected a rate of {RATES[0]} to {RATES[-1]} Hz, and it says {rate} Hz")
    if not samples.size:
        raise CodecError(f"{path} holds no sound")
    share = _riff_share(path) if is_wav else samples.shape[1] / max(1, promised)
    if share < _WHOLE:
        raise CodecError(f"{path} is damaged: it breaks off after {samples.shape[1] / rate:.2f} seconds")
    if not np.isfinite(samples).all():
        raise CodecError(f"{path} is damaged: some of its samples are no numbers")
    return Sound.of(samples, sample_rate=rate, safe=bool(np.abs(samples).max() > 1))


@contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """A sound file that can be read from.

    Args:
        path: The file.

    Yields:
        The file; what libsndfile's MP3 decoder prints about damaged ones is not seen.

    Raises:
        CodecError: It is missing, or cannot be read.
    """
    if not path.is_file():
        raise CodecError(f"there is no file {path}")
    try:
        # the bytes of its name, which need not be UTF-8; on Windows names have letters
        name = path if os.name == "nt" else os.fsencode(path)
        with _silent_stderr(), soundfile.SoundFile(name) as file:
            yield file
    except soundfile.SoundFileError as error:
        raise CodecError(f"{path} cannot be read as a sound: it is damaged, or of a format not known here") from error


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Nothing that C code prints to standard error is seen."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _riff_share(path: Path) -> float:
    """How much there is of a WAV file, of what it says."""
    with path.open("rb") as file:
        promised: int = struct.unpack("<4xI", file.read(8))[0]
    return 1.0 if promised > _UNKNOWN_BYTES else path.stat().st_size / max(1, promised)
