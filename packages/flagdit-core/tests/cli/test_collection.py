"""Start and end of the program: nothing is searched for garbage that hardly holds any."""

import gc
import subprocess
import sys

import pytest

from flagdit_core.cli.collection import no_collection


@pytest.mark.parametrize("on", [True, False])
def test_collection_is_off_within_the_block_only(on: bool) -> None:
    """It is off within, and afterwards as it was before, also where the block fails."""
    was_on = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        with pytest.raises(KeyError), no_collection():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == on
    finally:
        (gc.enable if was_on else gc.disable)()


@pytest.mark.parametrize("words", ["None", "['--version']"])
def test_only_the_program_itself_gives_its_objects_up_at_the_end(words: str) -> None:
    """At the end of the program all its objects are frozen; called from another one, the command leaves them alone."""
    script = (
        "import atexit, gc, sys; from flagdit_core.cli import main\n"
        "atexit.register(lambda: print(gc.get_freeze_count()))\n"  # runs after what main registers
        f"sys.argv[1:] = ['--version']; main({words})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    frozen = int(done.stdout.split()[-1])
    assert (frozen > 1000) == (words == "None")
