"""Whether a spec can be one, found out without holding up others."""

import asyncio

from cluster.domain.job.selectors import check_name
from cluster.domain.job.spec import JobSpec, validate
from cluster.domain.scheduler.view_sizes import size_of_spec

QUICK = 16 * 1024  # bytes of a spec that is judged at once


async def check_spec(spec: JobSpec) -> None:
    """InvalidInput for one that could never run. Of a large one that is found out beside the event loop."""
    if size_of_spec(spec) + len(spec.lines) <= QUICK:
        _judge(spec)
    else:
        await asyncio.to_thread(_judge, spec)


def _judge(spec: JobSpec) -> None:
    validate(spec)
    check_name(spec.name)
