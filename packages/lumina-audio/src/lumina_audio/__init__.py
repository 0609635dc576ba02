"""Sound of any duration from a sentence, with Flag-DiT; a small trained model is included.

Public names load on first use, so that importing the package stays cheap.
"""

from typing import TYPE_CHECKING

from flagdit_core.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
