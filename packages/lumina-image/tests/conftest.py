"""A tiny random pipeline, so that pipeline and command line are tested in seconds."""

from pathlib import Path

import pytest

from flagdit_core.testing import random_components, random_picture_codec
from lumina_image import ImagePipeline

CAPTIONS = ["a red circle on a white background", "a blue square left of a large green star"]


@pytest.fixture(scope="session")
def pipe() -> ImagePipeline:
    """Pictures are 32 x 48 by default."""
    components = random_components(
        random_picture_codec(), CAPTIONS, training_shape=(1, 4, 4), defaults={"height": 32, "width": 48}
    )
    return ImagePipeline(components, name="tiny")


@pytest.fixture(scope="session")
def saved(pipe: ImagePipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline as a model folder; copy it before changing it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder
