"""The states of a job's tasks, as pictures need them."""

import asyncio

from cluster.domain.base.intervals import Range
from cluster.domain.job.state_map import StateMap, TasksByState, pieces_asked, state_map, states_within, tasks_asked
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import JobReader

FEW_RANGES = 2000  # which are summed up at once; more, beside the event loop


async def states_shown(driver: Driver, number: int, first: int, count: int, most: int) -> tuple[int, StateMap]:
    """How many tasks the job has, and the map of `count` of them (0: all) from `first` on, in at most `most` ranges or
    cells (0: the usual number), all as they are at one moment. InvalidInput for what is not there, or too much."""
    most = pieces_asked(most)

    def copied(all_tasks: int, sets: TasksByState) -> tuple[int, Range, TasksByState]:
        tasks = tasks_asked(all_tasks, first, count)
        return all_tasks, tasks, states_within(sets, tasks)

    all_tasks, tasks, within = await JobReader(driver, number).read(
        lambda job: copied(job.record.spec.task_count, job.sets)
    )
    if sum(members.range_count() for members in within.values()) <= FEW_RANGES:
        return all_tasks, state_map(within, tasks, most)
    return all_tasks, await asyncio.to_thread(state_map, within, tasks, most)
