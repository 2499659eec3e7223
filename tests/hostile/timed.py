"""Runs the program, and writes down what holds its event loop: one line for each callback that took longer than LONG.

    python -m tests.hostile.timed FILE WORD…

A line has seconds on the clock, seconds of the processor in the loop's thread, when it began (monotonic), and what it
was. The clock counts also what other processes do on a busy machine; the processor's time is the callback's own doing.
Unlike asyncio's own debug mode this costs two looks at clocks for each callback, and changes nothing else.
"""

import sys
import time
from asyncio import events
from pathlib import Path

LONG = 0.010  # seconds
MOST_WORDS = 300  # characters about what it was


def write_down(file: Path) -> None:
    """From now on."""
    log = file.open("a", buffering=1)
    run = events.Handle._run

    def timed(handle: events.Handle) -> None:
        clock, processor = time.monotonic(), time.thread_time()
        run(handle)
        if (took := time.monotonic() - clock) > LONG:
            spent, what = time.thread_time() - processor, repr(handle)[:MOST_WORDS].replace("\n", " ")
            print(f"{took:.4f} {spent:.4f} {clock:.4f} {what}", file=log)

    setattr(events.Handle, "_run", timed)  # noqa: B010 (no type checker lets a method be replaced)


if __name__ == "__main__":
    write_down(Path(sys.argv[1]))
    sys.argv[1:] = sys.argv[2:]
    from cluster.cli.entry import main

    main()
