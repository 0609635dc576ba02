"""Follow an object through a film and say how it moves; nothing is learned."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from flagdit_core.shapes import Observation, SeenObject
from flagdit_core.shapes.drawing import SYMMETRY

ERRATIC = "erratic"
"""What a motion is called that is none of the world's."""
UNSEEN = "unseen"
"""What the motion of something that is hardly ever there is called."""

LEAST_TRAVEL = 0.16
"""An object whose centre covers less than this fraction of the picture stays where it is."""
LEAST_GROWTH = 1.5
"""An object grows if its radius does by this factor, from the first to the last frames."""
LEAST_FADING = 1.8
"""An object fades if its contrast changes by this factor."""
LEAST_TURN = 60.0
"""Degrees that a turning object turns in all."""
STRAIGHT = 0.8
"""A motion along a line covers this fraction of its range between beginning and end."""
NARROW = 0.5
"""A motion along one axis has at most this fraction of its range along the other."""
STEADY = 0.85
"""The least correlation with time of what changes steadily."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Track:
    """One object through a film.

    Attributes:
        num_frames: Of the film.
        seen: What was found of it, by the number of the frame; frames in which it is missing are left out.
    """

    num_frames: int
    seen: dict[int, SeenObject]

    @property
    def clearest(self) -> list[SeenObject]:
        """The half of its appearances in which it stands out most."""
        ranked = sorted(self.seen.values(), key=lambda item: -item.contrast)
        return ranked[: max(1, (len(ranked) + 1) // 2)]

    def series(self, name: str) -> Floats:
        """A measure over the frames in which it was seen."""
        return np.array([getattr(item, name) for item in self.seen.values()], dtype=np.float64)


def follow(observations: Sequence[Observation], color: str | None) -> Track:
    """The object of a colour, or the largest one where no colour is named.

    Args:
        observations: What each frame shows.
        color: One of ``COLORS``.

    Returns:
        Its track.
    """
    seen = {}
    for number, observation in enumerate(observations):
        fitting = [item for item in observation.objects if color in (None, item.color)]
        if fitting:
            seen[number] = fitting[0]  # the largest
    return Track(num_frames=len(observations), seen=seen)


def motion_of(track: Track) -> str:
    """How an object moves: one of ``MOTIONS``, "erratic" or "unseen".

    It is the first of what it does out of fading, travelling, growing or shrinking, and turning.

    Args:
        track: The object.

    Returns:
        The motion.
    """
    if len(track.seen) < max(2, track.num_frames // 3):
        return UNSEEN
    times = np.array(list(track.seen), dtype=np.float64)
    if fading := _fading(track, times):
        return fading
    if len(track.seen) < 0.8 * track.num_frames:
        return UNSEEN
    if travel := _travel(track, times):
        return travel
    radius, angle = track.series("radius"), _turned(track)
    if _spread(radius) >= LEAST_GROWTH:
        return _trend(times, radius, "grows", "shrinks")
    if np.ptp(angle) >= LEAST_TURN:
        return _trend(np.arange(len(angle), dtype=np.float64), angle, "turns clockwise", "turns counterclockwise")
    return "stays still"


def _fading(track: Track, times: Floats) -> str | None:
    """Whether it appears or disappears."""
    seen = track.series("contrast")
    contrast = np.zeros(track.num_frames)  # where it is not seen
    contrast[times.astype(int)] = seen
    first, last = _ends(contrast)
    if max(first, last) < LEAST_FADING * max(min(first, last), 1e-6) and _spread(seen) < LEAST_FADING:
        return None
    return _trend(np.arange(track.num_frames, dtype=np.float64), contrast, "fades in", "fades out")


def _travel(track: Track, times: Floats) -> str | None:
    """Where it goes, if it goes anywhere."""
    x, y = track.series("x"), track.series("y")
    horizontal = np.ptp(x) >= np.ptp(y)
    along, across = (x, y) if horizontal else (y, x)
    reach = float(np.ptp(along))
    if reach < LEAST_TRAVEL:
        return None
    if np.ptp(across) > NARROW * reach:
        return ERRATIC
    if abs(float(along[-1] - along[0])) >= STRAIGHT * reach:
        return _trend(times, along, *(("moves right", "moves left") if horizontal else ("moves down", "moves up")))
    swing = np.cos(2 * np.pi * times / (track.num_frames - 1))
    if abs(_correlation(swing, along)) < STEADY:
        return ERRATIC
    return "bounces from side to side" if horizontal else "bounces up and down"


def _turned(track: Track) -> Floats:
    """Degrees that it has turned clockwise since the first frame, the shorter way from each frame to the next."""
    items = list(track.seen.values())
    shape = _majority([item.shape for item in items])
    symmetry = SYMMETRY.get(shape, 0.0)
    if not symmetry:
        return np.zeros(len(items))
    angles = np.array([item.angle for item in items])
    steps = (np.diff(angles) + symmetry / 2) % symmetry - symmetry / 2
    turned: Floats = np.concatenate([[0.0], steps.cumsum()])
    return turned


def _trend(times: Floats, values: Floats, up: str, down: str) -> str:
    """What a steady change is called by its direction; "erratic" where it is not steady."""
    correlation = _correlation(times, values)
    if abs(correlation) < STEADY:
        return ERRATIC
    return up if correlation > 0 else down


def _ends(values: Floats) -> tuple[float, float]:
    """The means of the first and of the last fifth."""
    fifth = math.ceil(len(values) / 5)
    return float(values[:fifth].mean()), float(values[-fifth:].mean())


def _spread(values: Floats) -> float:
    """The largest fifth over the smallest fifth of positive values."""
    least, most = _ends(np.sort(values))
    return most / least


def _correlation(a: Floats, b: Floats) -> float:
    """Pearson's coefficient; 0 where one of them does not change."""
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale else 0.0


def _majority(words: Sequence[str]) -> str:
    """The word that occurs most."""
    return max(dict.fromkeys(words), key=words.count)
