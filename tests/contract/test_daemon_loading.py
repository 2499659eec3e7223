"""The modules of a daemon are loaded without looking for garbage among them, and nobody looks at them later."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.cli.daemons import loading

# A daemon up to where it begins to serve, in a Python that notes when it looks for garbage: while the module is being
# loaded, of which `serve` is the last name.
START = """
import asyncio, gc, sys
*words, module = sys.argv[1:]
def note(phase, info):
    if module in sys.modules and not hasattr(sys.modules[module], "serve"):
        print("looked for garbage", flush=True)
gc.callbacks.append(note)
def serves(going):
    going.close()
    stays = gc.get_freeze_count() > 10_000
    print("loaded", module in sys.modules, "enabled", gc.isenabled(), "stays", stays, flush=True)
    return 0
asyncio.run = serves
sys.argv = ["cluster", *words]
from cluster.cli.entry import main
main()
"""


@pytest.mark.slow
@pytest.mark.parametrize("word", ["scheduler", "worker", "gateway"])
def test_a_daemon_is_loaded_without_looking_for_garbage(word: str, tmp_path: Path) -> None:
    start = [sys.executable, "-c", START, word, "--directory", str(tmp_path), f"cluster.{word}.process"]
    done = subprocess.run(start, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "loaded True enabled True stays True\n"), done


def test_after_a_module_that_cannot_be_loaded_garbage_is_looked_for_again() -> None:
    enabled = []

    def fail() -> None:
        with loading():
            enabled.append(gc.isenabled())
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert [*enabled, gc.isenabled()] == [False, True]
