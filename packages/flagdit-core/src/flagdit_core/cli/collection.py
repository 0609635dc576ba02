"""When the program looks for garbage: neither while it starts nor at its end, nor among what starting has made.

Importing torch, transformers and diffusers makes very many objects and hardly any garbage, and looking through them
again and again would take a good part of the time from the command to the picture.
"""

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Within the block no garbage is looked for; afterwards it is as before, but not among what is there by then."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # else the first collection would go through all that the block has made
        if was_on:
            gc.enable()


@contextmanager
def objects_given_back() -> Iterator[None]:
    """After the block garbage is looked for among all objects again, for the sake of the program that goes on."""
    try:
        yield
    finally:
        gc.unfreeze()


def end_without_collection() -> None:
    """Let this process end without looking for garbage among what it still has."""
    atexit.register(gc.freeze)
