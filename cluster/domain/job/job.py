"""A job in the scheduler's memory: its record, its tasks, and what is measured as it goes."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job import endings
from cluster.domain.job.alike import Alike
from cluster.domain.job.changes import Changes, with_changes
from cluster.domain.job.chunks import chunks_of, worth_it
from cluster.domain.job.clocks import clocks_of
from cluster.domain.job.growth import memory_after
from cluster.domain.job.job_tasks import JobTasks
from cluster.domain.job.kinds import NO_LIMIT
from cluster.domain.job.pause import ON_SUBMISSION, Pause
from cluster.domain.job.records import JobChunk, JobEnded, JobHeld, JobProgress, JobRecord, TaskSets
from cluster.domain.job.request import Request, request_of
from cluster.domain.job.schedule_course import ScheduleCourse
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import HELD, TaskEvent, TaskState
from cluster.domain.job.usage import NOTHING_USED


class Job(JobTasks):
    __slots__ = (
        "_submitted",
        "alike",
        "assigned_at",
        "cancel_grace",
        "cancel_reason",
        "cancelled_by",
        "changed",
        "clocks",
        "course",
        "deadline_since",
        "ended_at",
        "exit_code",
        "given_at",
        "grows",
        "level",
        "mean_run",
        "opening",
        "pause",
        "reason",
        "record",
        "request",
        "started_at",
        "subqueue",
        "used",
    )

    def __init__(self, record: JobRecord) -> None:
        first = TaskState.WAITING if record.spec.begins_waiting else TaskState.READY
        super().__init__(record.number, record.spec.task_count, first)
        self.record = record  # with its spec as it is now
        self._submitted = record.spec
        self.changed: tuple[tuple[str, Any], ...] = ()  # options that are not as they were submitted, by fields
        self.deadline_since = 0.0  # from when one of these, the deadline, counts that was given as a duration
        self.request = request_of(record.spec)  # what those ask for that may start next
        self.grows = bool(record.spec.grow)
        self.level = 0  # how many attempts of those took too much memory, where it grows by that
        self.subqueue = (-record.spec.priority, record.owner)  # of the ready queue
        self.cancel_grace = 0.0
        self.started_at = self.ended_at = 0.0
        self.cancelled_by = self.cancel_reason = self.reason = ""
        self.exit_code = 0
        self.pause = Pause(record.owner, record.submitted_at, ON_SUBMISSION) if record.spec.hold else None
        self.opening = 0  # counts up when it is reopened, within this process
        self.mean_run: float | None = None  # seconds, of recent plain successes; None: nothing measured
        self.alike = Alike()  # what is measured of jobs like this one
        self.assigned_at = 0.0  # when a worker was given some of it last, on the monotonic clock
        self.given_at = 0.0  # the same on the wall clock
        self.course: ScheduleCourse | None = None  # of a schedule, once it is one
        self.clocks = clocks_of(record.spec)
        self.used = NOTHING_USED  # by attempts that have ended

    @property
    def priority(self) -> int:
        return self.record.spec.priority

    @property
    def as_submitted(self) -> JobRecord:
        """What never changes about it."""
        return replace(self.record, spec=self._submitted) if self.changed else self.record

    def change(self, changes: Changes) -> None:
        """From now on these options of it are so. What follows from them the caller sees to."""
        values = {**dict(self.changed), **changes}
        kept = {field: value for field, value in values.items() if value != getattr(self._submitted, field)}
        self.changed = tuple(sorted(kept.items()))
        self.record = replace(self.record, spec=with_changes(self._submitted, kept))
        self.subqueue = (-self.priority, self.record.owner)
        self.grows = bool(self.record.spec.grow)
        self.level = self.level if self.grows else 0

    @property
    def startable(self) -> int:
        """How many of its ready tasks may be given to workers now."""
        if self.pause or TaskState.READY not in self.sets:
            return 0
        ready = len(self._ready_next) if self.grows else self.count(TaskState.READY)
        most = self.record.spec.max_running
        if most == NO_LIMIT:
            return ready
        return max(0, min(ready, most - sum(map(self.count, HELD))))

    @property
    def _ready_next(self) -> IntervalSet:
        """Of its ready tasks those that ask for what it asks for now."""
        return self.tries.grown.among(self.ready, self.level) if self.grows else self.ready

    def _take_ready(self, count: int) -> IntervalSet:
        if not self.grows:
            return super()._take_ready(count)
        taken = self._ready_next.split(count)
        self.sets.remove(TaskState.READY, taken)
        return taken

    @property
    def next_level(self) -> int:
        """The lowest of its ready tasks; as it is, where there are none."""
        return min((level for level, _ in self.tries.grown.parts(self.ready)), default=self.level)

    def request_at(self, level: int) -> Request:
        """What tasks ask for of which so many attempts took too much memory."""
        spec, memory = self.record.spec, self._memory_at(level)
        return request_of(spec if memory == spec.memory else with_changes(spec, {"memory": memory}))

    def _memory_at(self, level: int) -> int:
        return memory_after(self.record.spec.memory, self.record.spec.grow, level)

    def asked_by(self, tasks: IntervalSet) -> Iterator[tuple[Request, IntervalSet]]:
        """What these asked for that workers hold."""
        if not self.grows:
            yield self.request, tasks
            return
        for level, some in self.tries.grown.parts(tasks):
            yield self.request_at(level), some

    @property
    def edition(self) -> object:
        """Changes when what workers are told of it does."""
        return self.changed, self.level

    @property
    def spec_for_workers(self) -> JobSpec:
        """As its next attempts need it."""
        spec = self.record.spec.without_lines()
        return with_changes(spec, {"memory": self._memory_at(self.level)}) if self.level else spec

    @property
    def expects_run(self) -> bool:
        """Whether it is known about how long its tasks take: of itself, or of jobs like it."""
        return self.mean_run is not None or self.alike.run is not None

    def takes(self, run: float) -> None:
        """Its tasks take so many seconds at least, whatever was measured."""
        self.alike.run = max(run, self.alike.run or 0.0)
        if self.mean_run is not None:
            self.mean_run = max(run, self.mean_run)

    def lines_of(self, ranges: Iterable[Range]) -> tuple[bytes, ...]:
        """The lines of these tasks in order; none for a job without lines."""
        index = self.record.spec.line_index
        return () if index is None else tuple(line for r in ranges for line in index.slice(r.start, r.stop))

    def note_start(self, at: float) -> None:
        """A task started at this wall-clock time (0: unknown)."""
        if at and (not self.started_at or at < self.started_at):
            self.started_at = at

    def note_abnormal_end(self, reason: str, exit_code: int) -> None:
        """A task ended for good, and not well: the job shows the first reason and the highest code."""
        self.reason = self.reason or reason
        self.exit_code = max(self.exit_code, exit_code)

    def reopen(self, tasks: IntervalSet, rest: tuple[str, int] | None = None) -> None:
        """These tasks, which have ended without success, are to be tried again. `rest`: the first reason and the
        highest exit code of those that stay as they are, where that is known."""
        super().reopen(tasks)
        failed, cancelled = self.sets[TaskState.FAILED], self.sets[TaskState.CANCELLED]
        if not (failed or cancelled):
            self.reason, self.exit_code = "", 0
        elif rest is not None:
            self.reason, self.exit_code = rest
        if not cancelled:
            self.cancelled_by = self.cancel_reason = ""

    @property
    def overdue(self) -> bool:
        """Whether its deadline is over."""
        return self.clocks is not None and self.clocks.overdue

    def obey_clocks(self, now: float) -> float | None:
        """Ends what its clocks do not let wait any longer. When they are to be obeyed again if nothing changes, on the
        monotonic clock as `now`."""
        if self.clocks is None:
            return None
        if self.overdue:
            self._expire(IntervalSet([(0, self.size)]), endings.DEADLINE)
        ready = IntervalSet() if self.pause else self.ready  # afterwards the queue clock begins anew
        over = self.clocks.waited_too_long(ready, self.sets[TaskState.ASSIGNED], now)
        self._expire(over, endings.QUEUE_TIMEOUT)
        return self.clocks.due(now)

    def _expire(self, tasks: IntervalSet, reason: str) -> None:
        if tasks and self.cancel_unassigned(tasks, TaskEvent.EXPIRED):
            self.note_abnormal_end(reason, endings.exit_code(reason))

    def saves(self) -> list[JobProgress | JobChunk | JobHeld | JobEnded]:
        """The persisted form of what may have changed since this was asked last."""
        held = self._held_apart()
        last = [JobEnded(self.number, self.outcome, self.opening)] if self.ended_at else []
        if self._changed is None:
            if not worth_it(self.size, lambda: self.pieces):
                return [self.progress(), *held, *last]
            self._changed = chunks_of(IntervalSet([(0, self.size)]))
        changed, self._changed = self._changed, set()
        return [self.progress(chunked=True), *self._chunks(changed), *held, *last]

    def progress(self, *, chunked: bool = False) -> JobProgress:
        """The persisted form of all of it, as of now, but for what is saved apart; `chunked`: but for the sets."""
        return JobProgress(  # by position, which takes a third of the time
            self.number,
            TaskSets() if chunked else self._sets_as_kept(),
            self.cancel_grace,
            self.started_at,
            self.ended_at,
            self.cancelled_by,
            self.cancel_reason,
            self.exit_code,
            self.reason,
            chunked,
            self.pause,
            self.course,
            self.changed,
            self.used,
            self.given_at,
            deadline_since=self.deadline_since,
        )

    @classmethod
    def restored(cls, record: JobRecord, progress: JobProgress) -> "Job":
        """The job as it was saved. Held tasks count as assigned until their worker says which of them it has
        started."""
        job = cls(record)
        if progress.changed:
            job.change(dict(progress.changed))
            job.request, job.clocks = request_of(job.record.spec), clocks_of(job.record.spec)
        job._restore(progress.sets, chunked=progress.chunked, held_apart=progress.held_apart)
        job.cancel_grace = progress.cancel_grace
        job.started_at, job.ended_at = progress.started_at, progress.ended_at
        job.cancelled_by, job.cancel_reason = progress.cancelled_by, progress.cancel_reason
        job.exit_code, job.reason, job.pause = progress.exit_code, progress.reason, progress.pause
        job.course, job.used, job.given_at = progress.course, progress.used, progress.given_at
        job.deadline_since = progress.deadline_since
        return job
