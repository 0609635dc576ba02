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
    radius = track.series("radius")
    growth = _end(radius) / _beginning(radius)
    if max(growth, 1 / growth) >= LEAST_GROWTH:
        steady = abs(_correlation(times, radius)) >= STEADY
        return ("grows" if growth > 1 else "shrinks") if steady else ERRATIC
    turn = _turn(track)
    if abs(turn) >= LEAST_TURN:
        return "turns clockwise" if turn > 0 else "turns counterclockwise"
    return "stays still"


def _fading(track: Track, times: Floats) -> str | None:
    """Whether it appears or disappears."""
    contrast = np.zeros(track.num_frames)
    contrast[times.astype(int)] = track.series("contrast")
    first, last = _beginning(contrast), _end(contrast)
    if max(first, last) < LEAST_FADING * max(min(first, last), 1e-6):
        return None
    if abs(_correlation(np.arange(track.num_frames, dtype=np.float64), contrast)) < STEADY:
        return ERRATIC
    return "fades in" if last > first else "fades out"


def _travel(track: Track, times: Floats) -> str | None:
    """Where it goes, if it goes anywhere."""
    x, y = track.series("x"), track.series("y")
    horizontal = np.ptp(x) >= np.ptp(y)
    along = x if horizontal else y
    reach = float(np.ptp(along))
    if reach < LEAST_TRAVEL:
        return None
    net = float(along[-1] - along[0])
    if abs(net) >= STRAIGHT * reach:
        if abs(_correlation(times, along)) < STEADY:
            return ERRATIC
        return ("moves right" if net > 0 else "moves left") if horizontal else ("moves down" if net > 0 else "moves up")
    swing = np.cos(2 * np.pi * times / (track.num_frames - 1))
    if abs(_correlation(swing, along)) < STEADY:
        return ERRATIC
    return "bounces from side to side" if horizontal else "bounces up and down"


def _turn(track: Track) -> float:
    """Degrees that it turns clockwise in all, the shorter way from each frame to the next."""
    items = list(track.seen.values())
    symmetry = SYMMETRY.get(_majority([item.shape for item in items]), 0.0)
    if not symmetry:
        return 0.0
    angles = np.array([item.angle for item in items])
    steps = (np.diff(angles) + symmetry / 2) % symmetry - symmetry / 2
    return float(steps.sum())


def _beginning(values: Floats) -> float:
    """The mean of the first fifth."""
    return float(values[: max(1, math.ceil(len(values) / 5))].mean())


def _end(values: Floats) -> float:
    """The mean of the last fifth."""
    return _beginning(values[::-1])


def _correlation(a: Floats, b: Floats) -> float:
    """Pearson's coefficient; 0 where one of them does not change."""
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale else 0.0


def _majority(words: Sequence[str]) -> str:
    """The word that occurs most."""
    return max(dict.fromkeys(words), key=words.count)
