"""The ``lumina`` command line."""

import io
import sys
import traceback
from collections.abc import Sequence
from typing import cast

import typer

from flagdit_core.cli.app import PROGRAM, app
from flagdit_core.cli.collection import end_without_collection, objects_given_back
from flagdit_core.cli.errors import INTERRUPTED, WRONG_INPUT, report_error

# Typer brings its own copy of click in some releases and not in others; this is the class in both.
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__base__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the program's name; those of this process by default.

    Returns:
        The exit code: 0, 1 for a failure, 2 for wrong input, 130 for an interrupt.

    Example:
        >>> main(["--version"])
        lumina 0.1.0
        0
    """
    if arguments is None:
        end_without_collection()
        if isinstance(sys.stdout, io.TextIOWrapper):  # as stderr: no letter of a name or a prompt ends the program
            sys.stdout.reconfigure(errors="backslashreplace")
        return _run(sys.argv[1:])
    with objects_given_back():
        return _run(arguments)


def _run(words: Sequence[str]) -> int:
    """The exit code of a command."""
    debug = "--debug" in words
    try:
        code = app([word for word in words if word != "--debug"], prog_name=PROGRAM, standalone_mode=False)
    except _UsageError as error:
        if debug:
            traceback.print_exception(error)
        command = error.ctx.command_path if error.ctx is not None else PROGRAM
        print(f"error: {' '.join(error.format_message().split())} (see: {command} --help)", file=sys.stderr)
        return WRONG_INPUT
    except typer.Abort:
        return report_error(KeyboardInterrupt(), debug=debug)
    except (Exception, KeyboardInterrupt) as error:
        return report_error(error, debug=debug)
    if code == INTERRUPTED:  # what some releases of Typer make of an interrupt, without a word
        return report_error(KeyboardInterrupt(), debug=False)
    return code if isinstance(code, int) else 0
