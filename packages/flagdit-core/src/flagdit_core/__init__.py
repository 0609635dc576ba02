"""Flag-DiT and flow matching: one transformer for pictures, films, 3-D objects and sound.

Public names load on first use, so that importing the package (and the command line) stays cheap.
"""

from typing import TYPE_CHECKING

from flagdit_core.lazy import lazy_names

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

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
