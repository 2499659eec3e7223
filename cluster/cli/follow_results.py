"""`cluster run --out`: a job is followed, and what its tasks leave comes here as they end."""

import asyncio
import sys
from contextlib import aclosing

from cluster.cli.exit_codes import INTERRUPTED, IO_ERROR
from cluster.cli.follow import Follower
from cluster.cli.results import tell_remarks
from cluster.client.aio import AsyncClient
from cluster.client.results import TaskResults
from cluster.client.types import Job
from cluster.domain.base.errors import ClusterError
from cluster.domain.base.printable import printable
from cluster.domain.job.results import ResultsState


async def follow_and_fetch(follower: Follower, client: AsyncClient, job: Job, to: str, flat: bool) -> int:
    """The exit code to leave with: the job's own, or where that is 0 and files are missing here IO_ERROR."""
    fetching = asyncio.create_task(_fetch(client, job, to, flat))
    try:
        code = await follower.follow()
        if code == INTERRUPTED:
            return code
        await follower.or_left(fetching)
        if not fetching.done():
            print(f"cluster: `cluster job fetch {job.number}` brings the rest of its files", file=sys.stderr)
            return code or INTERRUPTED
        return code or (0 if fetching.result() else IO_ERROR)
    except ClusterError as error:
        if not fetching.done() or fetching.exception() is not error:
            raise
        print(f"cluster: {printable(str(error))}", file=sys.stderr)
        print(f"cluster: `cluster job fetch {job.number}` brings the rest of its files", file=sys.stderr)
        return code or error.exit_code
    finally:
        fetching.cancel()
        await asyncio.wait([fetching])
        if not fetching.cancelled():
            fetching.exception()  # asked for, or asyncio shows a traceback


async def _fetch(client: AsyncClient, job: Job, to: str, flat: bool) -> bool:
    """Whether all of it is here. What is to be said about it is said at the end, of tasks that are alike once."""
    odd: list[TaskResults] = []
    is_all = True
    try:
        async with aclosing(client.fetch(job.id, to=to, flat=flat, follow=True)) as several:
            async for fetched in several:
                results = fetched.results
                is_all = is_all and results.state in (ResultsState.KEPT, ResultsState.NONE)
                if results.notes or results.state in (ResultsState.COMING, ResultsState.AWAY):
                    odd.append(results)
    finally:
        tell_remarks(odd)
    return is_all
