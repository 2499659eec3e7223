"""Ctrl-C while the program starts: it leaves at once, without the traceback that Python would show in the middle of an
import. (Before anything of ours is loaded, tools/boot does the same.)"""

import os
import signal

from cluster.cli.exit_codes import INTERRUPTED


def leave_at_ctrl_c() -> None:
    """From now on Ctrl-C ends this process, unless it is ignored, as of what a script starts with `&`."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _leave)


def raise_at_ctrl_c() -> None:
    """From now on it is a KeyboardInterrupt again, unless somebody else has taken it over."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: object) -> None:
    if os.isatty(2):
        os.write(2, b"\n")  # the prompt that follows begins a line
    os._exit(INTERRUPTED)
