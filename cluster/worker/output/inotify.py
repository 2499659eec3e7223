"""Knowing when a file grows, without looking again and again: inotify(7), which Python has no module for.

The system has few instances and watches for each user, and others may have taken them all. Then we do look again and
again, and say so once: slow output is better than none.
"""

import asyncio
import ctypes
import logging
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_IN_MODIFY = 0x2
LOOK_EVERY = 0.2  # seconds, where inotify has nothing left for us
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_libc = ctypes.CDLL(None, use_errno=True)

logger = logging.getLogger(__name__)


class Watcher:
    """Sets events when files are written to. One for each event loop; close it at the end."""

    def __init__(self) -> None:
        self._fd: int = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)  # -1: there was none left
        self._events: dict[int, set[asyncio.Event]] = {}
        self._loop = asyncio.get_running_loop()
        self._has_told = False
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._readable)
        else:
            self._tell_why()

    @contextmanager
    def growth(self, fd: int, event: asyncio.Event) -> Iterator[None]:
        """Set `event` at each write to the open file, from now to the end of the block."""
        # By descriptor, because the path may meanwhile be gone, or be another file.
        path = os.fsencode(f"/proc/self/fd/{fd}")
        watch = _libc.inotify_add_watch(self._fd, path, _IN_MODIFY)
        if watch < 0:
            self._tell_why()
            with self._now_and_then(event):
                yield
            return
        events = self._events.setdefault(watch, set())  # several readers of one file share a watch
        events.add(event)
        try:
            yield
        finally:
            events.discard(event)
            if not events:
                del self._events[watch]
                _libc.inotify_rm_watch(self._fd, watch)

    def _tell_why(self) -> None:
        """Once, after a call that failed: for an operator who wonders why output comes in jerks."""
        if not self._has_told:
            self._has_told = True
            logger.warning(
                "inotify refused (%s), so output is looked at every %g s: raise fs.inotify.max_user_instances and "
                "fs.inotify.max_user_watches",
                os.strerror(ctypes.get_errno()),
                LOOK_EVERY,
            )

    @contextmanager
    def _now_and_then(self, event: asyncio.Event) -> Iterator[None]:
        """Set `event` every LOOK_EVERY seconds."""
        timer: asyncio.TimerHandle

        def look() -> None:
            nonlocal timer
            event.set()
            timer = self._loop.call_later(LOOK_EVERY, look)

        timer = self._loop.call_later(LOOK_EVERY, look)
        try:
            yield
        finally:
            timer.cancel()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)

    def _readable(self) -> None:
        data = os.read(self._fd, 65536)
        at = 0
        while at < len(data):
            watch, _, _, length = _EVENT.unpack_from(data, at)
            at += _EVENT.size + length
            for event in self._events.get(watch, ()):
                event.set()
