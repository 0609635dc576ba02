"""Films of any size and length from a sentence, with Flag-DiT; a small trained model is included.

Public names load on first use, so that importing the package stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lumina_video.artifacts import save_film
    from lumina_video.film import Film, join
    from lumina_video.pipeline import VideoOutput, VideoPipeline
    from lumina_video.reading import read_film

__version__ = "0.1.0"
__all__ = ["Film", "VideoOutput", "VideoPipeline", "join", "read_film", "save_film"]

_HOMES = {
    "Film": "film",
    "VideoOutput": "pipeline",
    "VideoPipeline": "pipeline",
    "join": "film",
    "read_film": "reading",
    "save_film": "artifacts",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'lumina_video' has no attribute {name!r}")
    return getattr(import_module(f"lumina_video.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
