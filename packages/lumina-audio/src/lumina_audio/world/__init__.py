from lumina_audio.world.calibration import calibrate
from lumina_audio.world.rendering import render
from lumina_audio.world.sampling import Split, sample_scene
__all__ = ["Split","calibrate","render","sample_scene"]
