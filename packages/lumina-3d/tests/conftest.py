"""One scene and the object made of its views; and tiny random pipelines, so that no test needs the shipped model."""

from pathlib import Path

import pytest

from flagdit_core.picture_codec import PictureCodec
from flagdit_core.testing import random_components, random_picture_codec
from lumina_3d import Object3D, ObjectPipeline, Views, orbit, reconstruct
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


def _pipeline(codec: PictureCodec, name: str) -> ObjectPipeline:
    """Four views of 32 pixels by default."""
    defaults = {"height": 32, "width": 32, "num_views": 4}
    components = random_components(codec, [CAPTION, "a green ball"], training_shape=(4, 4, 4), defaults=defaults)
    return ObjectPipeline(components, name=name)


@pytest.fixture(scope="session")
def codec() -> PictureCodec:
    """Its pictures are blotches, which have something in common from any four sides."""
    return random_picture_codec(contrast=8.0)


@pytest.fixture(scope="session")
def pipe(codec: PictureCodec) -> ObjectPipeline:
    """Makes objects without form."""
    return _pipeline(codec, "tiny")


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
    _pipeline(random_picture_codec(contrast=0.0), "blank").save_pretrained(folder)
    return folder
