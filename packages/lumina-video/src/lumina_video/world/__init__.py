"""An endless procedural source of captioned films, and a verifier that says whether a film shows its caption.

Its shapes are those of ``flagdit_core.shapes``. Read in this order: vocabulary, scene, sampling, drawing, captions,
parsing, splits, tracking, verifier, calibration, film_world.
"""

from lumina_video.world.calibration import calibrate, swap_one
from lumina_video.world.captions import describe
from lumina_video.world.drawing import draw, frames
from lumina_video.world.film_world import FilmWorld
from lumina_video.world.parsing import parse
from lumina_video.world.sampling import sample_scene
from lumina_video.world.scene import Actor, Claims, ObjectClaim, Scene
from lumina_video.world.splits import HELD_OUT_MOTIONS, is_held_out
from lumina_video.world.verifier import verify

__all__ = [
    "HELD_OUT_MOTIONS",
    "Actor",
    "Claims",
    "FilmWorld",
    "ObjectClaim",
    "Scene",
    "calibrate",
    "describe",
    "draw",
    "frames",
    "is_held_out",
    "parse",
    "sample_scene",
    "swap_one",
    "verify",
]
