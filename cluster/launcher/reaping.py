"""Wait for children: wait4(2) as it is, into memory that serves for all of them.

`os.wait4` makes an object of sixteen fields for each child, and `os.waitpid` an exception where there is none left: of
what a slot does for each attempt that was a twelfth.
"""

import ctypes
import os
import struct

_wait4 = ctypes.CDLL(None).wait4
_wait4.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p]
_ANY = -1
_ROOM = 512  # bytes; no C library's `struct rusage` takes more than half of it
_RESULT = struct.Struct("@illlll")  # status; then the first of `struct rusage`: user and system time (s, µs), KiB
_USAGE_AT = 8  # where that begins: it is aligned


class Reaper:
    """Reaps the children of its process."""

    def __init__(self) -> None:
        self._result = ctypes.create_string_buffer(_ROOM)
        self._status_at = ctypes.addressof(self._result)
        self._usage_at = self._status_at + _USAGE_AT
        self._left_us = 0  # the processor's time of what was reaped by `look` and `wait`

    def wait_for(self, child: int) -> tuple[int, int, int]:
        """Waits until that child has ended, and reaps others that end before. Its status, the processor's time that it
        and what it has reaped took (µs), and the most memory that one of them held (KiB). Raises ChildProcessError when
        there is no child."""
        while (pid := _wait4(_ANY, self._status_at, 0, self._usage_at)) != child:
            if pid < 0:  # by a signal, which is handled now
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        return self._told()

    def look(self) -> int | None:
        """Reaps one that has ended, if any has: its pid, else 0. None: there is no child."""
        pid: int = _wait4(_ANY, self._status_at, os.WNOHANG, self._usage_at)
        if pid > 0:
            self._left_us += self._told()[1]
        return pid if pid >= 0 else None

    def wait(self) -> None:
        """Waits for the next one that ends, and reaps it, if there is a child."""
        while (pid := _wait4(_ANY, self._status_at, 0, self._usage_at)) < 0:
            try:
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)  # by a signal, which is handled now
            except ChildProcessError:
                return
        if pid > 0:
            self._left_us += self._told()[1]

    def take_left(self) -> int:
        """The processor's time (µs) of all that `look` and `wait` have reaped since this was last asked."""
        left, self._left_us = self._left_us, 0
        return left

    def _told(self) -> tuple[int, int, int]:
        """Of the one that was reaped last: as wait_for."""
        status, user_s, user_us, system_s, system_us, peak = _RESULT.unpack_from(self._result)
        return status, (user_s + system_s) * 1_000_000 + user_us + system_us, peak
