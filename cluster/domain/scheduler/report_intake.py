"""What a worker's word changes: starts, ends, tasks given back, attempts lost.

A report counts only for tasks that its worker holds in the very attempt it speaks of; the rest is stale (repeated after
a reconnect, or about an attempt given up) and changes nothing.
"""

from dataclasses import replace
from struct import Struct

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.failing import reason_cancelled
from cluster.domain.job.job import Job
from cluster.domain.job.records import PACKED, OkEnds, TaskEnd
from cluster.domain.job.states import TaskEvent, TaskState
from cluster.domain.scheduler import children, draining, retrying
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.session.messages import Report, by_attempt

_RECENT = 0.2  # weight of the newest report in the mean run time
_SAMPLES = 16  # run times looked at in one range of ends

_WAS_STOPPED = "its worker was told to end its jobs"

_packed = Struct(PACKED)


class Reports:
    def __init__(self, state: State) -> None:
        self._state = state

    def received(self, worker: Worker, report: Report) -> None:
        took = worker.takes_work
        worker.ending = worker.ending or report.draining
        worker.reporting = report.more
        if worker.takes_work != took:
            self._state.takers.note(worker)
        for (number, attempt), tasks in by_attempt(report.started).items():
            self.started(worker, number, attempt, tasks)
        accepted: dict[tuple[int, int], IntervalSet] = {}
        for ok in report.ok:
            moved = self._succeeded(worker, ok)
            if report.outputs:
                accepted.setdefault((ok.job, ok.attempt), IntervalSet()).update(moved)
        for end in report.ended:
            if self._ended(worker, end):
                accepted.setdefault((end.job, end.attempt), IntervalSet()).add(end.index, end.index + 1)
        for (number, attempt), tasks in by_attempt(report.returned).items():
            if job := self._state.jobs.get(number):
                self.unstarted(worker, job, attempt, tasks)
        for output in report.outputs:
            if output.index in accepted.get((output.job, output.attempt), ()):
                self._state.saves.append(output)
                self._state.usage.output(self._state.jobs[output.job], worker.id, output)

    def started(self, worker: Worker, number: int, attempt: int, tasks: IntervalSet) -> None:
        """The worker says that it has started these tasks of the job of that number."""
        job = self._state.jobs.get(number)
        unstarted = job.count(TaskState.ASSIGNED) if job else 0
        if job and job.started(worker.id, attempt, tasks):
            worker.unstarted -= unstarted - job.count(TaskState.ASSIGNED)
            job.note_start(self._state.now.wall)
            if asked := worker.recalled.get(number):
                asked.difference_update(tasks)  # it was too late for these
            self._state.touch(job)

    def unstarted(self, worker: Worker, job: Job, attempt: int, tasks: IntervalSet) -> None:
        """Certainly never started: ready again, or cancelled if that was asked meanwhile."""
        cancelled = self._state.release(worker, job, attempt, tasks, TaskEvent.RETURNED).intersection(job.cancelling)
        if cancelled:
            job.cancel_unassigned(cancelled)
            job.cancelling.difference_update(cancelled)
            job.note_abnormal_end(reason_cancelled(job), endings.CANCELLED_EXIT)
            self._state.touch(job)

    def lost(self, worker: Worker, job: Job, attempt: int, tasks: IntervalSet, why: str) -> None:
        """Nobody can know how these ended."""
        stopped = tasks.intersection(job.cancelling)
        rest = tasks.copy()
        rest.difference_update(stopped)
        for some, event, exhausted in (*retrying.after_loss(job, rest), (stopped, TaskEvent.FAILED, False)):
            gone = self._state.release(worker, job, attempt, some, event) if some else some
            for index in gone:
                told = (endings.LOST, endings.LOST_EXIT, "", why, worker.id)
                self._note_end(job, TaskEnd(job.number, index, attempt, *told, is_exhausted=exhausted), event)

    def _succeeded(self, worker: Worker, ok: OkEnds) -> IntervalSet:
        job = self._state.jobs.get(ok.job)
        if job is None:
            return IntervalSet()
        if job.record.spec.wait_children:
            return children.succeeded(self._state, worker, job, ok)
        ended = IntervalSet([(ok.first, ok.stop)])
        moved = self._state.release(worker, job, ok.attempt, ended, TaskEvent.SUCCEEDED)
        for piece in moved.ranges():
            part = ok if piece == (ok.first, ok.stop) else ok.part(*piece)
            self._state.saves.append(part.on(worker.id))
            self._state.usage.successes(job, worker.id, part)
        if moved:
            _measure(job, ok)
        return moved

    def _ended(self, worker: Worker, end: TaskEnd) -> bool:
        """Whether the worker held it."""
        job = self._state.jobs.get(end.job)
        if job is None:
            return False
        drained = end.index in worker.stopped.get(end.job, ())
        if end.state is TaskState.CANCELLED and end.index not in job.cancelling:
            # No user cancelled this task, and it did not fail by itself: its job's deadline is over, or its worker was
            # drained, or told to end its jobs.
            stopped = replace(end, reason=endings.STOPPED, detail=draining.said(worker) if drained else _WAS_STOPPED)
            end = replace(end, reason=endings.DEADLINE) if job.overdue else stopped
        elif end.state is TaskState.CANCELLED and reason_cancelled(job) == endings.MAX_FAILS:
            end = replace(end, reason=endings.MAX_FAILS, detail=job.cancel_reason)
        # No maintenance uses up what a task may be tried.
        forgiven = drained and end.reason == endings.STOPPED
        event, end = retrying.after_end(job, end, forgiven=forgiven)
        if not self._state.release(worker, job, end.attempt, IntervalSet([(end.index, end.index + 1)]), event):
            return False
        if job.grows and end.reason == endings.OOM:
            job.tries.grown.raise_by_one(IntervalSet([(end.index, end.index + 1)]))
        if end.started_at and end.ended_at:
            job.alike.note(end.ended_at - end.started_at)
        code = end.exit_code or endings.exit_code(end.reason)  # a worker that says none is of another version, or lies
        self._note_end(job, replace(end, worker_id=worker.id, exit_code=code), event, forgiven=forgiven)
        return True

    def _note_end(self, job: Job, end: TaskEnd, event: TaskEvent, *, forgiven: bool = False) -> None:
        """What follows when an attempt has ended that is no plain success; its task has moved by `event`."""
        self._state.saves.append(end)
        self._state.usage.ended(job, end.worker_id, end)
        if event is TaskEvent.RETRIED:
            self._state.retry_at(job, end.index, retrying.pause_before_next(job, end, forgiven=forgiven))
        else:
            job.note_abnormal_end(end.reason_of_task, end.exit_code)
        job.note_start(end.started_at)


def _measure(job: Job, ok: OkEnds) -> None:
    """Takes a few of the ends as a sample for the mean run time, and the first start."""
    stride = max(1, ok.count // _SAMPLES) * _packed.size
    sample = [_packed.unpack_from(ok.packed, at) for at in range(0, len(ok.packed), stride)]
    mean = sum(run for _, run, *_ in sample) / len(sample) / 1e6
    job.alike.note(mean)
    job.mean_run = mean if job.mean_run is None else job.mean_run + _RECENT * (mean - job.mean_run)
    job.note_start(sample[0][0])
