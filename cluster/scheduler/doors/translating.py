"""Many values to messages, in pieces that hold up nobody."""

import asyncio
from collections.abc import Sequence

from cluster.domain.scheduler.view_sizes import size_of_job
from cluster.domain.scheduler.views import Detail, JobView
from cluster.rpc.convert import job_to_proto
from cluster.scheduler.showing import PIECE_BYTES, PIECE_JOBS
from cluster.v1 import job_pb2


async def jobs_to_proto(views: Sequence[JobView], detail: Detail) -> list[job_pb2.Job]:
    messages: list[job_pb2.Job] = []
    size = 0
    for place, view in enumerate(views, start=1):
        messages.append(job_to_proto(view, detail))
        size += size_of_job(view, detail)
        if place % PIECE_JOBS == 0 or size >= PIECE_BYTES:
            await asyncio.sleep(0)
            size = 0
    return messages
