"""Where the packed file starts: finds or makes its unpacked tree, then hands over to the command line.

`build.py` puts this package at the top of the archive, beside shiv's own `_bootstrap`, which does the unpacking.
Every start of the program passes through here, so it imports next to nothing. It must parse on any Python 3 that may
be called `python3` somewhere, to be able to say that it is too old.
"""

import gc
import os
import signal
import sys

# EX_CONFIG of sysexits.h: this machine is not set up so that the program can run.
UNUSABLE = 78
INTERRUPTED = 130  # as shells say it of Ctrl-C


def main() -> None:
    """Runs the program; never returns. Exits with `UNUSABLE` after one line on stderr where it cannot start."""
    if sys.version_info < (3, 11):  # noqa: UP036 - any Python 3 may come here
        version = ".".join(map(str, sys.version_info[:3]))
        stop(f"needs Python 3.11 or newer, but {sys.executable} is {version}: run it as `python3.11 {sys.argv[0]}`")

    # Until the program itself takes it over, Ctrl-C just ends it: nothing was begun that could be told about. What is
    # ignored stays so, as of what a script starts with `&`.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(INTERRUPTED))

    from . import cache

    try:
        tree = cache.tree()
    except cache.Unusable as problem:
        stop(str(problem))

    # In front of everything: no package of this machine may stand in for one of ours. The archive itself is not
    # needed any more; leaving it would make every failed import search it.
    sys.path[:] = [tree, *(entry for entry in sys.path if entry != cache.ARCHIVE)]
    # The tree is ours alone, so compiled modules may be kept in it even where PYTHONDONTWRITEBYTECODE says otherwise
    # (container images do): without them every start would take a second.
    sys.dont_write_bytecode = False

    # What is loaded now stays: to look through it for garbage takes a tenth of a start. The program goes on with that.
    gc.disable()

    from cluster.cli.entry import main as program

    sys.exit(program())


def stop(problem: str) -> None:
    """Says in one line why the program cannot start, and ends the process."""
    try:
        sys.stderr.write(f"cluster: {problem}\n")
        sys.stderr.flush()
    except (AttributeError, OSError):  # there is no stderr, or it takes nothing: the exit code says it alone
        os._exit(UNUSABLE)
    sys.exit(UNUSABLE)
