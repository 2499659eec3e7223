"""What must be true of the scheduler's core between turns, whatever happened. Checked in every test and simulation."""

from cluster.domain.intervals import IntervalSet
from cluster.domain.scheduler_core import SchedulerCore
from cluster.domain.states import TaskState
from cluster.domain.tasks import Job


def check(core: SchedulerCore) -> None:
    """AssertionError names the first rule that is broken, and the job or worker that breaks it."""
    for job in core.jobs.values():
        _each_task_has_one_state(job)
        _held_tasks_are_assigned_or_running(job)
        _ended_means_ended(core, job)
        assert not job.ready or job in core.ready, f"job {job.number}: ready, and not in the ready queue"
        assert not job.cancelling or _within(job.cancelling, _held(job)), (
            f"job {job.number}: cancelling what nobody holds"
        )
    for worker in core.workers.values():
        holds = {job.number: sum(len(t) for _, t in job.held_by(worker.id)) for job in core.jobs.values()}
        committed = sum(count * core.jobs[number].record.spec.millicpus for number, count in holds.items())
        assert worker.committed == committed, f"worker {worker.id}: {worker.committed} committed, holds {committed}"
        assert worker.jobs == {n for n, count in holds.items() if count}, f"worker {worker.id}: jobs {worker.jobs}"
        assert worker.session is None or core.sessions[worker.session] is worker, f"worker {worker.id}: stray session"
        assert worker.session is not None or not worker.specs, f"worker {worker.id}: remembers without a session"
    for session, worker in core.sessions.items():
        assert worker.session == session, f"session {session} is not its worker's"


def _each_task_has_one_state(job: Job) -> None:
    everything = IntervalSet()
    for tasks in job.sets.values():
        everything.update(tasks.ranges())
    count = job.record.spec.task_count
    assert everything == IntervalSet([(0, count)]), f"job {job.number}: some task has no state"
    total = sum(len(tasks) for tasks in job.sets.values())
    assert total == count, f"job {job.number}: {total} states for {count} tasks"


def _held_tasks_are_assigned_or_running(job: Job) -> None:
    held = _held(job)
    assert len(held) == sum(len(t) for t in job.held.values()), f"job {job.number}: a task has two holders"
    active = job.sets[TaskState.ASSIGNED].copy()
    active.update(job.sets[TaskState.RUNNING].ranges())
    assert held == active, f"job {job.number}: held {held}, active {active}"
    assert all(job.held.values()), f"job {job.number}: an empty hold"


def _ended_means_ended(core: SchedulerCore, job: Job) -> None:
    assert bool(job.ended_at) == (not job.live), f"job {job.number}: ended_at {job.ended_at}, live {job.live}"
    unfinished = any(other is job for other in core.unfinished())
    assert unfinished == job.live, f"job {job.number}: live {job.live}, among the unfinished {unfinished}"


def _held(job: Job) -> IntervalSet:
    union = IntervalSet()
    for tasks in job.held.values():
        union.update(tasks.ranges())
    return union


def _within(inner: IntervalSet, outer: IntervalSet) -> bool:
    return all(outer.covers(*r) for r in inner.ranges())
