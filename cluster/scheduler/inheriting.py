"""What was uploaded with a schedule is its runs', too: it stays as long as one of these does.

A run whose worker has all of it in its cache asks for nothing, and so uses nothing by itself
(`scheduler/operations/contents.py`). So a schedule passes on what it uses before it lets go of it.
"""

import asyncio
from collections.abc import Mapping

from cluster.scheduler.driver import Driver
from cluster.scheduler.threads import to_its_end
from cluster.store.contents.interface import Contents

AT_ONCE = 1000  # runs


async def pass_on(driver: Driver, contents: Contents, jobs: Mapping[int, str]) -> None:
    """Before these let go of what they use: UUIDs by numbers. Of those that are schedules the runs use it, too."""
    first = await driver.fetch(lambda store: [(n, store.keeping.runs_of(n, 0, AT_ONCE)) for n in jobs])
    for number, runs in first:
        while runs:
            heirs = [job_id for _, job_id in runs]
            await to_its_end(lambda by=jobs[number], heirs=heirs: contents.pass_on(by, heirs))  # type: ignore[misc]
            after = runs[-1][0]
            runs = await driver.fetch(lambda store, n=number, at=after: store.keeping.runs_of(n, at, AT_ONCE))  # type: ignore[misc]
            await asyncio.sleep(0)
