"""Jobs as answers show them, in pieces that hold up nobody and in answers of bounded size."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from cluster.domain.scheduler_core import SchedulerCore
from cluster.domain.states import TaskState
from cluster.domain.views import WhyNot, job_view
from cluster.rpc.convert import Detail, job_to_proto
from cluster.scheduler.watching import Watchers
from cluster.v1 import job_pb2, jobs_pb2

# An answer ends with the job with which it reaches this. A job's command may have 1.5 MiB, and gRPC clients of other
# languages take answers of 4 MiB.
PAGE_BYTES = 1024 * 1024
PIECE_JOBS, PIECE_BYTES = 100, 128 * 1024  # that are looked at, and shown, before anybody else is served

T = TypeVar("T")


class Read(Protocol):
    """Driver.read, or Driver.read_after."""

    def __call__(self, view: Callable[[SchedulerCore], T], /) -> Awaitable[T]: ...


class Page(NamedTuple):
    jobs: list[job_pb2.Job]
    looked: int  # how many of the numbers were looked at: the rest is for the next page


async def page(
    read: Read,
    numbers: Sequence[int],
    *,
    states: Collection[TaskState] = (),
    limit: int = 0,
    detail: Detail = Detail.LISTED,
) -> Page:
    """The first of these jobs: those in one of the states (none: in any), at most `limit` (0: all), as many as one
    answer holds."""
    jobs: list[job_pb2.Job] = []
    looked = size = 0
    while looked < len(numbers) and size < PAGE_BYTES and not (limit and len(jobs) >= limit):
        some = numbers[looked : looked + PIECE_JOBS]
        room = limit - len(jobs) if limit else PIECE_JOBS
        piece, seen = await read(partial(_piece, numbers=some, states=states, room=room, detail=detail))
        jobs += piece
        looked += seen
        size += sum(job.ByteSize() for job in piece)
        await asyncio.sleep(0)
    return Page(jobs, looked)


def _piece(
    core: SchedulerCore, numbers: Sequence[int], states: Collection[TaskState], room: int, detail: Detail
) -> tuple[list[job_pb2.Job], int]:
    """The first of these jobs, and how many of the numbers were looked at for them."""
    known: WhyNot = {}
    jobs: list[job_pb2.Job] = []
    size = looked = 0
    for number in numbers:
        looked += 1
        view = job_view(core, number, known)
        if not states or view.state in states:
            jobs.append(job_to_proto(view, detail))
            size += jobs[-1].ByteSize()
        if len(jobs) >= room or size >= PIECE_BYTES:
            break
    return jobs, looked


async def changes_of(
    read: Read, watchers: Watchers, numbers: Sequence[int]
) -> AsyncGenerator[jobs_pb2.WaitResponse, None]:
    """All of these jobs, and then each time those of them that have changed, until all have ended."""
    going = dict.fromkeys(numbers)  # in order
    detail = Detail.LISTED
    async with aclosing(watchers.changes(numbers)) as changes:
        async for changed in changes:
            some = list(going) if changed is None else sorted(going.keys() & set(changed))
            while some or detail is Detail.LISTED:
                jobs, looked = await page(read, some, detail=detail)
                for job in jobs:
                    if TaskState(job.state).ended:
                        del going[job.number]
                some = some[looked:]
                yield jobs_pb2.WaitResponse(jobs=jobs, more=bool(some))
                if not some:
                    break
            detail = Detail.NONE
            if not going:
                return
