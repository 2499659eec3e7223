"""Lists by key, in answers of bounded size and in pieces that hold up nobody."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cluster.scheduler.message_checks import check_text
from cluster.scheduler.showing import PAGE_BYTES

AT_ONCE = 200  # entries before anybody else is served

T = TypeVar("T")


async def listed(
    piece: Callable[[str, int], Awaitable[Sequence[T]]],
    key: Callable[[T], str],
    size_of: Callable[[T], int],
    after: str,
    limit: int,
) -> tuple[list[T], str]:
    """What comes after that key (empty: from the first): as much as one answer holds, at most `limit` (0: all of that).
    Also the key after which the next answer begins, empty when this was the last. `piece` answers at most so many from
    after a key, fewer only at the end. `size_of` one of them is in bytes."""
    check_text("what to go on after", after)
    found: list[T] = []
    size = 0
    while size < PAGE_BYTES and not (limit and len(found) >= limit):
        most = min(AT_ONCE, limit - len(found)) if limit else AT_ONCE
        some = await piece(after, most)
        found += some
        size += sum(map(size_of, some))
        if len(some) < most:
            return found, ""
        after = key(some[-1])
        await asyncio.sleep(0)
    return found, after
