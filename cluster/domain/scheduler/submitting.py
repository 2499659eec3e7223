"""A job comes: it gets its number, and its tasks are ready."""

from cluster.domain.base.errors import Conflict
from cluster.domain.job.job import Job
from cluster.domain.job.records import JobRecord
from cluster.domain.scheduler.events import JobSubmitted
from cluster.domain.scheduler.state import State


def submit(state: State, event: JobSubmitted) -> None:
    """The same UUID again is the same job, for the same owner."""
    known = state.number_of(event.id)
    if known is not None:
        same = state.jobs[known].record.owner == event.owner
        state.reply(event.ask, known if same else Conflict(f"job id {event.id} is taken: make a new UUID for each job"))
        return
    record = JobRecord(state.next_number, event.id, event.owner, event.spec, state.now.wall)
    state.next_number += 1
    job = Job(record)
    state.adopt(job)
    state.saves.append(record)
    state.reply(event.ask, record.number)
    state.touch(job)
