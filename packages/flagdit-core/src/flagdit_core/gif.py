"""GIF written frame by frame: Pillow keeps all frames until the end, and drops those that repeat."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL.GifImagePlugin import getdata

_BLOCK = 255
_LOOP_FOREVER = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"


def write_gif(frames: Iterator[npt.NDArray[np.uint8]], path: Path, *, fps: float, comment: str) -> None:
    """Write an endless loop with 256 colours a frame (GIF89a specification, CompuServe 1990).

    Args:
        frames: Pictures (H, W, 3), uint8, of one size; at least one.
        path: File to write.
        fps: Frames a second. Times are in 1/100 s; each frame ends at the nearest, so that no error builds up.
        comment: ASCII text to keep in the file.
    """
    with path.open("wb") as file:
        for number, frame in enumerate(frames):
            picture = Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE)
            if number == 0:
                file.write(b"GIF89a" + struct.pack("<HHBBB", *picture.size, 0x70, 0, 0))  # no palette for all frames
                file.write(_LOOP_FOREVER + _comment(comment.encode("ascii")))
            begins, ends = (round(100 * time / fps) for time in (number, number + 1))
            file.writelines(getdata(picture, duration=10 * (ends - begins), include_color_table=True))
        file.write(b";")


def _comment(text: bytes) -> bytes:
    """A comment extension: blocks of at most 255 bytes, each after its length."""
    blocks = [text[start : start + _BLOCK] for start in range(0, len(text), _BLOCK)]
    return b"!\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\x00"
