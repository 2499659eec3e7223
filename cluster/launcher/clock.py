"""The boot clock (CLOCK_BOOTTIME): seconds since boot, suspend included, and a timer that keeps it.

epoll's own timeout stands still during suspend, so a leash would be cut late by as long as the machine
slept. Python has timerfd from 3.13 on; before, libc is asked.
"""

import ctypes
import os
import time
from functools import partial

_TFD_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_TFD_TIMER_ABSTIME = 1


class Timespec(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_long), ("nsec", ctypes.c_long))


class Itimerspec(ctypes.Structure):
    _fields_ = (("interval", Timespec), ("value", Timespec))


now = partial(time.clock_gettime, time.CLOCK_BOOTTIME)  # the boot clock in seconds


class BootTimer:
    """A descriptor that becomes readable at a boot time."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._set_for: float | None = None
        self.fd = self._libc.timerfd_create(time.CLOCK_BOOTTIME, _TFD_FLAGS)
        if self.fd < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def wake_at(self, at: float | None) -> None:
        """Be readable at `at` at the latest. An earlier setting stays: waking for nothing is cheaper than
        setting.
        """
        if at is None or (self._set_for is not None and self._set_for <= at):
            return
        self._set_for = at
        at = max(at, 0.000_001)  # zero would disarm it
        value = Timespec(int(at), int(at % 1 * 1e9) + 1)
        spec = Itimerspec(Timespec(0, 0), value)
        self._libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None)

    def fired(self) -> None:
        """Call when readable."""
        self._set_for = None
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return
