"""The verifiers: calibrated on the world's own views, clean and distorted, and sharp on single facts."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy import ndimage

from flagdit_core.errors import ShapeError
from flagdit_core.shapes.vocabulary import COLORS
from flagdit_core.world import World
from lumina_3d import Object3D, Views, orbit, reconstruct
from lumina_3d.world import (
    Arrangement,
    ObjectWorld,
    build,
    calibrate,
    is_held_out,
    parse,
    scene_of,
    show,
    verify,
    verify_mesh,
)
from lumina_3d.world.building import solid_mesh


def _blur(views: Views) -> Views:
    return replace(views, images=_to_uint8(ndimage.gaussian_filter(views.images.astype(float), (0, 0.7, 0.7, 0))))


def _noise(views: Views) -> Views:
    generator = np.random.default_rng(int(views.images.sum()))
    return replace(views, images=_to_uint8(views.images + generator.normal(0, 6, views.images.shape)))


def _to_uint8(images: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(images), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("size", "distort"), [(64, None), (64, _blur), (64, _noise), (128, None)])
def test_calibration(size: int, distort: Callable[[Views], Views] | None) -> None:
    """Right captions pass and those with one fact swapped fail, in views small and large, blurred and noisy."""
    rates = calibrate(9, orbit(6), size=size, seed=1, distort=distort)
    assert rates["right"]["all"] == 1
    assert rates["swapped"]["all"] == 0


@pytest.mark.parametrize(
    ("caption", "failing"),
    [
        ("a medium blue cone on a large red cube", set()),
        ("a blue cone on a red cube", set()),
        ("a medium green cone on a large red cube", {"color"}),
        ("a medium blue pyramid on a large red cube", {"shape"}),
        ("a medium blue cone on a large red cylinder", {"shape"}),
        ("a small blue cone on a large red cube", {"size"}),
        ("a medium blue cone beside a large red cube", {"relation"}),
        ("a large red cube", {"count", "shape", "size"}),
    ],
)
def test_only_the_wrong_fact_fails(views: Views, caption: str, failing: set[str]) -> None:
    """Each kind of check fails by itself, and what a caption does not say is not checked."""
    verdict = verify(views, caption)
    found = {check.kind for check in verdict.checks if not check.passed}
    assert found <= failing if "count" in failing else found == failing
    assert verdict.passed == (not failing)


def test_the_upper_one_is_told_from_the_lower() -> None:
    """Exchanging the two objects of "on" is noticed; exchanging those of "beside" says the same."""
    stacked = show(scene_of("a large green cylinder on a large red cube"), orbit(3), 64)
    assert not verify(stacked, "a large red cube on a large green cylinder").passed
    side = show(scene_of("a large green cylinder beside a large red cube"), orbit(3), 64)
    assert verify(side, "a large red cube beside a large green cylinder").passed


def test_one_view_of_another_object_is_noticed() -> None:
    """All views count: with half of them from another object, the shape is not clear any more."""
    cube, ball = (show(scene_of(f"a large red {shape}"), orbit(6), 64) for shape in ("cube", "sphere"))
    mixed = np.where(np.arange(6)[:, None, None, None] % 3 == 0, ball.images, cube.images)
    torus = show(scene_of("a large red torus"), orbit(6), 64).images
    mixed[1::3] = torus[1::3]
    assert not verify(replace(cube, images=mixed), "a large red cube").passed


@pytest.mark.parametrize("level", [0, 248])
def test_empty_views_fail_every_object_check(level: int) -> None:
    """Nothing is found in nothing."""
    views = Views(images=np.full((4, 48, 48, 3), level, dtype=np.uint8), cameras=orbit(4))
    verdict = verify(views, "a large red cube beside a blue cone")
    assert not any(check.passed for check in verdict.checks)


def test_noise_is_no_object() -> None:
    """White noise passes no caption and crashes nothing."""
    noise = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 3), dtype=np.uint8)
    assert not verify(Views(images=noise, cameras=orbit(4)), "a red cube").passed


def test_small_views_are_refused() -> None:
    """Under 32 pixels nothing is judged."""
    with pytest.raises(ShapeError, match="32 pixels"):
        verify(show(scene_of("a red cube"), orbit(3), 24), "a red cube")


def test_true_meshes_pass_at_any_size_and_turn() -> None:
    """A true mesh passes wherever it stands, however large and turned; with one fact swapped it fails."""
    caption = "a medium blue cone beside a large red cube"
    mesh = build(scene_of(caption))
    assert verify_mesh(mesh, caption).passed
    angle = 0.5
    mesh.apply_scale(20).apply_translation((3, 4, 5)).apply_transform(
        [[np.cos(angle), 0, np.sin(angle), 0], [0, 1, 0, 0], [-np.sin(angle), 0, np.cos(angle), 0], [0, 0, 0, 1]]
    )
    assert verify_mesh(mesh, caption).passed
    for wrong in (
        "a medium blue pyramid beside a large red cube",
        "a medium blue cone on a large red cube",
        "a medium green cone beside a large red cube",
    ):
        assert not verify_mesh(mesh, wrong).passed


@pytest.mark.parametrize("radius", [0.29, 0.35])
@pytest.mark.parametrize("shape", ["sphere", "cone"])
def test_sizes_between_the_worlds_own_are_no_other_shape(shape: str, radius: float) -> None:
    """A ball that is neither small nor medium nor large is still a ball, and no drum."""
    caption = f"a red {shape} on a blue cylinder"
    arrangement = Arrangement(shapes=(shape, "cylinder"), radii=(radius, 0.31), relation="on")
    parts = [solid_mesh(solid) for solid in arrangement.solids]
    for part, item in zip(parts, scene_of(caption).objects, strict=True):
        part.visual.face_colors = (*COLORS[item.color], 255)
    mesh = trimesh.util.concatenate(parts)
    verdict = verify_mesh(mesh, caption)
    assert verdict.passed and verdict.measures["mesh IoU"] > 0.8
    assert not verify_mesh(mesh, "a red cylinder on a blue cylinder").passed


def test_two_of_one_shape_are_told_apart_by_colour() -> None:
    """Beside one another, sizes being free, a half turn makes the one the other: colours say which is which."""
    mesh = build(scene_of("a small red sphere beside a medium blue sphere"))
    for caption in ("a red sphere beside a blue sphere", "a blue sphere beside a red sphere"):
        assert verify_mesh(mesh, caption).passed
    assert not verify_mesh(mesh, "a red sphere beside a green sphere").passed


def test_an_object_too_many_or_too_few_is_counted() -> None:
    """A small object beside a large one hardly changes the volume's overlap; its colour gives it away."""
    pair = build(scene_of("a small green torus beside a large orange cube"))
    failed = [check.kind for check in verify_mesh(pair, "an orange cube").checks if not check.passed]
    assert failed == ["mesh count"]
    alone = build(scene_of("a large orange cube"))
    assert "mesh count" in {
        check.kind for check in verify_mesh(alone, "a green torus on an orange cube").checks if not check.passed
    }


def test_calibration_of_meshes_from_views() -> None:
    """Meshes made from the views of right captions pass; other shapes, colours and relations fail."""
    rates = calibrate(
        3, orbit(12), seed=4, judge=lambda views, caption: verify_mesh(reconstruct(views, resolution=32).mesh, caption)
    )
    assert rates["right"]["all"] == 1
    assert all(rates["swapped"].get(kind, 0) == 0 for kind in ("shape", "color", "relation", "order"))


def test_objects_are_judged_by_views_and_mesh(item: Object3D) -> None:
    """An object carries its cameras in its own coordinates: both verdicts hold, and views and mesh agree."""
    verdict = ObjectWorld().verify(item, "a medium blue cone on a large red cube")
    assert verdict.passed
    assert {check.kind for check in verdict.checks} == {
        "count", "color", "shape", "size", "relation", "mesh count", "mesh shape", "mesh color", "mesh relation",
        "views agree",
    }  # fmt: skip
    assert verdict.measures["mesh IoU"] > 0.85
    assert ObjectWorld().verify(item, "a medium blue sphere on a large red cube").measures == {"mesh IoU": 0.0}


def test_views_that_contradict_one_another_fail(item: Object3D) -> None:
    """Under wrong cameras the views do not agree on the mesh, whatever it is."""
    cameras = item.views.cameras
    turned = replace(item, views=replace(item.views, cameras=(*cameras[1:], *cameras[:1])))
    (agree,) = [check for check in ObjectWorld().verify(turned, "a red cube").checks if check.kind == "views agree"]
    assert not agree.passed and agree.expected == "80%"


def test_the_world_gives_held_out_prompts_that_it_can_judge() -> None:
    """Prompts repeat by seed, fewer begin more, categories are balanced, and nothing was trained on."""
    world: World = ObjectWorld()
    prompts = world.prompts(30, seed=4)
    assert prompts[:10] == world.prompts(10, seed=4)
    assert prompts != world.prompts(30, seed=5)
    assert {p.category: sum(q.category == p.category for q in prompts) for p in prompts} == {
        "one object": 10,
        "one on another": 10,
        "side by side": 10,
    }
    for prompt in prompts:
        claims = parse(prompt.text)
        assert is_held_out(claims)
        assert claims.category == prompt.category
