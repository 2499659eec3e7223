"""The operating system as it can be on a bad day: the nth of its calls fails, stops short, or is the last one."""

import errno
import os
import resource
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any

import pytest

CALLS = ("open", "write", "pwrite", "posix_fallocate", "ftruncate", "fsync", "rename", "replace", "unlink")


class Fault(Enum):
    FAIL = "fails"
    SHORT = "writes one byte"  # other calls than these do all they are to do
    KILL = "killed before"
    KILL_AFTER = "killed after"


# One after another, from the nth call on.
BAD_DAYS: tuple[tuple[Fault, ...], ...] = (
    (Fault.FAIL,),
    (Fault.FAIL, Fault.FAIL),
    (Fault.SHORT, Fault.SHORT),
    (Fault.SHORT, Fault.FAIL),
    (Fault.SHORT, Fault.FAIL, Fault.FAIL),
    (Fault.SHORT, Fault.KILL),
    (Fault.KILL,),
    (Fault.KILL_AFTER,),
)


class Killed(BaseException):
    """The process ends here: nothing that it wraps reaches the system any more."""


class BadDay:
    """Wraps functions of `os`. `struck`: whether as many calls were made."""

    def __init__(self, faults: Sequence[Fault], first: int) -> None:
        self._faults = faults
        self._first = first
        self._calls = 0
        self._dead = False

    @property
    def struck(self) -> bool:
        return self._calls >= self._first

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            self._calls += 1
            at = self._calls - self._first
            fault = self._faults[at] if 0 <= at < len(self._faults) else None
            if self._dead or fault is Fault.KILL:
                self._dead = True
                raise Killed
            if fault is Fault.FAIL:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if fault is Fault.SHORT and function.__name__ in ("write", "pwrite"):
                return function(arguments[0], bytes(arguments[1])[:1], *arguments[2:])
            answer = function(*arguments, **more)
            if fault is Fault.KILL_AFTER:
                self._dead = True
                raise Killed
            return answer

        return call


def bad_days(faults: Sequence[Fault], day: Callable[[], None]) -> Iterator[int]:
    """Lives the same day over and over, with the faults from its 1st, 2nd, 3rd, ... call on, until it has fewer. Yields
    after each: then the system is well again, as it is at the next start."""
    for first in count(1):
        bad = BadDay(faults, first)
        with pytest.MonkeyPatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, bad.wrap(getattr(os, name)))
            with suppress(Killed):
                day()
        if not bad.struck:
            return
        yield first


def no_file_may_exceed(size: int) -> AbstractContextManager[None]:
    """As good as a full disk: a write stops short there, the next one fails."""
    return _limited(resource.RLIMIT_FSIZE, size)


def no_descriptor_left() -> AbstractContextManager[None]:
    """Nothing can be opened."""
    return _limited(resource.RLIMIT_NOFILE, 3)  # 0, 1 and 2 are surely in use


@contextmanager
def _limited(what: int, limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def record_syncs(patch: pytest.MonkeyPatch) -> list[Path]:
    """What is synced from now on."""
    synced: list[Path] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    patch.setattr(os, "fsync", record)
    return synced
