"""The tasks of one job: which index is in which state, who holds it, in which attempt.

Nothing here is per task unless the task is out of the ordinary: states are interval sets, moved by the table of
`states`. A job of a million pending tasks is a handful of ranges. And there is a set only of a state that any task is
in: a job of one task has one.
"""

from collections.abc import Iterator, Mapping

from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.job.chunks import chunks_of, parted
from cluster.domain.job.records import Held, JobChunk, JobHeld, TaskSets
from cluster.domain.job.states import (
    ENDED,
    ENDED_BY_JOB_RANK,
    HELD,
    KEPT,
    UNASSIGNED,
    IllegalTransition,
    TaskEvent,
    TaskState,
    next_state,
)
from cluster.domain.job.tries import Tries

Holder = tuple[str, int]  # (worker id, attempt)

_ENDED, _KEPT = frozenset(ENDED), frozenset(KEPT)
_UNTRIED = Tries()  # of all jobs of which nothing was tried; not to be changed

MANY_HOLDERS = 32  # beyond which what they hold is saved apart: a report of one would bring the tasks of all to disk


class SetsByState(dict[TaskState, IntervalSet]):
    """Of a state that no task is in, an empty set that nothing else knows."""

    def __missing__(self, _: TaskState) -> IntervalSet:
        return IntervalSet()

    def add(self, state: TaskState, tasks: IntervalSet) -> None:
        if there := self.get(state):
            there.update(tasks)
        else:
            self[state] = tasks.copy()

    def remove(self, state: TaskState, tasks: IntervalSet) -> None:
        """Those of these that are in it."""
        if there := self.get(state):
            there.difference_update(tasks)
            if not there:
                del self[state]


class JobTasks:
    """Of the job of that number."""

    __slots__ = (
        "_attempts_held",
        "_changed",
        "_changed_holders",
        "_tries",
        "cancelling",
        "ended_lately",
        "held",
        "number",
        "sets",
        "size",
    )

    def __init__(self, number: int, count: int, first: TaskState) -> None:
        self.number = number
        self.size = count  # how many tasks there are
        self.sets = SetsByState({first: IntervalSet([(0, count)])})
        self.held: dict[Holder, IntervalSet] = {}
        self._attempts_held: dict[str, set[int]] = {}  # worker id: the attempts in `held`, to find them at once
        self._tries: Tries | None = None  # None: none was, and nobody has asked
        self.cancelling = IntervalSet()
        self.ended_lately: IntervalSet | None = None  # since somebody asked; None: nobody waits for single tasks
        self._changed: set[int] | None = None  # chunks that have, since they were saved; None: it is saved whole
        self._changed_holders: set[Holder] | None = None  # the same of what workers hold, where it is saved apart

    # ── what they are ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def ready(self) -> IntervalSet:
        return self.sets[TaskState.READY]

    @property
    def succeeded(self) -> IntervalSet:
        return self.sets[TaskState.SUCCEEDED]

    @property
    def tries(self) -> Tries:
        """How often they were tried."""
        if self._tries is None:
            self._tries = Tries()
        return self._tries

    @property
    def live(self) -> bool:
        """Whether any task has not ended."""
        return not _ENDED.issuperset(self.sets)

    @property
    def outcome(self) -> TaskState:
        """What it has ended as, once none of its tasks is live: the worst end."""
        if len(self.succeeded) == self.size:
            return TaskState.SUCCEEDED
        return next((state for state in ENDED_BY_JOB_RANK if self.sets[state]), TaskState.SUCCEEDED)

    @property
    def pieces(self) -> int:
        """The number of ranges in its sets, which is what they cost in memory and on disk."""
        return sum(tasks.range_count() for tasks in self.sets.values())

    def count(self, state: TaskState) -> int:
        there = self.sets.get(state)
        return 0 if there is None else len(there)

    def held_by(self, worker_id: str) -> Iterator[tuple[int, IntervalSet]]:
        """(attempt, tasks) of one worker."""
        attempts = self._attempts_held.get(worker_id)
        return iter([(attempt, self.held[worker_id, attempt]) for attempt in sorted(attempts)] if attempts else ())

    def is_held_by(self, worker_id: str) -> bool:
        return worker_id in self._attempts_held

    def held_among(self, tasks: IntervalSet) -> IntervalSet:
        """Those of `tasks` that any worker holds."""
        held = IntervalSet()
        for state in HELD:
            held.update(self.sets[state].intersection(tasks))
        return held

    def last_attempt(self, index: int) -> int | None:
        """The number of the last attempt of a task that was begun, 0: none yet. None: it has ended, and only its ends
        tell."""
        if any(index in tasks for state, tasks in self.sets.items() if state in _ENDED):
            return None
        begun = [attempt for (_, attempt), tasks in self.held.items() if index in tasks]
        return max([*begun, self.tries.attempts.of(index)])

    def assign(self, worker_id: str, count: int) -> list[tuple[int, tuple[Range, ...]]]:
        """Moves the first ready tasks, at most `count`, to a worker. Returns them as (attempt, ranges)."""
        taken = self._take_ready(count)
        self._note_change(taken)
        self.sets.add(next_state(TaskState.READY, TaskEvent.ASSIGNED), taken)
        given: list[tuple[int, tuple[Range, ...]]] = []
        for ended, tasks in (self._tries or _UNTRIED).attempts.parts(taken):
            self._hold(worker_id, ended + 1).update(tasks)
            given.append((ended + 1, tuple(tasks.ranges())))
        return sorted(given)

    def _take_ready(self, count: int) -> IntervalSet:
        """The first of those that may start next."""
        ready = self.ready
        if count >= len(ready):
            return self.sets.pop(TaskState.READY, ready)
        return ready.split(count)

    def _hold(self, worker_id: str, attempt: int) -> IntervalSet:
        """What the worker holds in that attempt, to be added to."""
        self._note_holder(worker_id, attempt)
        self._attempts_held.setdefault(worker_id, set()).add(attempt)
        return self.held.setdefault((worker_id, attempt), IntervalSet())

    def _drop_if_empty(self, worker_id: str, attempt: int) -> None:
        if not self.held.get((worker_id, attempt), True):
            del self.held[worker_id, attempt]
            self._attempts_held[worker_id].discard(attempt)
            if not self._attempts_held[worker_id]:
                del self._attempts_held[worker_id]

    def started(self, worker_id: str, attempt: int, tasks: IntervalSet) -> bool:
        """Whether any of these that the worker holds became running by it."""
        fresh = self._of(worker_id, attempt, tasks).intersection(self.sets[TaskState.ASSIGNED])
        self._move(TaskState.ASSIGNED, TaskEvent.STARTED, fresh)
        return bool(fresh)

    def release(self, worker_id: str, attempt: int, tasks: IntervalSet, event: TaskEvent) -> IntervalSet:
        """Ends the worker's hold on those of `tasks` that it holds in that attempt; they move by `event`.

        Returns those that moved. What it does not hold is stale and left alone. RETURNED concerns only tasks that have
        not started."""
        moved = self._of(worker_id, attempt, tasks)
        if event is TaskEvent.RETURNED:
            moved = moved.intersection(self.sets[TaskState.ASSIGNED])
        if moved:
            self._move_held(event, moved)
            self.held[worker_id, attempt].difference_update(moved)
            self._note_holder(worker_id, attempt)
            self._note_attempt(event, attempt, moved)
            self._drop_if_empty(worker_id, attempt)
        return moved

    def cancel_unassigned(self, tasks: IntervalSet, event: TaskEvent = TaskEvent.CANCELLED) -> int:
        """Cancels those that no worker holds, or ends them by another event. Returns how many."""
        ended = 0
        for state in (*UNASSIGNED, TaskState.FINISHING):
            if there := self.sets.get(state):
                ours = there.intersection(tasks)
                self._move(state, event, ours)
                ended += len(ours)
        return ended

    def settle(self, index: int, event: TaskEvent) -> None:
        """All jobs have ended that the task, which is finishing, was to wait for."""
        tasks = IntervalSet([(index, index + 1)])
        self._move(TaskState.FINISHING, event, tasks)
        if event is TaskEvent.SUCCEEDED:
            self.tries.succeeded(tasks)

    def ask_to_stop(self, tasks: IntervalSet) -> None:
        """These, which are held, are to be cancelled when they come back."""
        self._note_change(tasks)
        self.cancelling.update(tasks)

    def go_on(self, tasks: IntervalSet) -> bool:
        """What those of `tasks` that wait have waited for has happened. Whether any waited."""
        waiting = self.sets[TaskState.WAITING].intersection(tasks)
        self._move(TaskState.WAITING, TaskEvent.MET, waiting)
        return bool(waiting)

    def give_up(self, tasks: IntervalSet) -> bool:
        """What those of `tasks` that wait have waited for can't happen any more. Whether any waited."""
        waiting = self.sets[TaskState.WAITING].intersection(tasks)
        self._move(TaskState.WAITING, TaskEvent.UNMET, waiting)
        return bool(waiting)

    def reopen(self, tasks: IntervalSet) -> None:
        """Those of `tasks` that have ended without success wait again, and what they were tried counts no more. Nobody
        is told of ends that are over."""
        for state in ENDED:
            if state is not TaskState.SUCCEEDED:
                reopened = self.sets[state].intersection(tasks)
                self._move(state, TaskEvent.REOPENED, reopened)
                self.tries.forgive(reopened)
                if self.ended_lately is not None:
                    self.ended_lately.difference_update(reopened)

    def due(self, tasks: IntervalSet) -> bool:
        """The pause between two attempts is over for those of `tasks` that are in one. Whether any was."""
        waiting = self.sets[TaskState.BACKOFF].intersection(tasks)
        self._move(TaskState.BACKOFF, TaskEvent.DUE, waiting)
        return bool(waiting)

    def _of(self, worker_id: str, attempt: int, tasks: IntervalSet) -> IntervalSet:
        held = self.held.get((worker_id, attempt))
        return held.intersection(tasks) if held else IntervalSet()

    def _move(self, state: TaskState, event: TaskEvent, tasks: IntervalSet) -> None:
        if tasks:
            self._note_change(tasks)
            target = next_state(state, event)
            self.sets.remove(state, tasks)
            self.sets.add(target, tasks)
            if self.ended_lately is not None and target in _ENDED:
                self.ended_lately.update(tasks)

    def _move_held(self, event: TaskEvent, tasks: IntervalSet) -> None:
        """Moves held tasks, some of which may be running and some only assigned."""
        moved = 0
        for state in HELD:
            if there := self.sets.get(state):
                ours = there.intersection(tasks)
                self._move(state, event, ours)
                moved += len(ours)
        if moved != len(tasks):
            raise IllegalTransition(TaskState.ASSIGNED, event, f"job {self.number}, {tasks}, only {moved} held")

    def _note_attempt(self, event: TaskEvent, attempt: int, tasks: IntervalSet) -> None:
        if event is TaskEvent.RETURNED:
            return  # it never started: the same attempt number is free to be used
        self.cancelling.difference_update(tasks)
        if event is not TaskEvent.SUCCEEDED:
            self.tries.ended(tasks, attempt)
        elif self._tries is not None:
            self._tries.succeeded(tasks)

    def _held_apart(self) -> list[JobHeld]:
        """What has changed of what workers hold. It is apart once they were many, and stays so."""
        if self._changed_holders is None:
            if len(self.held) <= MANY_HOLDERS:
                return []
            self._changed_holders = set(self.held)  # what its chunks still have counts no more, and goes as they change
        changed, self._changed_holders = sorted(self._changed_holders), set()
        none = IntervalSet()
        return [JobHeld(self.number, *holder, tuple(self.held.get(holder, none).flat())) for holder in changed]

    def _note_change(self, tasks: IntervalSet) -> None:
        if self._changed is not None:
            self._changed |= chunks_of(tasks)

    def _note_holder(self, worker_id: str, attempt: int) -> None:
        if self._changed_holders is not None:
            self._changed_holders.add((worker_id, attempt))

    @property
    def _held_within(self) -> Mapping[Holder, IntervalSet]:
        """What is saved with the job of what workers hold."""
        return self.held if self._changed_holders is None else {}

    def _chunks(self, numbers: set[int]) -> Iterator[JobChunk]:
        states = parted({state: self.sets[state] for state in KEPT}, numbers)
        held, cancelling = parted(self._held_within, numbers), parted({"all": self.cancelling}, numbers)
        tries = self.tries.sets_of_chunks(numbers)
        for number in sorted(numbers):
            sets = TaskSets(
                states=tuple(states[number].items()),
                held=tuple(Held(*holder, flat) for holder, flat in sorted(held[number].items())),
                cancelling=cancelling[number].get("all", ()),
                **tries[number],
            )
            yield JobChunk(self.number, number, sets)

    def _sets_as_kept(self) -> TaskSets:
        return TaskSets(
            tuple([(state, tuple(tasks.flat())) for state, tasks in sorted(self.sets.items()) if state in _KEPT]),
            tuple([Held(*holder, tuple(tasks.flat())) for holder, tasks in sorted(self._held_within.items())]),
            cancelling=tuple(self.cancelling.flat()),
            **(self._tries or _UNTRIED).sets(),
        )

    def _restore(self, sets: TaskSets, *, chunked: bool, held_apart: bool) -> None:
        """They are as they were saved, in these ways."""
        self.sets = SetsByState((state, IntervalSet.from_flat(flat)) for state, flat in sets.states if flat)
        for held in sets.held:
            tasks = self._hold(held.worker_id, held.attempt)
            tasks.update(IntervalSet.from_flat(held.flat))
            self.sets.add(TaskState.ASSIGNED, tasks)
        self._tries = Tries(sets)
        self.cancelling = IntervalSet.from_flat(sets.cancelling)
        self._changed = set() if chunked else None
        self._changed_holders = set() if held_apart else None
