"""Start and end of the program: nothing is searched for garbage that hardly holds any."""

import gc
import subprocess
import sys

import pytest

from flagdit_core.cli.collection import no_collection, objects_given_back


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
        gc.unfreeze()
        (gc.enable if was_on else gc.disable)()


def test_what_a_block_makes_is_not_looked_through_until_it_is_given_back() -> None:
    """No later collection goes through it while the command runs; the program that called it gets all of it back."""
    with objects_given_back():
        with no_collection():
            made = [[] for _ in range(5000)]
        assert gc.get_freeze_count() >= 5000
        assert sum(gc.get_count()) < 5000
    assert gc.get_freeze_count() == 0
    assert any(kept is made for kept in gc.get_objects(generation=2))


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
