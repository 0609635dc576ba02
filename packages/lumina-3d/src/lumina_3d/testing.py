"""Tiny random pipelines, with which all but the shipped model is tested in seconds."""

from flagdit_core.testing import random_components, random_picture_codec
from lumina_3d.pipeline import ObjectPipeline

_CAPTIONS = ["a medium blue cone on a large red cube", "a green ball"]


def random_pipeline(*, contrast: float = 8.0) -> ObjectPipeline:
    """A pipeline that makes objects without form, the same at every call.

    Args:
        contrast: Of its views. By default they are blotches, which have something in common from any four sides; at 0
            they show nothing.

    Returns:
        One that makes four views of 32 pixels by default, of latents (4, 4, 4, 4).
    """
    components = random_components(
        random_picture_codec(contrast=contrast),
        _CAPTIONS,
        training_shape=(4, 4, 4),
        defaults={"height": 32, "width": 32, "num_views": 4},
    )
    return ObjectPipeline(components, name="tiny")
