"""Few large requests are taken in at a time, and fewer of one caller: so what they take of memory stays bounded, and
nobody whose requests come slowly, or never, keeps others waiting.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Shares:
    """`most` at a time, and `most_of_one` of one caller; the others wait for their turn."""

    def __init__(self, most: int = 6, most_of_one: int = 2) -> None:
        self._all = asyncio.Semaphore(most)
        self._of: defaultdict[Hashable, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(most_of_one))
        self._present: Counter[Hashable] = Counter()

    @asynccontextmanager
    async def place(self, caller: Hashable) -> AsyncIterator[None]:
        """One of them is the caller's in the body of this."""
        self._present[caller] += 1
        try:
            async with self._of[caller], self._all:
                yield
        finally:
            self._present[caller] -= 1
            if not self._present[caller]:
                del self._present[caller], self._of[caller]
