"""A tiny random pipeline, so that pipeline and command line are tested in seconds."""

from pathlib import Path

import pytest

from lumina_image import ImagePipeline
from lumina_image.testing import random_pipeline


@pytest.fixture(scope="session")
def pipe() -> ImagePipeline:
    """Pictures are 32 x 48 by default."""
    return random_pipeline()


@pytest.fixture(scope="session")
def saved(pipe: ImagePipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline as a model folder; copy it before changing it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder
