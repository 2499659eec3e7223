"""Jobs of which more tasks fail than their owners allow (--max-fails): the rest is cancelled."""

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.failing import has_failed_too_often, too_many_failures
from cluster.domain.job.job import Job
from cluster.domain.scheduler import children
from cluster.domain.scheduler.cancelling import send_stops
from cluster.domain.scheduler.state import State


def cancel_rest(state: State) -> None:
    """Of each job that has changed in this turn and has failed too often: so both are on disk, or none."""
    for job in [job for job in state.changed.values() if has_failed_too_often(job)]:
        _cancel_rest(state, job)


def _cancel_rest(state: State, job: Job) -> None:
    everything = IntervalSet([(0, job.size)])
    children.give_up(state, job, everything, endings.MAX_FAILS)
    ended = job.cancel_unassigned(everything)
    asked = job.held_among(everything)
    asked.difference_update(job.cancelling)
    if not (ended or asked):
        return
    job.ask_to_stop(asked)
    job.cancel_grace = job.record.spec.grace
    job.cancel_reason = job.cancel_reason or too_many_failures(job)
    if ended:
        job.note_abnormal_end(endings.MAX_FAILS, endings.exit_code(endings.MAX_FAILS))
    holders = [state.workers[worker] for worker in sorted({holder for holder, _ in job.held})]
    send_stops(state, job, asked, holders, job.cancel_grace)
    state.touch(job)
