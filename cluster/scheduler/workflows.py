"""Many jobs in one call: all of them are taken, in one commit, or none."""

import asyncio
from collections.abc import Sequence
from datetime import UTC
from functools import partial

from cluster.domain.base.errors import ClusterError, InvalidInput
from cluster.domain.job.dependencies import DependencyKind, check_each
from cluster.domain.job.keys import id_in_force
from cluster.domain.job.times import resolved
from cluster.domain.job.workflow import NewJob, Workflow
from cluster.domain.scheduler.events import JobsSubmitted
from cluster.domain.scheduler.waiting import HasEnded
from cluster.domain.trust.identity import Caller, is_uuid
from cluster.scheduler.dependencies import courses_of_ended, number_of
from cluster.scheduler.driver import Driver

FEW = 10  # jobs that are judged at once; more, beside the event loop


async def submit_together(driver: Driver, caller: Caller, jobs: Sequence[NewJob]) -> list[int]:
    """Their numbers, in the order in which they were given, when all are on disk. The same ids again are the same jobs.
    InvalidInput for one that could never run, a circle, or words that mean several of them; NotFound for a job that is
    to be waited for and that there is not; Exhausted while nothing can be written."""
    if not jobs:
        return []
    jobs = [NewJob(id_in_force(job_id, caller.user_id, spec), spec) for job_id, spec in jobs]
    judged = partial(_judged, jobs, driver.clock().wall)
    workflow = judged() if len(jobs) <= FEW else await asyncio.to_thread(judged)
    first = jobs[0].id
    if driver.is_troubled and not await driver.fetch(lambda store: store.number_of_id(first)):
        driver.expect_writable(lambda core: core.job_of_id(first))
    numbers = {text: await _number_of(driver, caller, workflow, text, place) for text, place in workflow.outside()}
    await _check_each_outside(driver, workflow, numbers)
    in_order = partial(workflow.in_order, numbers)
    ordered = in_order() if len(jobs) <= FEW else await asyncio.to_thread(in_order)
    while True:
        ended = await courses_of_ended(driver, numbers.values())
        event = partial(JobsSubmitted, owner=caller.user_id, jobs=ordered, ended=ended, vouched=caller.vouched)
        try:
            given = await driver.ask(event)
        except HasEnded:
            continue  # the store has it by now
        of = {job.id: number for job, number in zip(ordered, given, strict=True)}
        return [of[job.id] for job in jobs]


def _judged(jobs: Sequence[NewJob], now: float) -> Workflow:
    """`now` in Unix seconds."""
    for job in jobs:
        if not is_uuid(job.id):
            raise InvalidInput(f"job id {job.id[:60]!r} is no lower-case UUID")
    Workflow(jobs).validate()
    return Workflow([NewJob(job_id, resolved(spec, now, UTC)) for job_id, spec in jobs])


async def _number_of(driver: Driver, caller: Caller, workflow: Workflow, text: str, place: int) -> int:
    """Of the job that is there already."""
    try:
        return await number_of(driver, caller, text)
    except ClusterError as error:
        raise type(error)(f"{workflow.job(place)} waits for {text}: {error}") from None


async def _check_each_outside(driver: Driver, workflow: Workflow, numbers: dict[str, int]) -> None:
    """InvalidInput where tasks do not go together one by one with those of a job that is there already."""
    each = {
        (place, numbers[text])
        for place, job in enumerate(workflow.jobs)
        if job.spec.after_each
        for kind, text, other in workflow.waits_for(place)
        if kind is DependencyKind.EACH and other is None
    }
    if not each:
        return
    wanted = sorted({number for _, number in each})
    found = {record.number: record.spec for record in await driver.fetch(lambda store: store.records(wanted))}
    for place, number in sorted(each):
        check_each(workflow.job(place), f"job {number}", found[number], workflow.jobs[place].spec)
