"""Tiny random pipelines, with which all but the shipped model is tested in seconds."""

from flagdit_core.testing import random_components, random_picture_codec
from lumina_video.codec import FilmCodec, FrameCodec
from lumina_video.pipeline import VideoPipeline

_CAPTIONS = ["a red circle moves from left to right on a white background", "a blue square turns clockwise"]


def random_pipeline(codec: FilmCodec | None = None, *, num_frames: int = 6) -> VideoPipeline:
    """A pipeline that makes nothing to look at, the same at every call.

    Args:
        codec: None for a random picture codec, frame by frame.
        num_frames: Length of a film by default.

    Returns:
        One whose films are 48 x 32 by default, of latents (4, 6, 4, 6) where nothing else is asked for.
    """
    components = random_components(
        FrameCodec(random_picture_codec()) if codec is None else codec,
        _CAPTIONS,
        training_shape=(5, 4, 4),
        defaults={"height": 32, "width": 48, "num_frames": num_frames, "fps": 8.0},
    )
    return VideoPipeline(components, name="tiny")
