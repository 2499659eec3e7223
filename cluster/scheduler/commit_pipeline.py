"""The order of a scheduler's steps, without I/O and without waiting: the driver runs it, and so does the simulation.

    batch → core.turn → commit → acts and answers

While a commit is under way the next batch gathers, and who is about to put something is let put it before a turn begins
(`gathering`): so under load one commit serves many events, and on the idle path nothing waits. As soon as a turn's full
share has gathered it has its turn, and one commit takes all that these decide: else who has much to say would wait for
as many commits as that takes turns, with its heartbeats behind it. Reads run
between a commit and the next turn: the only moments when memory and disk agree.

When a commit fails or takes long, the core goes ahead of the disk: its turns go on, what they decide waits (but for
what need not, see `cluster.domain.scheduler.uncommitted`), and readers are shown what is on disk.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from enum import Enum
from typing import Protocol

from cluster.domain.base.durations import Durations
from cluster.domain.base.now import Now
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Act, Decided
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE
from cluster.domain.scheduler.uncommitted import Saved, Waiting
from cluster.scheduler.batch import Batch, Put, Read, Waiter

# Seconds. Whoever says anything has proved so lately, by a commit, that no other scheduler has taken over the store.
# Else it went on confirming leases of workers that the other one has not heard, gives up, and whose tasks it starts
# elsewhere. Less than what is between the end of a leash and the giving up (cluster.domain.session.leashes). While the
# core is ahead of the disk nothing can be proved: there the lock on the scheduler's directory keeps others out, and
# of those that stand by for each other, the lead (cluster.scheduler.leading).
PROOF = 0.5
SLOW = 1.0  # seconds of a commit after which the core goes ahead of it
# What may wait for the disk, as Waiting.weight counts it. Beyond it only what is urgent is taken.
MOST_WAITING = 500_000
ACTS_AT_ONCE = 1000  # of what has waited for the disk, before anybody else is served
BREATH = 0.005  # seconds that reads may take, one after another, before anybody else is served


class Step(Enum):
    """What is to be waited for before the next step."""

    EVENTS = "events"  # something is put, or the core's next deadline
    DISK = "disk"  # the commit that is under way, or that it takes long
    BREATH = "breath"  # nothing: others have theirs


class Turns(Waiting):
    """What some turns have decided, and who waits until it is on disk."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Waiter] = []

    def __bool__(self) -> bool:
        return super().__bool__() or bool(self.done)

    def absorb(self, later: Waiting) -> None:
        super().absorb(later)
        assert isinstance(later, Turns)
        self.done += later.done


class Host(Protocol):
    """Who runs the steps, and does what comes of them. None of it waits."""

    def commit(self) -> None:
        """Begins to bring `trying` to disk, and where nothing is to be saved, a commit of nothing unless `is_proved`.
        Tells `proved` and `land` when that is done, before perhaps `go_ahead` and `try_again`."""

    def perform(self, acts: Sequence[Act]) -> None: ...

    def resolve(self, waiter: Waiter) -> None:
        """What it waits for is done."""

    def answer(self, read: Read, *, from_disk: bool) -> None:
        """Answers a read, from the core as it is now, or from what is on disk."""

    def turned(self, decided: Decided) -> None:
        """A turn has decided this, and nothing of it is done."""

    def landed(self, saves: Sequence[Saved]) -> None:
        """They are on disk, and nothing is done that waited for it."""


class CommitPipeline:
    def __init__(
        self,
        core: SchedulerCore,
        host: Host,
        clock: Callable[[], Now],
        most: int = MOST_AT_ONCE,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """`most` is what a turn is given, by weight; `leads`: whether nobody else can have taken over. Who does not
        know that says nothing ahead of the disk."""
        self.leads = leads
        self.core = core
        self.host = host
        self.clock = clock
        self.most = most
        self.gathering = Batch()
        self.batches: list[Batch] = []  # of the present turns
        self.deferred = Batch()  # waits until what is ahead of the disk has become less
        self.trying, self.held = Turns(), Turns()  # what is being committed, and what was decided since
        self.committing = False  # memory is ahead of the disk
        self.goes_on = False  # the next turn ends what the last one has begun: no commit may come between
        self.ahead = False  # the core goes on although what it has decided is not on disk
        self.turn_seconds = Durations()
        self._proved_at = clock().mono  # that the store is ours; it was when the core was loaded

    @property
    def is_proved(self) -> bool:
        """Whether it was lately that the store was ours."""
        return self.clock().mono - self._proved_at <= PROOF

    @property
    def weight(self) -> int:
        """The weight of what waits for the disk."""
        return self.trying.weight + self.held.weight

    @property
    def agrees(self) -> bool:
        """Whether the core shows what is on disk, and nobody is before us."""
        return not (self.committing or self.goes_on or self.gathering)

    def unsaved(self) -> set[int]:
        """Jobs that are otherwise in memory than on disk."""
        return {*self.trying.jobs, *self.held.jobs}

    def is_new(self, number: int) -> bool:
        """Whether the job with that number is in memory and not on disk at all."""
        return self.trying.has_record(number) or self.held.has_record(number)

    def forget(self, session: int) -> None:
        for turns in (self.trying, self.held):
            turns.forget(session)

    # ── the loop ──────────────────────────────────────────────────────────────────────────────────────────────────

    def steps(self) -> Iterator[Step]:
        """The steps, without end. The host awaits each before it asks for the next."""
        while True:
            yield Step.EVENTS
            yield from self._until_on_disk()
            yield from self._take_turns()
            yield from self._until_on_disk()
            for batch in self.batches:
                yield from self._finish(batch)
            self.batches = []

    def _until_on_disk(self) -> Iterator[Step]:
        while self.committing and not self.ahead:
            yield Step.DISK

    def _take_turns(self) -> Iterator[Step]:
        """One turn; and more, as long as its commit is under way and each has its full share, or one goes on with what
        the last one has begun."""
        began, first = self.clock().mono, None
        while True:
            self.batches.append(self.gathering.cut(self.most))
            self._turn(self.batches[-1])
            first = self.trying if first is None else first
            more = self.committing and self.trying is first and self.gathering.fills_turn(self.most)
            if not self.goes_on and (not more or self.ahead or self.clock().mono - began > SLOW):
                return
            yield Step.BREATH

    def _turn(self, batch: Batch) -> None:
        if self.ahead and self.weight > MOST_WAITING:
            self._defer(batch)
        events = [event for put in batch.puts for event in put.events]
        items = [item for put in batch.puts for item in put.items]
        done = [put.done for put in batch.puts if put.done is not None]
        now = self.clock()
        decided = self.core.turn(events, now)
        self.turn_seconds.add(self.clock().mono - now.mono)
        self.goes_on = decided.goes_on
        self.host.turned(decided)
        waits = self.committing or self.held or items or decided.saves
        if not waits and (self.is_proved or not decided.acts):
            self.host.perform(decided.acts)
            for waiter in done:
                self.host.resolve(waiter)
            return
        self.held.add(decided, items)
        self.held.done += done
        if not self.committing and not self.goes_on:
            self.begin_commit()
        if self.ahead and self.leads():
            self.host.perform(self.held.go_ahead(self.trying))

    def _defer(self, batch: Batch) -> None:
        """Leaves in the batch what cannot wait, and whoever waits no longer than for the turn."""
        late = [put for put in batch.puts if not put.is_urgent]
        self.deferred.puts += [replace(put, taken=None) for put in late]
        batch.puts = [put if put.is_urgent else Put(taken=put.taken) for put in batch.puts]

    def _finish(self, batch: Batch) -> Iterator[Step]:
        """The batch is on disk, or ahead of it."""
        for put in batch.puts:
            if put.taken is not None:
                self.host.resolve(put.taken)
        if not batch.reads:
            return
        began = self.clock().mono
        for read in batch.reads:
            if self.committing and not self.ahead:
                # Older turns have come to disk while others were served, and this one has not.
                self.gathering.reads.append(read)
            else:
                self.host.answer(read, from_disk=self.ahead)
            if self.clock().mono - began > BREATH:
                yield Step.BREATH
                began = self.clock().mono

    def _try_what_is_held(self) -> None:
        if not self.goes_on:
            self.trying, self.held = self.held, Turns()

    # ── the commit, told by the host ──────────────────────────────────────────────────────────────────────────────

    def begin_commit(self) -> None:
        """Begins to commit what was held; nothing, too, where that tells whether the store works."""
        self.trying, self.held = self.held, Turns()
        self.committing = True
        self.host.commit()

    def go_ahead(self) -> None:
        """It has failed for now, or takes long: the core goes on."""
        if not self.ahead:
            self.ahead = True
            if self.leads():
                self.host.perform(self.trying.go_ahead())
                self.host.perform(self.held.go_ahead(self.trying))

    def try_again(self) -> None:
        """It has failed, and the next one takes what was decided since, too: so the disk never has a later turn without
        the earlier ones."""
        if not self.goes_on:
            self.trying.absorb(self.held)
            self.held = Turns()

    def proved(self, at: float) -> None:
        """The store was ours `at` (the clock's monotonic seconds): a commit began then, and has succeeded."""
        self._proved_at = at

    def land(self) -> Iterator[None]:
        """It is on disk: all is done that waited for that. Each step gives others theirs. Afterwards `committing` says
        whether there is more to commit, in `trying`."""
        turns, self.trying = self.trying, Turns()
        self._try_what_is_held()
        self.ahead = False
        self.host.landed(turns.saves)
        self.core.let_go(turns.ended)
        acts = turns.acts
        for at in range(0, len(acts), ACTS_AT_ONCE):
            self.host.perform(acts[at : at + ACTS_AT_ONCE])
            if at + ACTS_AT_ONCE < len(acts):
                yield
        for waiter in turns.done:
            self.host.resolve(waiter)
        late, self.deferred = self.deferred, Batch()
        self.gathering.add_first(late.puts)
        if not self.trying:  # what turns decided between the steps of this is next; else it would wait for another turn
            self._try_what_is_held()
        self.committing = bool(self.trying)
        self.ahead = self.ahead and self.committing
