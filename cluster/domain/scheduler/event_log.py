"""What each turn adds to the event log (`cluster.domain.scheduler.event_records`).

Events are found at the end of a turn by what it saves: they are committed with what they tell, so that after a crash
both are there or neither is. Of each job that goes on is known what was told of it last, which follows from what is on
disk: so nothing is told twice, and a restart leaves nothing out.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from cluster.domain.base.intervals import IntervalSet
from cluster.domain.job import endings
from cluster.domain.job.arrays import format_array
from cluster.domain.job.job import Job
from cluster.domain.job.notice_options import targets_of
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.pause import Pause, QueuePause
from cluster.domain.job.records import JobRecord, JobReopened, TaskEnd
from cluster.domain.job.states import ENDED, TaskState
from cluster.domain.scheduler.effects import Amended, Save
from cluster.domain.scheduler.event_records import EventKind, EventRecord
from cluster.domain.scheduler.events import CancelRequested
from cluster.domain.scheduler.recovered import Recovered
from cluster.domain.scheduler.retention import Tombstone
from cluster.domain.scheduler.state import State
from cluster.domain.scheduler.worker_record import WorkerRecord

# Events about ends of tasks that are told of one job by one scheduler. After them the job's end alone tells how many
# have failed: else an array that fails task by task would push everything else out of the log.
MOST_OF_ENDS = 1000
MOST_PIECES = 20  # ranges of tasks that are written out
_TOLD_OF = (TaskEnd, WorkerRecord, Amended, QueuePause, JobRecord, JobReopened, Tombstone)


class _Told(NamedTuple):
    """What was told of a job."""

    waits: bool
    started: bool
    pause: Pause | None


_FRESH = _Told(waits=False, started=False, pause=None)


class EventLog:
    def __init__(self, state: State) -> None:
        self._state = state
        self._next = 1
        self._jobs: dict[int, _Told] = {}  # those that go on
        self._ends: dict[int, int] = {}  # of these, how many events about ends of tasks; none: no entry
        self._workers: dict[str, WorkerRecord] = {}
        self._queue_pause: Pause | None = None

    def restore(self, loaded: Recovered) -> None:
        """Takes up what the store has at a start: all of that was told."""
        self._next = loaded.next_event
        for record, progress in loaded.jobs:
            waits = bool(progress.sets.of(TaskState.WAITING))
            self._jobs[record.number] = _shared(_Told(waits, bool(progress.started_at), progress.pause))
        self._workers = {record.id: record for record in loaded.workers if not record.removed}
        self._queue_pause = loaded.queue_pause

    def of_turn(self) -> list[EventRecord]:
        """What the present turn adds, by what it saves and which jobs it has changed."""
        state = self._state
        saves = [save for save in state.saves if isinstance(save, _TOLD_OF)]
        if not (saves or state.changed):
            return []
        told: list[dict[str, Any]] = [*self._of_workers(saves), *self._of_jobs(saves), *_of_deleted(saves)]
        first, self._next = self._next, self._next + len(told)
        return [EventRecord(sequence, state.now.wall, **event) for sequence, event in enumerate(told, first)]

    # ── workers and the queue ─────────────────────────────────────────────────────────────────────────────────────

    def _of_workers(self, saves: Iterable[Save | Amended]) -> Iterator[dict[str, Any]]:
        for save in saves:
            match save:
                case QueuePause(pause=pause):
                    if pause:
                        yield {"kind": EventKind.QUEUE_PAUSED, "by": pause.by, "detail": pause.reason}
                    elif self._queue_pause:
                        yield {"kind": EventKind.QUEUE_RESUMED}
                    self._queue_pause = pause
                case WorkerRecord() | Amended():
                    record = save.record if isinstance(save, Amended) else save
                    before = self._workers.get(record.id)
                    name = before.name if before and record.removed else record.name
                    yield from ({"kind": kind, "worker": name, **rest} for kind, rest in _of_worker(before, record))
                    self._workers[record.id] = record
                    if record.removed:
                        del self._workers[record.id]

    # ── jobs ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _of_jobs(self, saves: Iterable[Save | Amended]) -> Iterator[dict[str, Any]]:
        state = self._state
        fresh = {save.number for save in saves if isinstance(save, JobRecord)}
        reopened = {save.number for save in saves if isinstance(save, JobReopened)}
        # Of jobs that wait for their children successes are saved one by one. They are told no more than others'.
        ends = _by_job(save for save in saves if isinstance(save, TaskEnd) and save.reason != endings.OK)
        cancels: dict[int, list[tuple[CancelRequested, int]]] = {}
        for number, event, count in state.cancels:
            cancels.setdefault(number, []).append((event, count))
        state.cancels = []
        for number, job in state.changed.items():
            about = {"job": number, "owner": job.record.owner, "name": job.record.spec.name}
            if number in reopened:
                yield {"kind": EventKind.JOB_REOPENED, **about}
                self._jobs[number] = _shared(_told(job))
            before, now = self._jobs.get(number), _told(job)
            if before is None and number not in fresh:
                continue  # its end was told
            if before is None:
                word = "waiting" if now.waits else "paused" if now.pause else "ready"
                yield {"kind": EventKind.JOB_SUBMITTED, "count": job.size, "state": word, **about}
                before = _FRESH._replace(waits=True) if now.waits else _FRESH
            if now != before:
                yield from ({**event, **about} for event in _since(before, now))
            if number in ends:
                yield from ({**event, **about} for event in self._of_ends(job, ends[number]))
            for event, count in cancels.get(number, ()):
                wish = {"count": count, "by": event.by, "detail": event.reason}
                yield {"kind": EventKind.JOB_CANCELLED, **wish, **about}
            if job.ended_at:
                yield {**_of_end(job), **about}
                self._jobs.pop(number, None)
                self._ends.pop(number, None)
            else:
                self._jobs[number] = _shared(now)

    def _of_ends(self, job: Job, ends: Iterable[TaskEnd]) -> Iterator[dict[str, Any]]:
        """Those of a kind in one."""
        ranges: dict[tuple[Any, ...], IntervalSet] = {}
        for end in ends:
            kind = _kind_of(job, end)
            key = (kind, end.attempt, end.reason_of_task, end.exit_code, end.worker_id)
            ranges.setdefault(key, IntervalSet()).add(end.index, end.index + 1)
        for (kind, attempt, reason, code, worker_id), tasks in ranges.items():
            told = self._ends[job.number] = self._ends.get(job.number, 0) + 1
            if told > MOST_OF_ENDS:
                return
            worker = self._state.workers.get(worker_id)
            event = {
                "kind": kind,
                "attempt": attempt,
                "reason": reason,
                "exit_code": code,
                "worker": worker.record.name if worker else worker_id,
                "tasks": _pieces(tasks, job.record.spec.number_of) if job.record.spec.is_array else "",
                "count": len(tasks),
            }
            yield event | ({"detail": "no more ends of tasks of this job are told"} if told == MOST_OF_ENDS else {})


def _of_deleted(saves: Iterable[Save | Amended]) -> Iterator[dict[str, Any]]:
    """Those of one owner that go for one reason in one."""
    numbers: dict[tuple[str, str], IntervalSet] = {}
    for save in saves:
        if isinstance(save, Tombstone):
            numbers.setdefault((save.owner, save.why), IntervalSet()).add(save.number, save.number + 1)
    for (owner, why), jobs in numbers.items():
        several = {"tasks": _pieces(jobs, lambda number: number), "count": len(jobs), "detail": why}
        yield {"kind": EventKind.JOBS_DELETED, "owner": owner, **several}


def _told(job: Job) -> _Told:
    return _Told(bool(job.count(TaskState.WAITING)), bool(job.started_at), job.pause)


def _shared(told: _Told) -> _Told:
    """The same, and where it says nothing the same object for all: there may be a million of them."""
    return _FRESH if told == _FRESH else told


def _since(before: _Told, now: _Told) -> Iterator[dict[str, Any]]:
    if before.waits and not now.waits:
        yield {"kind": EventKind.JOB_READY}
    if now.pause and now.pause != before.pause:
        yield {"kind": EventKind.JOB_PAUSED, "by": now.pause.by, "detail": now.pause.reason}
    if before.pause and not now.pause:
        yield {"kind": EventKind.JOB_RESUMED}
    if now.started and not before.started:
        yield {"kind": EventKind.JOB_STARTED}


def _of_end(job: Job) -> dict[str, Any]:
    outcome = job.outcome
    counts = ", ".join([f"{state.word}: {job.count(state)}" for state in ENDED if state in job.sets])
    end = {"state": outcome.word, "reason": job.reason or endings.OK, "exit_code": job.exit_code}
    told = {"count": job.size, "notify": targets_of(job.record.spec, outcome)}
    return {"kind": EventKind.JOB_ENDED, "detail": counts, **told, **end}


def _kind_of(job: Job, end: TaskEnd) -> EventKind:
    if not any(end.index in job.sets[state] for state in ENDED):
        return EventKind.TASKS_RETRIED
    return EventKind.TASKS_CANCELLED if end.state is TaskState.CANCELLED else EventKind.TASKS_FAILED


def _by_job(ends: Iterable[TaskEnd]) -> dict[int, list[TaskEnd]]:
    found: dict[int, list[TaskEnd]] = {}
    for end in ends:
        found.setdefault(end.job, []).append(end)
    return found


def _pieces(places: IntervalSet, number_of: Callable[[int], int]) -> str:
    pieces: list[ArraySegment] = []
    for piece in places.ranges():
        if len(pieces) == MOST_PIECES:
            return f"{format_array(pieces)},…"
        first, last, size = number_of(piece.start), number_of(piece.stop - 1), piece.stop - piece.start
        if last - first == size - 1:
            pieces.append(ArraySegment(first, last))
        else:
            pieces += [ArraySegment(number, number) for number in map(number_of, range(*piece)[:MOST_PIECES])]
    return format_array(pieces[:MOST_PIECES]) + (",…" if len(pieces) > MOST_PIECES else "")


def _of_worker(before: WorkerRecord | None, now: WorkerRecord) -> Iterator[tuple[EventKind, dict[str, Any]]]:
    """What has happened to a worker between two of its records; None: there was none."""
    if now.removed:
        if before is not None:
            yield EventKind.WORKER_REMOVED, {}
        return
    if before is None:
        yield EventKind.WORKER_JOINED, {"detail": f"{now.millicpus / 1000:g} cpus"}
    elif now.offline and not before.offline:
        yield EventKind.WORKER_LEFT, {}
    elif now.is_silent and not before.is_silent:
        yield EventKind.WORKER_UNREACHABLE, {}
    elif (before.offline or before.is_silent) and not (now.offline or now.is_silent):
        yield EventKind.WORKER_BACK, {}
    wish, drained = (before.drain, before.is_drained) if before else (None, False)
    if now.drain and now.drain != wish:
        yield EventKind.WORKER_DRAINING, {"by": now.drain.by, "detail": now.drain.reason}
    if now.drain and now.is_drained and not drained:
        yield EventKind.WORKER_DRAINED, {}
    if wish and not now.drain:
        yield EventKind.WORKER_RESUMED, {}
