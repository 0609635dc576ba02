"""What is given of a film already: its first or last pictures, as cells of its latent."""

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from flagdit_core.errors import ConfigError, ShapeError
from flagdit_core.picture_files import on_white
from flagdit_core.pipeline import Known
from flagdit_core.pipeline.arguments import FrameSize
from lumina_video.codec import FilmCodec, to_pixels
from lumina_video.film import Film, Picture

Shape = tuple[int, int, int, int]


def known_frames(
    codec: FilmCodec,
    shape: Shape,
    size: FrameSize,
    *,
    first: Sequence[Picture],
    last: Sequence[Picture],
    device: torch.device,
) -> Known | None:
    """The cells of frames that are given.

    Where a latent frame holds several pictures, last ones are encoded as the end of a film that stood still before: the
    first latent frame of any film holds one picture, which would be another thing in its middle.

    Args:
        codec: Encodes the frames; first and last ones apart, since nothing is known of what lies between.
        shape: (C, t, h, w) of the latent.
        size: Of the frames to be made.
        first: Frames (H, W, 3), uint8, that the film begins with.
        last: Frames that it ends with.
        device: Where the codec is.

    Returns:
        Values (C, t, h, w) and mask (1, t, 1, 1); None if nothing is given.

    Raises:
        ConfigError: There are so many that none is left to make, or one is not uint8.
        ShapeError: A frame has another size.
        CodecError: The codec cannot encode so many.
    """
    if not first and not last:
        return None
    for frame in (*first, *last):
        if frame.shape != (size.height, size.width, 3):
            raise ShapeError(f"expected given frames of {size} pixels, got {frame.shape[1]}x{frame.shape[0]}")
        if frame.dtype != np.uint8:
            raise ConfigError(f"expected given frames of uint8, 0 to 255, got {frame.dtype}")
    beginning = _encode(codec, first, device) if first else torch.zeros(shape[0], 0, *shape[2:])
    ending = _encode(codec, _after_standing_still(codec, last), device)[:, 1:] if last else beginning[:, :0]
    missing = shape[1] - beginning.shape[1] - ending.shape[1]
    if missing < 1:
        raise ConfigError(
            f"{len(first) + len(last)} of {codec.num_frames(shape[1])} frames are given, "
            "which leaves none to make: make it longer"
        )
    values = torch.cat([beginning, torch.zeros(shape[0], missing, *shape[2:]), ending], dim=1)
    mask = torch.ones(1, shape[1], 1, 1, dtype=torch.bool)
    mask[:, beginning.shape[1] : beginning.shape[1] + missing] = False
    return Known(values=values, mask=mask)


def usual_overlap(codec: FilmCodec, num_frames: int) -> int:
    """How many frames of a film it is gone on from.

    Args:
        codec: Says how many frames it can encode.
        num_frames: That the film has.

    Returns:
        The least number from 4 on that it can: 4, or 5 with a causal codec of stride 4; of shorter films, the largest.
    """
    stride = codec.stride[0]
    return 1 + min(-(-3 // stride), (num_frames - 1) // stride) * stride


def as_frame(image: Image.Image, size: FrameSize) -> Picture:
    """A picture as a frame, scaled to cover it and cut to its shape.

    Args:
        image: Of any size.
        size: Of the frame.

    Returns:
        (H, W, 3) uint8.

    Raises:
        ConfigError: It is something else.
    """
    image = on_white(image)
    scale = max(size.width / image.width, size.height / image.height)
    scaled = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (scaled.width - size.width) // 2, (scaled.height - size.height) // 2
    return np.asarray(scaled.crop((left, top, left + size.width, top + size.height)))


def last_frames(film: Film, count: int) -> list[Picture]:
    """The end of a film.

    Args:
        film: Which.
        count: How many frames, at least 1.

    Returns:
        The frames.

    Raises:
        ConfigError: The film has not so many.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= len(film.frames):
        raise ConfigError(
            f"expected an overlap of 1 to {len(film.frames)} frames, as many as the film has, got {count!r}"
        )
    return list(deque(film.frames, maxlen=count))


def _encode(codec: FilmCodec, frames: Sequence[Picture], device: torch.device) -> Tensor:
    """The latent (C, t, h, w) of a film, on the CPU."""
    return codec.encode(to_pixels(torch.from_numpy(np.stack(frames))).to(device))[0].cpu()


def _after_standing_still(codec: FilmCodec, frames: Sequence[Picture]) -> list[Picture]:
    """Frames after as many of the first as make one latent frame, and fill up the second."""
    return [frames[0]] * (1 + -len(frames) % codec.stride[0]) + list(frames)
