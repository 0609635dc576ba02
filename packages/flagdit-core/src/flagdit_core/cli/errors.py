"""Errors on the command line: one line and an exit code; a traceback only with ``--debug``."""

import sys
import traceback

from flagdit_core.errors import (
    BackendUnavailableError,
    CheckpointError,
    CodecError,
    ConfigError,
    DataError,
    FlagDiTError,
    OutOfMemoryError,
    OutputError,
    ShapeError,
    StrictError,
)

WRONG_INPUT = 2
FAILURE = 1
INTERRUPTED = 130
# Out of memory too: what was asked for is too large for this device, and the user can ask for less.
_WRONG_INPUT_ERRORS = (
    BackendUnavailableError,
    CheckpointError,
    CodecError,
    ConfigError,
    DataError,
    OutOfMemoryError,
    OutputError,
    ShapeError,
    StrictError,
)


def report_error(error: BaseException, *, debug: bool) -> int:
    """Print an error for the user.

    Args:
        error: What stopped the command.
        debug: Print the traceback instead of one line.

    Returns:
        The exit code: 2 for wrong input, 1 for a failure, 130 for an interrupt.
    """
    if debug:
        traceback.print_exception(error)
    else:
        print(f"error: {_one_line(error)}", file=sys.stderr)
    if isinstance(error, _WRONG_INPUT_ERRORS):
        return WRONG_INPUT
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else FAILURE


def _one_line(error: BaseException) -> str:
    """What a user needs to know, without line breaks."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, FlagDiTError):
        return text
    from flagdit_core.pipeline.memory import is_out_of_memory

    if is_out_of_memory(error):
        return f"out of memory: {text}"
    return f"{type(error).__name__}: {text} (a bug, or a broken installation; --debug shows where)"
