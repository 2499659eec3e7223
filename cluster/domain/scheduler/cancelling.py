"""Somebody wants tasks cancelled: what no worker has ends at once, what one has is stopped there."""

from collections.abc import Iterable

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.failing import reason_cancelled
from cluster.domain.job.job import Job
from cluster.domain.job.target import Target
from cluster.domain.scheduler import children
from cluster.domain.scheduler.events import CancelRequested
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.session.messages import Attempts, Stop


def cancel(state: State, event: CancelRequested) -> None:
    """Replies how many tasks this call ends or asks to stop."""
    state.reply(event.ask, sum(_cancel(state, target, event) for target in event.targets))


def _cancel(state: State, target: Target, event: CancelRequested) -> int:
    job = state.jobs.get(target.job)
    if job is None or not job.live:
        return 0
    everything = [(0, job.size)]
    wanted = IntervalSet(everything if target.ranges is None else target.ranges)
    children.give_up(state, job, wanted, endings.CANCELLED)
    ended = job.cancel_unassigned(wanted)
    asked = job.held_among(wanted)
    job.ask_to_stop(asked)
    if ended or asked:
        if reason_cancelled(job) != endings.MAX_FAILS:  # else nobody's wish ended it
            job.cancelled_by, job.cancel_reason = event.by, event.reason
        job.cancel_grace = job.record.spec.grace if event.grace is None else event.grace
        if ended:
            job.note_abnormal_end(reason_cancelled(job), endings.CANCELLED_EXIT)
        holders = [state.workers[worker] for worker in sorted({holder for holder, _ in job.held})]
        send_stops(state, job, asked, holders, job.cancel_grace)
        state.touch(job)
        state.cancels.append((job.number, event, ended + len(asked)))
    return ended + len(asked)


def send_stops(state: State, job: Job, tasks: IntervalSet, workers: Iterable[Worker], grace: float) -> None:
    """Tells these workers, where they are connected, to stop what they hold of `tasks`."""
    for worker in workers:
        for attempt, held in job.held_by(worker.id) if worker.session is not None else ():
            if stopped := held.intersection(tasks):
                attempts = Attempts(job.number, attempt, tuple(stopped.ranges()))
                state.send(worker, Stop(attempts, grace))
