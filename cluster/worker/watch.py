"""Knowing when a file grows, without looking again and again: inotify(7), which Python has no module for."""

import asyncio
import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

_IN_MODIFY = 0x2
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_libc = ctypes.CDLL(None, use_errno=True)


class Watcher:
    """Sets events when files are written to. One for each event loop; close it at the end."""

    def __init__(self) -> None:
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._events: dict[int, set[asyncio.Event]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    @contextmanager
    def growth(self, fd: int, event: asyncio.Event) -> Iterator[None]:
        """Set `event` at each write to the open file, from now to the end of the block. OSError when the system has
        no watch left (fs.inotify.max_user_watches)."""
        # By descriptor, because the path may meanwhile be gone, or be another file.
        path = os.fsencode(f"/proc/self/fd/{fd}")
        watch = _checked(_libc.inotify_add_watch(self._fd, path, _IN_MODIFY))
        events = self._events.setdefault(watch, set())  # several readers of one file share a watch
        events.add(event)
        try:
            yield
        finally:
            events.discard(event)
            if not events:
                del self._events[watch]
                _libc.inotify_rm_watch(self._fd, watch)

    def close(self) -> None:
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


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"inotify: {os.strerror(number)}")
    return result
