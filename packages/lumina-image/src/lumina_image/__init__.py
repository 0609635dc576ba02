"""Images of any size from a sentence, with Flag-DiT; a small trained model is included.

Public names load on first use, so that importing the package stays cheap.
"""

from typing import TYPE_CHECKING

from flagdit_core.lazy import lazy_names

if TYPE_CHECKING:
    from lumina_image.pipeline import ImageOutput, ImagePipeline

__version__ = "0.1.0"
__all__ = ["ImageOutput", "ImagePipeline"]

_HOMES = {"ImageOutput": "pipeline", "ImagePipeline": "pipeline"}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
