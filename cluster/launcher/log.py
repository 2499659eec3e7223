"""One line for the operator, into launcher.log. It never raises: that file may lie on the very disk that is full."""

import os
import time

_missed = 0  # lines that could not be written since the last that was


def log(text: str) -> None:
    """Say it on stderr, with the time (UTC) and the process that says it."""
    global _missed  # noqa: PLW0603 (a process has one log)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    before = f" ({_missed} lines before this one could not be written)" if _missed else ""
    line = f"{stamp} launcher {os.getpid()}: {text}{before}\n".encode(errors="backslashreplace")
    try:
        if os.write(2, line) < len(line):
            os.write(2, b"\n")  # it was the last that fitted
        _missed = 0
    except OSError:
        _missed += 1
