"""Jobs that have ended are deleted, or pinned so that they are not (`cluster.domain.scheduler.retention`).

They are in the store alone, so what is to be deleted comes with the event, as the store has it. What keeps a job is
known here: so nothing that was read before can be wrong when the job goes. From then on it is not there for anybody;
its rows and files go afterwards, in pieces.
"""

from cluster.domain.base.errors import Conflict
from cluster.domain.scheduler.events import JobsDeleted, JobsPinned, OutputsExpire
from cluster.domain.scheduler.retention import EndedJob, JobPinned, OutputExpired, Tombstone
from cluster.domain.scheduler.state import State

MOST_NAMED = 5  # jobs that one refusal names


class Busy(Conflict):
    """Jobs are just being taken in that may wait for these: to be asked again."""


def handle(state: State, event: JobsDeleted | JobsPinned | OutputsExpire, *, busy: bool) -> None:
    """`busy`: other turns have begun to take in jobs, which may wait for some of these."""
    match event:
        case JobsDeleted():
            delete_jobs(state, event, busy=busy)
        case JobsPinned():
            pin_jobs(state, event)
        case OutputsExpire():
            expire_outputs(state, event)


def delete_jobs(state: State, event: JobsDeleted, *, busy: bool) -> None:
    """Replies the numbers of those that are deleted. What must be kept is left out, or if the event says so refused:
    then none is deleted."""
    if busy:
        state.reply(event.ask, Busy("jobs are just being submitted: try again"))
        return
    kept = {job.number: why for job in event.jobs if (why := state.bonds.why_kept(job, state.jobs))}
    if kept and event.refuses:
        state.reply(event.ask, _refusal(kept))
        return
    gone = [job for job in event.jobs if job.number not in kept and job.number not in state.bonds.deleted]
    for job in gone:
        _delete(state, job, event.why)
    state.reply(event.ask, tuple(job.number for job in gone))


def _delete(state: State, job: EndedJob, why: str) -> None:
    state.bonds.deleted.add(job.number, job.number + 1)
    state.bonds.pins.pop(job.number, None)
    state.saves.append(Tombstone(job.number, job.id, job.owner, state.now.wall, why))


def _refusal(kept: dict[int, str]) -> Conflict:
    words = "; ".join(f"job {number} {why}" for number, why in list(kept.items())[:MOST_NAMED])
    more = f"; and {len(kept) - MOST_NAMED} more" if len(kept) > MOST_NAMED else ""
    return Conflict(f"nothing was deleted: {words}{more}")


def pin_jobs(state: State, event: JobsPinned) -> None:
    """Replies how many of them were not pinned, or where they are to be no longer, were. One that was deleted is
    neither."""
    count = 0
    for number in event.jobs:
        if number in state.bonds.deleted or (number in state.bonds.pins) == (event.pin is not None):
            continue
        count += 1
        if event.pin is None:
            del state.bonds.pins[number]
        else:
            state.bonds.pins[number] = event.pin
        state.saves.append(JobPinned(number, event.pin))
    state.reply(event.ask, count)


def expire_outputs(state: State, event: OutputsExpire) -> None:
    """Replies the numbers of those whose output goes: none that is pinned, was deleted, or goes on again."""
    bonds = state.bonds
    kept = (state.jobs, bonds.pins, bonds.deleted)
    gone = tuple(number for number in event.jobs if not any(number in some for some in kept))
    state.saves += [OutputExpired(number, state.now.wall, event.why) for number in gone]
    if event.walked:
        state.saves.append(event.walked)
    state.reply(event.ask, gone)
