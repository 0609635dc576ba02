"""What the command line does with words it does not understand, with errors, and with --debug."""

import io
import subprocess
import sys

import pytest

import flagdit_core
from flagdit_core.cli import main
from flagdit_core.cli.errors import report_error
from flagdit_core.errors import (
    BackendUnavailableError,
    CancelledError,
    CheckpointError,
    ConfigError,
    DataError,
    OutOfMemoryError,
    OutputError,
    ShapeError,
    StrictError,
)


def one_error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed, which must be one line of error and nothing else."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1, captured.err
    return captured.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["paint"], "No such command 'paint'"),
        (["infer"], "Missing argument"),
        (["infer", "a ring"], "Missing option"),
        (["infer", "a ring", "-o", "x.png", "--steps", "many"], "--steps"),
        (["infer", "a ring", "-o", "x.png", "--colour", "red"], "--colour"),
        (["infer", "a ring", "twice", "-o", "x.png"], "twice"),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_wrong_usage_is_one_line(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that cannot be parsed gives one line and exit code 2."""
    assert main(words) == 2
    assert says in one_error_line(capsys)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a"), 2),
        (ShapeError("a"), 2),
        (CheckpointError("a"), 2),
        (OutputError("a"), 2),
        (DataError("a"), 2),
        (StrictError("a"), 2),
        (OutOfMemoryError("a"), 2),
        (BackendUnavailableError("a"), 2),
        (CancelledError("a"), 1),
        (RuntimeError("a"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error: BaseException, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong input is 2, a failure 1, an interrupt 130; each is one line."""
    assert report_error(error, debug=False) == code
    one_error_line(capsys)


def test_an_interrupt_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever Typer makes of Ctrl-C, there is one line and the exit code of an interrupt."""

    def interrupted(target: str | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("flagdit_core.cli.info.run_info", interrupted)
    assert main(["info"]) == 130
    assert capsys.readouterr() == ("", "error: interrupted\n")


def test_letters_that_the_terminal_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its encoding cannot say is shown as an escape, and the command goes on."""
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setattr("sys.argv", ["lumina", "info"])
    monkeypatch.setattr("flagdit_core.cli.end_without_collection", lambda: None)
    monkeypatch.setattr("flagdit_core.cli.info.run_info", lambda target: screen.write("grüner ☃ caf\udce9.png\n"))
    assert main() == 0
    screen.seek(0)
    assert screen.read() == "gr\\xfcner \\u2603 caf\\udce9.png\n"


def test_an_error_of_several_lines_becomes_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Messages of other libraries are folded."""
    report_error(ValueError("first\n  second\n"), debug=False)
    assert "ValueError: first second" in one_error_line(capsys)


def test_memory_errors_of_torch_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """What the CPU allocator says is told as running out of memory."""
    report_error(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), debug=False)
    assert one_error_line(capsys).startswith("error: out of memory: ")


def test_debug_shows_the_traceback_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """--debug before or after the command gives the traceback and the same exit code."""
    for words in (["--debug", "info", "./nothing"], ["info", "./nothing", "--debug"]):
        assert main(words) == 2
        assert "Traceback" in capsys.readouterr().err
    assert main(["info", "./nothing"]) == 2
    one_error_line(capsys)


def test_version_and_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    """--version tells the release; no words at all give the help."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lumina {flagdit_core.__version__}\n"
    assert main([]) == 0
    assert "infer" in capsys.readouterr().out


def test_help_imports_nothing_heavy() -> None:
    """--help of the program and of every command runs without torch and whatever is slow to import."""
    script = (
        "import sys; from flagdit_core.cli import main\n"
        "for words in (['--help'], *([c, '--help'] for c in ('infer', 'train', 'eval', 'convert', 'info'))):\n"
        "    assert main(words) == 0\n"
        "heavy = {'torch', 'numpy', 'transformers', 'diffusers', 'triton', 'PIL', 'tqdm', 'huggingface_hub'}\n"
        "found = heavy & set(sys.modules)\n"
        "assert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
