"""Do views show what a sentence says? Not learned: find colours and the best arrangement, then compare every claim."""

import einops
import numpy as np
import numpy.typing as npt

from flagdit_core.shapes import check_sides
from flagdit_core.world import MISSING, Check, Verdict
from lumina_3d.cameras import FRAME, Camera
from lumina_3d.hull import seen_region
from lumina_3d.views import Views
from lumina_3d.world.fitting import fit
from lumina_3d.world.geometry import Arrangement
from lumina_3d.world.parsing import parse
from lumina_3d.world.scene import Claims
from lumina_3d.world.segmentation import UNCLEAR, Segments, segment
from lumina_3d.world.templates import template
from lumina_3d.world.vocabulary import SIZES

Floats = npt.NDArray[np.float32]

LEAST_OVERLAP = 0.7
"""An object is what it resembles most if its soft intersection over union with that in all views is at least this."""
TURNS = (0.0, 90.0, 180.0, 270.0)
"""To which side of the other an object stands is free; how cubes and pyramids face is not."""

_WORKING_SIDE = 64
_SIZE_NAMES = {radius: name for name, radius in SIZES.items()}


def verify(views: Views, caption: str | Claims) -> Verdict:
    """Compare views with what a caption asserts.

    Args:
        views: Pictures from around an object. Sizes are told in units of what the cameras see.
        caption: A sentence of the world's language, or its claims.

    Returns:
        One check per claim, of kinds "count", "color", "shape", "size" and "relation". All views are judged together:
        an object has a shape only if it has it from every side.

    Raises:
        ConfigError: If the caption is not of the language.
        ShapeError: If the views are too small to be judged.

    Example:
        >>> from lumina_3d.cameras import orbit
        >>> from lumina_3d.world import describe, sample_scene, show
        >>> scene = sample_scene(np.random.default_rng(0))
        >>> verify(show(scene, orbit(6), 64), describe(scene)).passed
        True
    """
    claims = parse(caption) if isinstance(caption, str) else caption
    check_sides(views.width, views.height)
    small = _reduced(views.images)
    seen = segment(small)
    numbers = _matching(claims, seen)
    checks = [Check.of("count", str(len(claims.objects)), str(len(seen.colors)))]
    for claim, number in zip(claims.objects, numbers, strict=True):
        checks.append(Check.of("color", claim.color, MISSING if number is None else seen.colors[number]))
    found, overlaps = _arrangement(claims, _usual_cameras(views), seen, numbers)
    for number, claim in enumerate(claims.objects):
        clear = overlaps[number] >= LEAST_OVERLAP
        unknown = MISSING if numbers[number] is None else UNCLEAR
        checks.append(Check.of("shape", claim.shape, found.shapes[number] if clear else unknown))
        if claim.size is not None:
            checks.append(Check.of("size", claim.size, _SIZE_NAMES[found.radii[number]] if clear else unknown))
    if claims.relation is not None:
        known = min(overlaps) >= LEAST_OVERLAP
        checks.append(Check.of("relation", claims.relation, str(found.relation) if known else UNCLEAR))
    return Verdict(checks=tuple(checks))


def _reduced(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Views (N, h, w, 3) averaged down by a whole factor to 64 pixels or a little more, where they are larger."""
    factor = max(1, min(images.shape[1:3]) // _WORKING_SIDE)
    height, width = (side // factor * factor for side in images.shape[1:3])
    mean = einops.reduce(
        images[:, :height, :width].astype(np.float32), "n (h y) (w x) c -> n h w c", "mean", y=factor, x=factor
    )
    return np.rint(mean).astype(np.uint8)


def _usual_cameras(views: Views) -> tuple[Camera, ...]:
    """The cameras, moved and scaled together so that they look at the origin and see as much as default ones do."""
    centre, reach = seen_region(views.cameras, views.width, views.height)
    scale = FRAME / reach
    return tuple(camera.moved(scale=scale, offset=-scale * centre).rounded() for camera in views.cameras)


def _matching(claims: Claims, seen: Segments) -> list[int | None]:
    """Which segment each claim is about: the one of its colour, else the first one left over, else none."""
    numbers: list[int | None] = [
        seen.colors.index(claim.color) if claim.color in seen.colors else None for claim in claims.objects
    ]
    left = [number for number in range(len(seen.colors)) if number not in numbers]
    return [left.pop(0) if number is None and left else number for number in numbers]


def _arrangement(
    claims: Claims, cameras: tuple[Camera, ...], seen: Segments, numbers: list[int | None]
) -> tuple[Arrangement, list[float]]:
    """The best arrangement of the claimed number of objects, and each object's overlap with it."""
    height, width = seen.coverage.shape[2:]
    nothing = np.zeros(seen.coverage.shape[1:], dtype=np.float32)
    coverage = np.stack([nothing if number is None else seen.coverage[number] for number in numbers])

    def overlaps(arrangement: Arrangement) -> Floats:
        expected = template(arrangement, cameras, width, height)
        common, union = np.minimum(expected, coverage), np.maximum(expected, coverage)
        return np.asarray(common.sum(axis=(1, 2, 3)) / union.sum(axis=(1, 2, 3)))

    found = fit(claims, lambda arrangement: float(overlaps(arrangement).mean()), turns=TURNS, radii=tuple(_SIZE_NAMES))
    return found, overlaps(found).tolist()
