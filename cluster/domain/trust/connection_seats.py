"""Seats for what anybody may take, and needs for milliseconds: a newcomer always gets one.

Where there is none, the oldest of whoever has most goes. So no host keeps the others out, however many it takes.
"""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Seats(Generic[T]):
    """`most` in all, and `most_of_one` host."""

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._of: dict[Hashable, dict[T, None]] = {}  # by host, oldest first
        self._hosts: dict[T, Hashable] = {}  # oldest first

    def take(self, who: T, host: Hashable) -> T | None:
        """A seat for `who`. Answers who has none any more because of that."""
        theirs = self._of.setdefault(host, {})
        theirs[who] = None
        self._hosts[who] = host
        if len(theirs) <= self._most_of_one:
            if len(self._hosts) <= self._most:
                return None
            theirs = max(self._of.values(), key=len)
        oldest = next(iter(theirs))
        self.leave(oldest)
        return oldest

    def __iter__(self) -> Iterator[T]:
        return iter(self._hosts)

    def leave(self, who: T) -> None:
        """It has none any more, if it had one."""
        host = self._hosts.pop(who, None)
        if host is None:
            return
        del self._of[host][who]
        if not self._of[host]:
            del self._of[host]
