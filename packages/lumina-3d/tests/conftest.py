"""One scene, its views and the object made of them, shared by the tests that need any."""

import pytest

from lumina_3d import Object3D, Views, orbit, reconstruct
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
