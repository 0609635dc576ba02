"""One scene and the object made of its views; and tiny random pipelines, so that no test needs the shipped model."""

from pathlib import Path

import pytest

from lumina_3d import Object3D, ObjectPipeline, Views, orbit, reconstruct
from lumina_3d.testing import random_pipeline
from lumina_3d.world import scene_of, show

CAPTION = "a medium blue cone on a large red cube"


@pytest.fixture(scope="session")
def views() -> Views:
    """Twelve views of 64 pixels."""
    return show(scene_of(CAPTION), orbit(12), 64)


@pytest.fixture(scope="session")
def item(views: Views) -> Object3D:
    """The object of these views."""
    return reconstruct(views, resolution=48)


@pytest.fixture(scope="session")
def pipe() -> ObjectPipeline:
    """Makes objects without form."""
    return random_pipeline()


@pytest.fixture(scope="session")
def saved(pipe: ObjectPipeline, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pipeline as a model folder; copy it before changing it."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def saved_blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose views show nothing."""
    folder = tmp_path_factory.mktemp("models") / "blank"
    random_pipeline(contrast=0.0).save_pretrained(folder)
    return folder
