"""Films of any size and length from a sentence, with Flag-DiT; a small trained model is included.

Public names load on first use, so that importing the package stays cheap.
"""

from typing import TYPE_CHECKING

from flagdit_core.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
