"""What `cluster top` asks of the cluster, and what it wants changed there."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from typing import NamedTuple

from cluster.cli.explanations import why_job, why_task
from cluster.cli.top.model import Intent, OpenedJob
from cluster.cli.top.output_lines import OutputLines
from cluster.client.aio import AsyncClient
from cluster.client.types import Job, QueueStatus, Worker
from cluster.domain.base.errors import ClusterError, NotPermitted
from cluster.domain.job.states import LIVE, RUN, TaskState

NEWEST, LIVE_ONES, FOUND = 60, 60, 200  # jobs that are asked for: by age, of those that go on, of those looked for
MOST_TASKS = 40
TAIL, TAIL_BYTES = 20, 256 * 1024  # of the output of a job that is open
WAIT = tuple(state for state in LIVE if state not in RUN)


class Answered(NamedTuple):
    jobs: list[Job]
    workers: tuple[Worker, ...]
    queue: QueueStatus | None  # None: they are not told of it


async def look(cluster: AsyncClient, find: str) -> Answered:
    """The newest jobs, those that run and that wait, those that `find` names; the workers; the queue."""
    found = {job.number: job for job in await cluster.list(limit=NEWEST)}  # it connects, before all others at once
    is_worker = cluster.endpoint.is_worker
    running, waiting, workers, queue = await asyncio.gather(
        cluster.list(states=RUN, limit=LIVE_ONES),
        cluster.list(states=WAIT, limit=LIVE_ONES),
        _nothing() if is_worker else cluster.workers(),
        _nothing() if is_worker else _queue(cluster),
    )
    for some in (running, waiting):
        found |= {job.number: job for job in some}
    if find:
        with suppress(ClusterError):  # it is a part of a name, and no selector
            found |= {job.number: job for job in await cluster.list(find, limit=FOUND)}
    return Answered(list(found.values()), workers or (), queue)


async def _nothing() -> None:
    return None


async def _queue(cluster: AsyncClient) -> QueueStatus | None:
    try:
        return await cluster.queue()
    except NotPermitted:
        return None


async def failed_since(cluster: AsyncClient, moment: float) -> list[float]:
    """When jobs have failed since then: of the newest hundred that have."""
    return [job.ended_at for job in await cluster.list(states=(TaskState.FAILED,), limit=100) if job.ended_at > moment]


async def opened(cluster: AsyncClient, number: str) -> OpenedJob:
    """One job, with the end of its output."""
    job, tasks = await cluster.get(number, max_tasks=MOST_TASKS, attempts=True)
    because = why_job(job) if job.is_array or not tasks else why_task(job, tasks[0])
    lines, taken = OutputLines(), 0
    with suppress(ClusterError):  # it is on a worker that is away: all else is known
        async with aclosing(cluster.logs(number, tail=TAIL)) as pieces:
            async for piece in pieces:
                lines.note(piece.note) if piece.note else lines.feed(piece.data)
                taken += len(piece.data)
                if taken > TAIL_BYTES:
                    break
    return OpenedJob(job, tasks, because, lines.lines()[-TAIL:])


async def followed(cluster: AsyncClient, number: str, connected: Callable[[], object]) -> AsyncGenerator[OutputLines]:
    """The output of a job so far, after each piece of it."""
    lines = OutputLines()
    async with aclosing(cluster.logs(number, follow=True, tail=200)) as pieces:
        async for piece in pieces:
            connected()
            lines.note(piece.note) if piece.note else lines.feed(piece.data)
            yield lines


async def change(cluster: AsyncClient, intent: Intent) -> str:
    """Does it, and says what was done. ClusterError."""
    name = intent.name or intent.of
    match intent.verb:
        case "cancel":
            _, count = await cluster.cancel(intent.of)
            return f"job {intent.of}: {count} tasks are being cancelled"
        case "retry":
            _, count = await cluster.retry(intent.of)
            return f"job {intent.of}: {count} tasks are tried again"
        case "pause":
            await cluster.pause(intent.of)
            return f"job {intent.of} is paused; p lets it go on"
        case "resume":
            await cluster.resume(intent.of)
            return f"job {intent.of} goes on"
        case "drain":
            await cluster.drain_workers([intent.of])
            return f"worker {name} takes nothing more; d lets it take work again"
        case _:
            await cluster.resume_workers([intent.of])
            return f"worker {name} takes work again"
