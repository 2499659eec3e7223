"""Many jobs in one call: all of them are taken, in one commit, or none."""

import asyncio
from collections.abc import Sequence
from datetime import UTC
from functools import partial
from typing import NamedTuple

from cluster.domain.base.errors import ClusterError, InvalidInput, NotFound
from cluster.domain.job.dependencies import DependencyKind, check_each, references_of
from cluster.domain.job.keys import id_in_force
from cluster.domain.job.times import resolved
from cluster.domain.job.workflow import NewJob, Workflow
from cluster.domain.scheduler.events import JobsSubmitted
from cluster.domain.scheduler.view_sizes import size_of_spec
from cluster.domain.scheduler.waiting import HasEnded
from cluster.domain.trust.identity import Caller, is_uuid
from cluster.scheduler.dependencies import AT_ONCE, as_before, courses_of_ended, number_of
from cluster.scheduler.driver import Driver
from cluster.scheduler.operations.contents import ContentOperations

FEW, QUICK = 10, 16 * 1024  # jobs, and bytes of them, that are judged at once; more, beside the event loop

CHECKED_AT_ONCE = 5000  # pairs of jobs that are compared at once


async def submit_together(
    driver: Driver, caller: Caller, jobs: Sequence[NewJob], contents: ContentOperations
) -> list[int]:
    """Their numbers, in the order in which they were given, when all are on disk. The same ids again are the same jobs.
    InvalidInput for one that could never run, a circle, or words that mean several of them; NotFound for a job that is
    to be waited for and that there is not (unless these waited for it already, and it was deleted since); Exhausted
    while nothing can be written."""
    if not jobs:
        return []
    quick = len(jobs) <= FEW and sum(size_of_spec(spec) + len(spec.lines) for _, spec in jobs) <= QUICK
    judged = partial(_judged, jobs, caller, driver.clock().wall)
    workflow, outside, each = judged() if quick else await asyncio.to_thread(judged)
    first = workflow.jobs[0].id
    if driver.is_troubled and not await driver.fetch(lambda store: store.number_of_id(first)):
        driver.expect_writable(lambda core: core.job_of_id(first))
    numbers: dict[str, int] = {}
    gone: dict[int, NotFound] = {}  # of jobs that are there already those that these were to wait for, and were deleted
    for text, place in outside:
        if len(numbers) % AT_ONCE == 0:
            await asyncio.sleep(0)  # what is in memory is found without a pause
        try:
            numbers[text] = await _number_of(driver, caller, workflow, text, place)
        except NotFound as error:
            numbers[text] = await _number_before(driver, workflow.jobs[place], text, error)
            gone[numbers[text]] = error
    await _check_each_outside(driver, workflow, [(place, numbers[text]) for place, text in each])
    in_order = partial(workflow.in_order, numbers)
    for job in workflow.jobs:
        await contents.use(caller, job.id, job.spec)
    ordered = in_order() if quick else await asyncio.to_thread(in_order)
    while True:
        ended = await courses_of_ended(driver, set(numbers.values()) - gone.keys())
        event = partial(JobsSubmitted, owner=caller.user_id, jobs=ordered, ended=ended, vouched=caller.vouched)
        try:
            given = await driver.ask(event)
        except HasEnded as error:
            if error.number in gone:  # these jobs themselves were deleted meanwhile
                raise gone[error.number] from None
            continue  # the store has it by now
        of = {job.id: number for job, number in zip(ordered, given, strict=True)}
        return [of[job.id] for job in workflow.jobs]


class Judged(NamedTuple):
    """Jobs of a call that can be taken, as far as they themselves say; places as in Workflow."""

    workflow: Workflow
    outside: list[tuple[str, int]]  # words for jobs that are there already, with the place of one that says them
    each: list[tuple[int, str]]  # places of jobs that wait for those task by task, and the words


def _judged(jobs: Sequence[NewJob], caller: Caller, now: float) -> Judged:
    """`now` in Unix seconds. Of many jobs that takes long: beside the event loop."""
    for job in jobs:
        if not is_uuid(job.id):
            raise InvalidInput(f"job id {job.id[:60]!r} is no lower-case UUID")
    Workflow(jobs).validate()
    resolve = ((id_in_force(job_id, caller.user_id, spec), resolved(spec, now, UTC)) for job_id, spec in jobs)
    workflow = Workflow([NewJob(*job) for job in resolve])
    kinds = [DependencyKind.EACH]
    waits = (place for place, job in enumerate(workflow.jobs) if job.spec.after_each)
    each = [
        (place, text.strip()) for place in waits for _, text, other in workflow.waits_for(place, kinds) if other is None
    ]
    return Judged(workflow, list(workflow.outside()), each)


async def _number_of(driver: Driver, caller: Caller, workflow: Workflow, text: str, place: int) -> int:
    """Of the job that is there already."""
    try:
        return await number_of(driver, caller, text)
    except ClusterError as error:
        raise type(error)(f"{workflow.job(place)} waits for {text}: {error}") from None


async def _number_before(driver: Driver, job: NewJob, text: str, gone: NotFound) -> int:
    """The same, of one that was deleted since the job was handed in, which is now handed in once more. Raises `gone`
    where it never was, or waits for others."""
    before = await as_before(driver, job.id, job.spec, gone)
    return int(text) if text.isdecimal() else max(int(number) for number in references_of(before))


async def _check_each_outside(driver: Driver, workflow: Workflow, each: Sequence[tuple[int, int]]) -> None:
    """InvalidInput where tasks do not go together one by one with those of a job that is there already. `each`: places
    of jobs that wait so, and numbers of those that they wait for."""
    if not each:
        return
    wanted = sorted({number for _, number in each})
    found = {record.number: record.spec for record in await driver.fetch(lambda store: store.records(wanted))}
    for count, (place, number) in enumerate(each):
        if count % CHECKED_AT_ONCE == 0:
            await asyncio.sleep(0)
        if number in found:  # else it was deleted meanwhile, which is told when it is waited for
            check_each(workflow.job(place), f"job {number}", found[number], workflow.jobs[place].spec)
