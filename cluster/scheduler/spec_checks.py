"""Whether a spec can be one, found out without holding up others."""

import asyncio
from functools import lru_cache

from cluster.domain.job.selectors import check_name
from cluster.domain.job.spec import JobSpec, validate
from cluster.domain.scheduler.view_sizes import size_of_spec

QUICK = 16 * 1024  # bytes of a spec that is judged at once
LITTLE = 1024  # bytes of one that is remembered once it was found good
MOST_KNOWN = 256  # of those


async def check_spec(spec: JobSpec) -> None:
    """InvalidInput for one that could never run. Of a large one that is found out beside the event loop."""
    size = size_of_spec(spec) + len(spec.lines)
    if size <= LITTLE:
        _judge_once(spec)
    elif size <= QUICK:
        _judge(spec)
    else:
        await asyncio.to_thread(_judge, spec)


def _judge(spec: JobSpec) -> None:
    validate(spec)
    check_name(spec.name)


@lru_cache(MOST_KNOWN)
def _judge_once(spec: JobSpec) -> None:
    """Whoever hands in many jobs often says the same of each. (What is raised is not remembered.)"""
    _judge(spec)
