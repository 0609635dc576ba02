"""Many sounds in one picture: their spectrograms."""

from collections.abc import Sequence
from pathlib import Path

from flagdit_core import contact_sheet
from lumina_audio.sound import Sound
from lumina_audio.spectrogram import draw_spectrogram


def save_contact_sheet(sounds: Sequence[Sound], path: Path | str) -> None:
    """Write the spectrograms of sounds side by side.

    Args:
        sounds: At least one.
        path: PNG file to write.

    Raises:
        OutputError: The file cannot be written.
    """
    pictures = [draw_spectrogram(sound) for sound in sounds]
    contact_sheet.save_contact_sheet([picture.reduce(2) for picture in pictures], path, columns=4)
