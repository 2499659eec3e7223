"""Which running attempts have written nothing for too long."""

from typing import NamedTuple

from cluster.domain.base.ids import AttemptKey


class Written(NamedTuple):
    """What an attempt has written, as its files show it."""

    length: int  # bytes, of both streams
    ago: float  # seconds since the last of them, by the clock of the file system, which may have been set


class _Clock:
    __slots__ = ("limit", "looked_at", "since", "written")

    def __init__(self, limit: float, now: float) -> None:
        self.limit, self.since, self.looked_at, self.written = limit, now, now, 0


class QuietClocks:
    """Those of a worker. `now` is monotonic everywhere. Nobody looks at a file before a clock may be over."""

    def __init__(self) -> None:
        self._clocks: dict[AttemptKey, _Clock] = {}
        self._frozen: dict[AttemptKey, float] = {}  # since when their clocks stand still, begun or not

    def __bool__(self) -> bool:
        return bool(self._clocks or self._frozen)

    def begin(self, key: AttemptKey, limit: float, now: float) -> None:
        """It runs, and is to be stopped when it writes nothing for so many seconds."""
        if key not in self._clocks:
            self._clocks[key] = _Clock(limit, now)

    def forget(self, key: AttemptKey) -> None:
        """It has ended, or is told to stop."""
        self._clocks.pop(key, None)
        self._frozen.pop(key, None)

    def freeze(self, key: AttemptKey, now: float, *, thaw: bool = False) -> None:
        """Its clock stands still from now on; with `thaw`, it goes on."""
        if not thaw:
            self._frozen.setdefault(key, now)
        elif (since := self._frozen.pop(key, None)) is not None and (clock := self._clocks.get(key)):
            clock.since += now - max(since, clock.since)  # it may have begun frozen

    def due(self) -> float | None:
        """When to look at files."""
        running = (clock for key, clock in self._clocks.items() if key not in self._frozen)
        return min((clock.since + clock.limit for clock in running), default=None)

    def over(self, now: float) -> list[AttemptKey]:
        """Those whose files are to be looked at: as far as is known they have been quiet for too long."""
        return [
            key for key, clock in self._clocks.items() if clock.since + clock.limit <= now and key not in self._frozen
        ]

    def looked(self, key: AttemptKey, found: Written, now: float) -> bool:
        """Whether it has been quiet for too long. What is longer than at the last look was written since, and not in
        the future."""
        clock = self._clocks.get(key)
        if clock is None:
            return False
        if found.length != clock.written:
            clock.since = now - min(max(found.ago, 0.0), now - clock.looked_at)
        clock.written, clock.looked_at = found.length, now
        return clock.since + clock.limit <= now and key not in self._frozen
