"""One line for the operator, into launcher.log."""

import os
import sys
import time


def log(text: str) -> None:
    """Say it on stderr, with the time (UTC) and the process that says it."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f"{stamp} launcher {os.getpid()}: {text}", file=sys.stderr, flush=True)
