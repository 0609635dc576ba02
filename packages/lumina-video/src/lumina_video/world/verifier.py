"""Does a film show what a sentence says? Not learned: look at every frame, follow each object, compare the claims."""

import numpy as np

from flagdit_core.errors import ShapeError
from flagdit_core.shapes import Observation, look
from flagdit_core.shapes.vocabulary import size_of
from flagdit_core.world import MISSING, Check, Verdict
from lumina_video.film import Film, Frames
from lumina_video.world.parsing import parse
from lumina_video.world.scene import Claims, ObjectClaim
from lumina_video.world.tracking import Track, follow, motion_of

ANGLE_STEP = 7.5
"""Turns are told to this many degrees."""
AGREEMENT = 0.7
"""The share of the frames that must show the right number of objects."""

LEAST_FRAMES = 7
"""In shorter films a star turns by half its symmetry from frame to frame, and its direction cannot be told."""


def check_num_frames(num_frames: int) -> None:
    """Refuse a length at which motions cannot be told.

    Args:
        num_frames: Of a film.

    Raises:
        ShapeError: They are fewer than 7.
    """
    if num_frames < LEAST_FRAMES:
        raise ShapeError(f"expected a film of at least {LEAST_FRAMES} frames, got {num_frames}")


def verify(film: Film | Frames, caption: str | Claims) -> Verdict:
    """Compare a film with what a caption asserts.

    Args:
        film: A film, or its frames, at least 7 of them.
        caption: A sentence of the world's language, or its claims.

    Returns:
        One check per claim, of kinds "background", "count", "shape", "color", "size" and "motion".

    Raises:
        ConfigError: If the caption is not of the language.
        ShapeError: If the film cannot be judged.

    Example:
        >>> from lumina_video.world import describe, draw, sample_scene
        >>> scene = sample_scene(np.random.default_rng(0))
        >>> verify(draw(scene, 8, 64, 64), describe(scene)).passed
        True
    """
    claims = parse(caption) if isinstance(caption, str) else caption
    frames = film.frames if isinstance(film, Film) else film
    check_num_frames(len(frames))
    seen = [look(frame, angle_step=ANGLE_STEP) for frame in frames]
    checks = [_count(claims, seen)]
    if claims.background is not None:
        checks.append(Check.of("background", claims.background, _majority([frame.background for frame in seen])))
    for claim in claims.objects:
        checks += _object_checks(claim, follow(seen, claim.color if len(claims.objects) > 1 else None))
    return Verdict(checks=tuple(checks))


def _count(claims: Claims, seen: list[Observation]) -> Check:
    """How many objects most frames show; in a film of fading, how many the frames show that show any."""
    counts = [len(frame.objects) for frame in seen]
    if any(claim.motion.startswith("fades") for claim in claims.objects):
        counts = [count for count in counts if count] or [0]
    expected = len(claims.objects)
    agreed = counts.count(expected) >= AGREEMENT * len(counts)
    others = [count for count in counts if count != expected] or [expected]
    return Check.of("count", str(expected), str(expected if agreed else max(set(others), key=others.count)))


def _object_checks(claim: ObjectClaim, track: Track) -> list[Check]:
    """The claims of one object."""
    clear = track.clearest if track.seen else []
    checks = [Check.of("shape", claim.shape, _majority([item.shape for item in clear]))]
    if claim.color is not None:
        checks.append(Check.of("color", claim.color, _majority([item.color for item in clear])))
    if claim.size is not None:
        radius = float(np.median([item.radius for item in clear])) if clear else 0.0
        checks.append(Check.of("size", claim.size, size_of(radius) if radius else MISSING))
    checks.append(Check.of("motion", claim.motion, motion_of(track)))
    return checks


def _majority(words: list[str]) -> str:
    """The word that occurs most, or "missing" without any."""
    return max(dict.fromkeys(words), key=words.count) if words else MISSING
