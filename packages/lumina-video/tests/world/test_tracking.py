"""Tracking: each motion has its name, and what comes near to one without being it has none."""

from collections.abc import Callable

import numpy as np
import pytest

from flagdit_core.shapes import Observation, SeenObject
from lumina_video.world.tracking import ERRATIC, UNSEEN, Track, follow, motion_of

NOISE = np.random.default_rng(0).uniform(-1, 1, 64)

Motion = Callable[[int, float], dict[str, float] | None]
"""(number of the frame, phase from 0 to 1) -> what differs from an object that rests; None where it is not seen."""


def _object(color: str = "red", shape: str = "star", **changes: float) -> SeenObject:
    fields = {"radius": 0.2, "x": 0.5, "y": 0.5, "angle": 0.0, "contrast": 200.0, **changes}
    return SeenObject(shape=shape, color=color, **fields)


def _track(motion: Motion, count: int, *, shape: str = "star") -> Track:
    changes = {number: motion(number, number / (count - 1)) for number in range(count)}
    seen = {number: _object(shape=shape, **change) for number, change in changes.items() if change is not None}
    return Track(num_frames=count, seen=seen)


MOTIONS: dict[str, Motion] = {
    "moves right": lambda n, p: {"x": 0.3 + 0.4 * p},
    "moves left": lambda n, p: {"x": 0.7 - 0.4 * p, "y": 0.5 + 0.1 * p},
    "moves down": lambda n, p: {"y": 0.4 + 0.2 * p**2},
    "moves up": lambda n, p: {"y": 0.7 - 0.4 * p + 0.01 * NOISE[n]},
    "bounces up and down": lambda n, p: {"y": 0.5 + 0.2 * np.cos(2 * np.pi * p)},
    "bounces from side to side": lambda n, p: {"x": 0.5 - 0.2 * np.cos(2 * np.pi * p)},
    "grows": lambda n, p: {"radius": 0.1 + 0.1 * p},
    "shrinks": lambda n, p: {"radius": 0.3 - 0.2 * p + 0.01 * NOISE[n]},
    "fades in": lambda n, p: {"contrast": 220 * p} if p > 0.2 else None,
    "fades out": lambda n, p: {"contrast": 220 - 150 * p},
    "turns clockwise": lambda n, p: {"angle": 180 * p % 72},
    "turns counterclockwise": lambda n, p: {"angle": (5 * NOISE[n] - 180 * p) % 72},
    "stays still": lambda n, p: {"x": 0.5 + 0.02 * NOISE[n], "radius": 0.2 + 0.02 * NOISE[n], "angle": 7.5 * (n % 2)},
}

NEAR_MISSES: dict[str, tuple[str, Motion]] = {
    "a short way": ("stays still", lambda n, p: {"x": 0.45 + 0.1 * p}),
    "half way back": (ERRATIC, lambda n, p: {"x": 0.3 + 0.4 * min(2 * p, 1.5 - p)}),
    "jumps about": (ERRATIC, lambda n, p: {"x": 0.5 + 0.3 * NOISE[n]}),
    "there at once": (ERRATIC, lambda n, p: {"x": 0.3 if p < 0.9 else 0.7}),
    "back and forth twice": (ERRATIC, lambda n, p: {"y": 0.5 + 0.2 * np.cos(4 * np.pi * p)}),
    "diagonally": (ERRATIC, lambda n, p: {"x": 0.3 + 0.4 * p, "y": 0.3 + 0.35 * p}),
    "in a circle": (
        ERRATIC,
        lambda n, p: {"x": 0.5 + 0.2 * np.cos(2 * np.pi * p), "y": 0.5 + 0.2 * np.sin(2 * np.pi * p)},
    ),
    "a little larger": ("stays still", lambda n, p: {"radius": 0.2 + 0.05 * p}),
    "larger and smaller again": (ERRATIC, lambda n, p: {"radius": 0.1 + 0.2 * np.sin(np.pi * p)}),
    "large at once": (ERRATIC, lambda n, p: {"radius": 0.1 if p < 0.9 else 0.3}),
    "appears and disappears": (ERRATIC, lambda n, p: {"contrast": 60 + 160 * np.sin(np.pi * p)}),
    "flickers": (ERRATIC, lambda n, p: {"contrast": 100 if n % 2 else 220}),
    "a little paler": ("stays still", lambda n, p: {"contrast": 220 - 80 * p}),
    "swings to and fro": (ERRATIC, lambda n, p: {"angle": 75 * np.sin(np.pi * p) % 72}),
    "a quarter of a turn": ("stays still", lambda n, p: {"angle": 45 * p % 72}),
    "blinks": (UNSEEN, lambda n, p: {} if n % 2 else None),
    "there for a moment": (UNSEEN, lambda n, p: {} if 0.4 < p < 0.6 else None),
    "never there": (UNSEEN, lambda n, p: None),
    "missed once": ("stays still", lambda n, p: {} if n != 3 else None),
}


@pytest.mark.parametrize("count", [8, 16, 33])
@pytest.mark.parametrize("name", MOTIONS)
def test_motions(name: str, count: int) -> None:
    """Each motion, also with some unevenness, is called by its name in films of any length."""
    assert motion_of(_track(MOTIONS[name], count)) == name


@pytest.mark.parametrize("count", [8, 16])
@pytest.mark.parametrize("name", NEAR_MISSES)
def test_near_misses(name: str, count: int) -> None:
    """Motions that are too small are none, those of another course are erratic, and what is hardly seen is unseen."""
    expected, motion = NEAR_MISSES[name]
    assert motion_of(_track(motion, count)) == expected


def test_reversed_films_move_the_other_way() -> None:
    """Played backwards, each motion is its opposite."""
    opposites = {
        "moves right": "moves left", "moves down": "moves up", "grows": "shrinks", "fades in": "fades out",
        "turns clockwise": "turns counterclockwise", "stays still": "stays still",
        "bounces up and down": "bounces up and down",
    }  # fmt: skip
    for name, opposite in (opposites | {b: a for a, b in opposites.items()}).items():
        forward = MOTIONS[name]
        assert motion_of(_track(lambda n, p, forward=forward: forward(n, 1 - p), 12)) == opposite


def test_a_circle_does_not_turn() -> None:
    """What looks the same from every side stays still whatever angle was found."""
    assert motion_of(_track(MOTIONS["turns clockwise"], 8, shape="circle")) == "stays still"


def test_following_by_color() -> None:
    """The object of the colour is followed however large the other is; without a colour it is the largest."""
    frames = [
        Observation(
            background="white",
            objects=(_object("blue", radius=0.3), _object("red", x=0.3 + 0.05 * number)),
            aspect=1.0,
        )
        for number in range(8)
    ]
    assert motion_of(follow(frames, "red")) == "moves right"
    assert motion_of(follow(frames, None)) == "stays still"
    assert motion_of(follow(frames, "green")) == UNSEEN


def test_the_clearest_half() -> None:
    """Looks are judged where an object stands out most: of a film of fading, in its clearer half."""
    track = _track(MOTIONS["fades out"], 8)
    assert [round(item.contrast) for item in track.clearest] == [220, 199, 177, 156]
