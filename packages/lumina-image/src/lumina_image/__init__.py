"""Images of any size from a sentence, with Flag-DiT; a small trained model is included.

Public names load on first use, so that importing the package stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lumina_image.pipeline import ImageOutput, ImagePipeline

__version__ = "0.1.0"
__all__ = ["ImageOutput", "ImagePipeline"]

_HOMES = {"ImageOutput": "pipeline", "ImagePipeline": "pipeline"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'lumina_image' has no attribute {name!r}")
    return getattr(import_module(f"lumina_image.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
