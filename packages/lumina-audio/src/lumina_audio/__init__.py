"""Sound of any duration from a sentence, with Flag-DiT; a small trained model is included.

Public names load on first use, so that importing the package stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lumina_audio.artifacts import save_sound
    from lumina_audio.pipeline import AudioOutput, AudioPipeline
    from lumina_audio.reading import read_sound
    from lumina_audio.sound import Sound

__version__ = "0.1.0"
__all__ = ["AudioOutput", "AudioPipeline", "Sound", "read_sound", "save_sound"]

_HOMES = {
    "AudioOutput": "pipeline",
    "AudioPipeline": "pipeline",
    "Sound": "sound",
    "read_sound": "reading",
    "save_sound": "artifacts",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'lumina_audio' has no attribute {name!r}")
    return getattr(import_module(f"lumina_audio.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
