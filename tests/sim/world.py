"""One virtual clock, one seeded random source, and the story of what happened: all that a simulation runs on.

Nothing else may be random or know the time, so a seed gives the same run again, to the last event.
"""

from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from heapq import heappop, heappush
from random import Random
from struct import Struct

Action = Callable[[], None]

EPOCH = 1_700_000_000.0  # wall-clock time (Unix seconds) at which every simulation begins
REMEMBERED = 60  # events that a failure tells
UNHASHED = 1 << 16  # bytes of the trace beyond which they are hashed: to hash each step alone costs more than it
_SECONDS = Struct("<d")


class World:
    """Time is in seconds since the simulation began: the true time, which no clock inside it shows exactly."""

    def __init__(self, seed: int, *, loud: bool = False) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.steps = 0
        self._heap: list[tuple[float, int, Action]] = []
        self._order = 0
        self._loud = loud
        self._story: deque[tuple[float, str, str]] = deque(maxlen=REMEMBERED)
        self._hash = blake2b(digest_size=8)
        self._unhashed = bytearray()  # what has happened since, as it goes into the trace

    @property
    def wall(self) -> float:
        return EPOCH + self.now

    def at(self, delay: float, action: Action) -> None:
        """Lets `action` happen `delay` seconds from now. Of two at one time the one that was set first comes first."""
        self._order += 1
        heappush(self._heap, (self.now + delay, self._order, action))

    def between(self, least: float, most: float) -> float:
        return least + (most - least) * self.random.random()  # as `uniform` does it, in half of the time

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def run(self, until: float) -> None:
        """Lets everything happen that is due before `until`."""
        heap, pack = self._heap, _SECONDS.pack
        while heap and heap[0][0] <= until:
            self.now, _, action = heappop(heap)
            self.steps += 1
            self._unhashed += pack(self.now)
            action()
        self.now = until

    def tell(self, who: str, what: str) -> None:
        """One event of the story."""
        self._story.append((self.now, who, what))
        self._unhashed += f"{who} {what}".encode()
        if len(self._unhashed) > UNHASHED:
            self._take_to_hash()
        if self._loud:
            print(_line(self.now, who, what))

    @property
    def trace(self) -> str:
        """Sixteen characters that are the same for two runs in which the same has happened at the same times."""
        self._take_to_hash()
        return self._hash.hexdigest()

    def _take_to_hash(self) -> None:
        self._hash.update(self._unhashed)
        self._unhashed.clear()

    def story(self) -> str:
        """The last events, one a line."""
        return "\n".join(_line(*event) for event in self._story)


def _line(at: float, who: str, what: str) -> str:
    return f"{at:10.4f} {who:<10} {what}"
