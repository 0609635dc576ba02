"""What is given of a film already: its first or last pictures, as cells of its latent."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from flagdit_core.errors import ConfigError, ShapeError
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
        ConfigError: There are so many that none is left to make.
        ShapeError: A frame has another size.
        CodecError: The codec cannot encode so many.
    """
    if not first and not last:
        return None
    values, mask = torch.zeros(shape), torch.zeros(1, shape[1], 1, 1, dtype=torch.bool)
    for frames, at_end in ((first, False), (last, True)):
        if not frames:
            continue
        for frame in frames:
            if frame.shape != (size.height, size.width, 3):
                raise ShapeError(f"expected given frames of {size} pixels, got {frame.shape[1]}x{frame.shape[0]}")
        latent = codec.encode(to_pixels(torch.from_numpy(np.stack(frames))).to(device))[0].cpu()
        where = slice(shape[1] - latent.shape[1], None) if at_end else slice(latent.shape[1])
        if latent.shape[1] >= shape[1]:
            raise ConfigError(
                f"{len(frames)} frames are given of a film of {codec.num_frames(shape[1])}: make it longer"
            )
        values[:, where], mask[:, where] = latent, True
    if bool(mask.all()):
        raise ConfigError("first and last frames leave none to make: make the film longer")
    return Known(values=values, mask=mask)


def as_frame(image: Image.Image, size: FrameSize) -> Picture:
    """A picture as a frame, scaled to cover it and cut to its shape.

    Args:
        image: Of any size.
        size: Of the frame.

    Returns:
        (H, W, 3) uint8.
    """
    scale = max(size.width / image.width, size.height / image.height)
    scaled = image.convert("RGB").resize(
        (round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS
    )
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
    if not 1 <= count <= len(film.frames):
        raise ConfigError(
            f"expected an overlap of 1 to {len(film.frames)} frames, as many as the film has, got {count}"
        )
    return list(film.to_numpy()[-count:])
