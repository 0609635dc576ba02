"""Flag-DiT and flow matching: one transformer for pictures, films, 3-D objects and sound.

Public names load on first use, so that importing the package (and the command line) stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flagdit_core.layout import Packed, pack, unpack
    from flagdit_core.model.config import FlagDiTConfig
    from flagdit_core.model.flag_dit import FlagDiT
    from flagdit_core.report import Report
    from flagdit_core.text_encoder import TextEncoder, TextEncodingConfig

__version__ = "0.1.0"
__all__ = ["FlagDiT", "FlagDiTConfig", "Packed", "Report", "TextEncoder", "TextEncodingConfig", "pack", "unpack"]

_HOMES = {
    "FlagDiT": "model.flag_dit",
    "FlagDiTConfig": "model.config",
    "Packed": "layout",
    "Report": "report",
    "TextEncoder": "text_encoder",
    "TextEncodingConfig": "text_encoder",
    "pack": "layout",
    "unpack": "layout",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'flagdit_core' has no attribute {name!r}")
    return getattr(import_module(f"flagdit_core.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
