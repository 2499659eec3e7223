"""Deadlines in order. A core asks when the next one is and sleeps until then; nobody polls."""

from collections.abc import Hashable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count

_FEW = 64  # entries that may stand for nothing before it is worth to look


class Timers:
    """At most one deadline for each key. Setting or cancelling is O(log n); replaced entries are skipped when met, and
    taken out once they are more than the others."""

    __slots__ = ("_due", "_heap", "_order")

    def __init__(self) -> None:
        self._due: dict[Hashable, float] = {}
        self._heap: list[tuple[float, int, Hashable]] = []
        self._order = count()  # keys need not be comparable; equal times fire in the order set

    def __contains__(self, key: Hashable) -> bool:
        return key in self._due

    def when(self, key: Hashable) -> float | None:
        """The key's deadline; None: it has none."""
        return self._due.get(key)

    def set(self, key: Hashable, when: float) -> None:
        """Replaces the key's deadline, if it has one."""
        if self._due.get(key) != when:
            self._due[key] = when
            heappush(self._heap, (when, next(self._order), key))

    def cancel(self, key: Hashable) -> None:
        self._due.pop(key, None)
        if len(self._heap) > 2 * len(self._due) + _FEW:
            self._heap = [entry for entry in self._heap if self._due.get(entry[2]) == entry[0]]
            heapify(self._heap)

    def next(self) -> float | None:
        """The earliest deadline; None if there is none."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Hashable]:
        """Removes and yields the keys whose deadline has come, earliest first."""
        while (when := self.next()) is not None and when <= now:
            key = heappop(self._heap)[2]
            del self._due[key]
            yield key
