"""Which jobs a job waits for: names become numbers, and the store tells of those that have ended."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace

from cluster.domain.base.errors import NotFound
from cluster.domain.job.dependencies import (
    Course,
    DependencyKind,
    check_each,
    check_reference,
    course_of,
    dependencies_of,
    with_references,
    with_references_as,
)
from cluster.domain.job.job import Job
from cluster.domain.job.records import TaskEnd
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.scheduler.family import Try
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.trust.identity import Caller
from cluster.scheduler.access import select
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import jobs_of
from cluster.store.interface import Store

AT_ONCE = 200  # words that are looked up at once


async def with_numbers(driver: Driver, caller: Caller, spec: JobSpec) -> JobSpec:
    """The spec with every job that it waits for named by its number.
    InvalidInput for a reference that names no whole job, or tasks that do not go together one by one; NotFound for a
    job that there is not, or that the caller may not see."""
    if not spec.waits:
        return spec
    fields = {kind: getattr(spec, kind.value) for kind in DependencyKind}
    numbers: dict[str, int] = {}
    for text in dict.fromkeys(text.strip() for texts in fields.values() for text in texts):
        if len(numbers) % AT_ONCE == 0:
            await asyncio.sleep(0)  # what is in memory is found without a pause
        numbers[text] = await number_of(driver, caller, text)
    if each := [numbers[text.strip()] for text in spec.after_each]:
        for record in await driver.fetch(lambda store: store.records(each)):  # what was deleted meanwhile is told later
            check_each("this one", f"job {record.number}", record.spec, spec)
    return with_references(spec, lambda text: str(numbers[text.strip()]))


async def as_before(driver: Driver, job_id: str, spec: JobSpec, gone: NotFound) -> JobSpec:
    """What is handed in once more under that id, after a job that it waits for was deleted: with the numbers of then.
    Raises `gone` where there is no such job, or it waits for others."""
    job = driver.peek(lambda core: core.job_of_id(job_id))
    if job is not None:
        before: JobSpec | None = job.as_submitted.spec
    else:
        records = await driver.fetch(lambda store: store.records([n] if (n := store.number_of_id(job_id)) else []))
        before = records[0].spec if records else None
    same = with_references_as(spec, before) if before is not None else None
    if same is None:
        raise gone
    return same


async def number_of(driver: Driver, caller: Caller, text: str) -> int:
    """Of the job that is to be waited for: of several with one name, of the newest. InvalidInput for a reference that
    names no whole job, NotFound for one that there is not, or that the caller may not see."""
    check_reference(text)
    return max((await select(driver, caller, [text])).numbers())


async def courses_of_ended(driver: Driver, numbers: Collection[int]) -> Mapping[int, Course]:
    """Of those of these jobs that have left memory. NotFound for one that was deleted."""
    missing = driver.peek(lambda core: [number for number in sorted(set(numbers)) if number not in core.jobs])
    if not missing:
        return {}
    found, courses = await driver.fetch(lambda store: (store.records(missing), courses_in(store, missing)))
    if gone := set(missing) - {record.number for record in found}:
        raise NotFound(f"job {min(gone)}, which is to be waited for, was deleted")
    return courses


def recover(store: Store) -> Recovered:
    """What the store has at a start, with the courses of the ended jobs that others wait for."""
    loaded = store.load()
    alive = {record.number for record, _ in loaded.jobs}
    waiting = (record.spec for record, _ in loaded.jobs if record.spec.waits)
    wanted = {dependency.job for spec in waiting for dependency in dependencies_of(spec)} - alive
    loaded = replace(loaded, ended=courses_in(store, sorted(wanted))) if wanted else loaded
    return _with_children(store, loaded)


def _with_children(store: Store, loaded: Recovered) -> Recovered:
    """With what is to be known of the children of jobs that wait for them."""
    finishing: dict[int, dict[int, TaskEnd]] = {}
    failed: dict[int, Mapping[Try, Collection[int]]] = {}
    for record, progress in loaded.jobs:
        if record.spec.wait_children:
            failed[record.number] = store.failed_children(record.number)
            for index in Job.restored(record, progress).sets[TaskState.FINISHING]:
                finishing.setdefault(record.number, {})[index] = store.ends_of_task(record.number, index)[-1]
    return replace(loaded, finishing=finishing, failed_children=failed) if failed else loaded


def courses_in(store: Store, numbers: Collection[int]) -> Mapping[int, Course]:
    """Of those of these jobs that have ended there."""
    courses = {number: course_of(job) for number, job in jobs_of(store, numbers).items()}
    return {number: course for number, course in courses.items() if course.outcome is not None}
