"""Watchers miss no change, and fast changes do not drown them."""

import asyncio
from contextlib import aclosing
from itertools import pairwise

from cluster.scheduler.watching import AT_ONCE, BURST, Pace, Watchers
from tests.patience import PATIENCE


def test_the_first_changes_are_told_at_once_and_then_so_many_a_second() -> None:
    pace = Pace(100.0, per_second=10.0)
    delays = [pace.delay(100.0) for _ in range(BURST + 3)]
    assert delays[:BURST] == [0.0] * BURST
    assert [round(delay, 6) for delay in delays[BURST:]] == [0.1, 0.2, 0.3]
    assert [pace.delay(9999.0) for _ in range(3)] == [0.0] * 3


def test_a_change_while_the_watcher_looks_is_not_missed() -> None:
    async def body() -> None:
        watchers = Watchers()
        async with aclosing(watchers.changes([1, 2])) as changes, asyncio.timeout(PATIENCE):
            assert await anext(changes) is None  # at once, all of them
            watchers.changed(2)
            watchers.changed(1)
            assert await anext(changes) == {1, 2}  # both in one
            again = asyncio.ensure_future(anext(changes))
            watchers.changed(3)
            await asyncio.sleep(0)
            assert not again.done()
            watchers.all_changed()
            assert await again is None

    asyncio.run(body())


def test_who_leaves_is_forgotten() -> None:
    async def body() -> None:
        watchers = Watchers()
        async with aclosing(watchers.changes([1])) as changes:
            await anext(changes)
        assert not watchers._of_job
        assert not watchers._watches

    asyncio.run(body())


def test_who_watched_many_jobs_is_forgotten_in_turns() -> None:
    async def body() -> None:
        watchers, jobs = Watchers(), 3 * AT_ONCE + 1
        async with aclosing(watchers.changes(range(jobs))) as changes:
            await anext(changes)
        left = [len(watchers._of_job)]
        while left[-1]:
            await asyncio.sleep(0)
            left.append(len(watchers._of_job))
        assert max(before - after for before, after in pairwise([jobs, *left])) == AT_ONCE

    asyncio.run(body())


def test_patience_ends_a_wait_without_change() -> None:
    async def body() -> None:
        async with aclosing(Watchers().changes([1], patience=0.0)) as changes, asyncio.timeout(PATIENCE):
            await anext(changes)
            await anext(changes)

    asyncio.run(body())
