"""When the program looks for garbage: neither while it starts nor at its end.

Importing torch, transformers and diffusers makes very many objects and hardly any garbage, and looking through them
again and again would take a good part of the time from the command to the picture.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Within the block no garbage is looked for; afterwards it is as before."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def end_without_collection() -> None:
    """Let this process end without looking for garbage among what it still has."""
    atexit.register(gc.freeze)
