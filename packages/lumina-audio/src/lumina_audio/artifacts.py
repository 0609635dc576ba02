"""Sound files that carry the settings they were made with, and appear whole or not at all."""

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile

from flagdit_core.errors import ConfigError, OutputError, ShapeError
from flagdit_core.metadata import decode_metadata, encode_metadata
from flagdit_core.output import atomic_file, check_ending
from flagdit_core.picture_files import read_png_metadata
from lumina_audio.reading import RATES, opened
from lumina_audio.sound import Sound

_SOFTWARE = "lumina-audio"
_BLOCK = 1 << 16  # samples encoded at once: libsndfile's Vorbis encoder keeps a block on the stack
_OGG_RATES = range(RATES.start, 200_001)
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_RIFF_BYTES = 2**32 - 2**20  # a RIFF file counts its bytes in 32 bits; room is left for the settings


@dataclass(frozen=True, kw_only=True)
class _Format:
    """How libsndfile calls a format, which sample rates (in Hz) it holds, and whether its tags are UTF-8."""

    name: str
    subtype: str
    rates: range | tuple[int, ...]
    unicode: bool = False

    @property
    def held(self) -> str:
        rates = self.rates
        return f"{rates[0]} to {rates[-1]} Hz" if isinstance(rates, range) else f"{', '.join(map(str, rates))} Hz"


_FORMATS = {
    ".wav": _Format(name="WAV", subtype="PCM_16", rates=RATES),
    ".flac": _Format(name="FLAC", subtype="PCM_16", rates=RATES, unicode=True),
    ".ogg": _Format(name="OGG", subtype="VORBIS", rates=_OGG_RATES, unicode=True),
    ".mp3": _Format(name="MP3", subtype="MPEG_LAYER_III", rates=_MP3_RATES),
}


def check_sound_file(path: Path, *, sample_rate: int, num_samples: int = 1, num_channels: int = 1) -> None:
    """Make sure that the file format can hold such a sound.

    Args:
        path: The file to be written.
        sample_rate: In Hz.
        num_samples: Of one channel.
        num_channels: 1 or 2.

    Raises:
        ConfigError: The file ending is not one of ours, or the format does not hold this sample rate.
        ShapeError: The sound is longer than the format allows.
    """
    kind = _format(path)
    if sample_rate not in kind.rates:
        advice = "; use .wav" if sample_rate in RATES else ""
        raise ConfigError(f"{path}: {kind.name} files hold sample rates of {kind.held}, got {sample_rate} Hz{advice}")
    if kind.name == "WAV" and 2 * num_samples * num_channels > _RIFF_BYTES:
        raise ShapeError(f"{path}: WAV files hold 4 GiB, got {num_samples} samples; use .flac or a shorter sound")


def save_sound(sound: Sound, path: Path | str, metadata: Mapping[str, Any]) -> None:
    """Write a sound with the settings it was made with; WAV and FLAC are 16 bit, Ogg (Vorbis) and MP3 are lossy.

    Args:
        sound: One or two channels, written as they are.
        path: File to write, whose ending picks the format; a file that is there is replaced.
        metadata: JSON-ready settings. Stored in the comment field of WAV (``ICMT``), FLAC and Ogg (``COMMENT``) or
            MP3 (``COMM``).

    Raises:
        ConfigError: The file ending is not one of ours, or the format does not hold the sample rate.
        ShapeError: The sound is longer than the format allows.
        OutputError: The file cannot be written.
    """
    path = Path(path)
    shape = sound.samples.shape
    check_sound_file(path, sample_rate=sound.sample_rate, num_samples=shape[1], num_channels=shape[0])
    encoded = _encoded(sound, _format(path), metadata, path)
    with atomic_file(path) as temporary:
        temporary.write_bytes(encoded)


def read_metadata(path: Path | str) -> dict[str, Any]:
    """The settings that a sound, or the spectrogram beside it, was saved with.

    Args:
        path: A sound file or a PNG.

    Returns:
        The settings.

    Raises:
        CodecError: The file is missing or damaged, or was not made by this program.
    """
    path = Path(path)
    if path.suffix.lower() == ".png":
        return read_png_metadata(path)
    with opened(path) as file:
        comment, is_wav = file.comment, file.format == "WAV"
    return decode_metadata(_riff_comment(path.read_bytes()) if is_wav else comment, path)


def _format(path: Path) -> _Format:
    """The format that a file ending stands for."""
    return _FORMATS[check_ending(path, _FORMATS, "a sound file")]


def _encoded(sound: Sound, kind: _Format, metadata: Mapping[str, Any], path: Path) -> bytes:
    """The bytes of the file."""
    memory = io.BytesIO()
    samples = sound.samples.T
    try:
        with soundfile.SoundFile(
            memory, "w", sound.sample_rate, sound.num_channels, kind.subtype, format=kind.name
        ) as file:
            if kind.name != "WAV":
                file.software = _SOFTWARE
                file.comment = encode_metadata(metadata, ascii_only=not kind.unicode)
            if kind.unicode and metadata.get("prompt"):
                file.title = str(metadata["prompt"])
            for start in range(0, len(samples), _BLOCK):
                file.write(samples[start : start + _BLOCK])
    except soundfile.SoundFileError as error:
        raise OutputError(f"cannot write {path}: {error}") from error
    return _with_riff_comment(memory.getvalue(), metadata) if kind.name == "WAV" else memory.getvalue()


def _with_riff_comment(wav: bytes, metadata: Mapping[str, Any]) -> bytes:
    """A WAV file with the settings appended as RIFF's own INFO list; libsndfile drops comments over 2 kB."""
    entries = b"INFO" + b"".join(
        _chunk(name, text.encode("ascii") + b"\0")
        for name, text in ((b"ISFT", _SOFTWARE), (b"ICMT", encode_metadata(metadata, ascii_only=True)))
    )
    body = wav[8:] + _chunk(b"LIST", entries)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff_comment(wav: bytes) -> str | None:
    """The comment in a WAV file's INFO list, if there is one."""
    for name, content in _chunks(wav[12:]):
        if name == b"LIST" and content[:4] == b"INFO":
            for entry, text in _chunks(content[4:]):
                if entry == b"ICMT":
                    return text.rstrip(b"\0").decode("utf-8", errors="replace")
    return None


def _chunk(name: bytes, content: bytes) -> bytes:
    """A RIFF chunk: name, length, content, and a byte to make the length even."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk in a row of RIFF chunks."""
    start = 0
    while start + 8 <= len(data):
        length = struct.unpack("<I", data[start + 4 : start + 8])[0]
        yield data[start : start + 4], data[start + 8 : start + 8 + length]
        start += 8 + length + length % 2
