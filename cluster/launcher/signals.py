"""The signals of the launcher itself."""

import signal
import socket


def undo_inherited() -> None:
    """Whatever the starter ignored (nohup), jobs must not inherit. What Python ignores, a slot sets back itself."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def catch_signals() -> int:
    """A descriptor from which the numbers of caught signals can be read."""
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)
    signal.set_wakeup_fd(writer.detach(), warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reader.detach()
