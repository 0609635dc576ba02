"""A tiny random pipeline, with which all but the shipped model is tested in seconds."""

from flagdit_core.testing import random_components, random_picture_codec
from lumina_image.pipeline import ImagePipeline

_CAPTIONS = ["a red circle on a white background", "a blue square left of a large green star"]


def random_pipeline() -> ImagePipeline:
    """A pipeline that makes nothing to look at, the same at every call.

    Returns:
        One whose pictures are 48 x 32 by default, of latents (4, 4, 6).
    """
    components = random_components(
        random_picture_codec(), _CAPTIONS, training_shape=(1, 4, 4), defaults={"height": 32, "width": 48}
    )
    return ImagePipeline(components, name="tiny")
