"""An endless procedural source of captioned sounds, and a verifier that says whether a sound is what its caption says.

Read in this order: vocabulary, scene, recordings, sampling, rendering, captions, parsing, splits, segmentation,
recognition, speech, verifier, calibration, sound_world.
"""

from lumina_audio.world.calibration import calibrate, swap_one
from lumina_audio.world.captions import describe
from lumina_audio.world.parsing import parse
from lumina_audio.world.rendering import render
from lumina_audio.world.sampling import sample_scene
from lumina_audio.world.scene import CATEGORIES, Claims, EventClaim, Scene, SceneEvent
from lumina_audio.world.sound_world import SoundWorld
from lumina_audio.world.splits import HELD_OUT_TRIPLES, is_held_out
from lumina_audio.world.verifier import HeardEvent, listen, verify

__all__ = [
    "CATEGORIES",
    "HELD_OUT_TRIPLES",
    "Claims",
    "EventClaim",
    "HeardEvent",
    "Scene",
    "SceneEvent",
    "SoundWorld",
    "calibrate",
    "describe",
    "is_held_out",
    "listen",
    "parse",
    "render",
    "sample_scene",
    "swap_one",
    "verify",
]
