"""One process of the simulated scheduler, from its start to its death: the real core and the real order of steps
(`cluster.scheduler.commit_pipeline`) between a store that survives crashes and connections that do not.

Each step takes time, so a crash falls before, between or after them by chance. What is said in a session waits for a
worker that is not ready, is joined and takes the form of the wire, by the functions that the real session uses: they
may change order, and order matters.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from cluster.domain.base.errors import ClusterError, NotFound
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import IntervalSet, Range
from cluster.domain.base.now import Now
from cluster.domain.job.dependencies import dependencies_of
from cluster.domain.job.endings import CHILDREN
from cluster.domain.job.job import Job
from cluster.domain.job.kinds import NO_LIMIT
from cluster.domain.job.records import (
    JobChunk,
    JobEnded,
    JobProgress,
    JobRecord,
    JobReopened,
    OkEnds,
    SmallOutput,
    TaskEnd,
)
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.domain.job.usage import UsageAdded, UsageKind
from cluster.domain.job.workflow import NewJob, Workflow
from cluster.domain.scheduler import invariants
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.effects import Act, CloseSession, Decided, LookUp, Replied, Reply, Send
from cluster.domain.scheduler.events import (
    Event,
    HeartbeatReceived,
    JobsSubmitted,
    JobSubmitted,
    LookedUp,
    ReopenRequested,
    ReportReceived,
    SessionClosed,
    SessionOpened,
)
from cluster.domain.scheduler.retention import Tombstone
from cluster.domain.scheduler.uncommitted import Saved
from cluster.domain.session.messages import Assign, Downward, Report, ReportAcknowledged
from cluster.domain.trust.identity import Vouched
from cluster.rpc.convert import joinable, messages_from_response, response_to_proto
from cluster.scheduler.batch import Put, Read, Waiter
from cluster.scheduler.commit_pipeline import SLOW, CommitPipeline, Step
from cluster.scheduler.dependencies import courses_in, recover
from cluster.scheduler.durable_reads import records_of_ids
from cluster.store.interface import StoreFailed
from tests.sim.network import Connection
from tests.sim.overtaking import Overtaking
from tests.sim.stalling import Stalling

if TYPE_CHECKING:
    from tests.sim.agent import Agent
    from tests.sim.scheduler import SchedulerHost

SLOW_READER = 0.2  # of the times that something is to be sent, the worker is not ready yet
CUT = 0.1  # of the times that several could be sent as one, they are not: they may be too large together
# Turns, or as many as there are jobs, after which all of them are looked at for what must be true, and not only those
# that have changed.
LOOK_AT_ALL = 50
COMPARED = 50  # jobs that somebody reads
READS = 0.03  # of the times that something is put, somebody reads, too

Answer = Callable[[Replied], None]


class SchedulerProcess:
    """Also the `Host` of its steps."""

    joinable = staticmethod(joinable)  # this one is there to be broken by the test of the simulation itself

    def __init__(self, host: "SchedulerHost", life: int) -> None:
        """`life` counts the starts."""
        self.host, self.world, self.truth = host, host.world, host.truth
        self.alive = True
        self.process = Stalling(self.world)
        self._life = life
        self.store = host.open_store()
        loaded = recover(self.store)
        for job_id, number in host.acknowledged.items():
            if number in self.truth.deleted:
                continue
            assert self.store.number_of_id(job_id) == number, f"job {number} was acknowledged, and is not in the store"
        self.core = SchedulerCore(loaded.epoch, host.lease)
        self.core.most = host.most
        deque(self.core.restore(loaded, self._now()), maxlen=0)
        invariants.check(self.core)
        self.pipeline = CommitPipeline(self.core, self, self._now, host.most)
        self._steps = self.pipeline.steps()
        self._waits_for = next(self._steps)
        self._goes_on = False  # is to take the next step soon
        self._wake_at: float | None = None
        self._turns = self._commits = 0
        self._overtaking = Overtaking()
        self._began = 0.0  # the commit under way, by our clock
        self.heard = dict(host.heard)  # machine: when it was heard last, by this scheduler or one before it
        self._asks: dict[int, Answer] = {}
        self._last_ask = 0
        self.connections: dict[int, Connection] = {}
        self._agents: dict[int, Agent] = {}
        self._waiting: dict[int, list[Downward]] = {}  # connection: said, and not yet sent
        self._reports: dict[int, list[Report]] = {}  # connection: handed to the core, not acknowledged
        self.world.tell("scheduler", f"starts, epoch {loaded.epoch}")
        self._soon()

    def dies(self, *, power: bool = False) -> None:
        """`power`: not even its kernel lives to say that connections are gone."""
        if not self.alive:
            return
        self.alive = False
        self.world.tell("scheduler", "dies")
        if self.pipeline.ahead and self.is_present and self.world.chance(0.2):
            self._commit(self.pipeline.trying.saves)  # it had failed, and is found on disk all the same
        self.store.close()
        connections, self.connections, self._agents = self.connections, {}, {}
        for connection in connections.values():
            if power:
                connection.scheduler_open = False
                connection.up.cut = connection.down.cut = True
            else:
                connection.close_by_scheduler()

    @property
    def is_present(self) -> bool:
        """No other one has been started since."""
        return self._life == self.host.lives

    def _now(self) -> Now:
        return Now(1000.0 * self._life + self.world.now, self.world.wall + self.host.wall_ahead)

    def _later(self, delay: float, action: Callable[[], None]) -> None:
        self.world.at(delay, lambda: self.process.on_time(lambda: action() if self.alive else None))

    # ── steps ───────────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, event: Event) -> None:
        self.process.hear(lambda: self._put(event) if self.alive else None)

    def _put(self, event: Event) -> None:
        self.pipeline.gathering.add(Put((event,)))
        if self.world.chance(READS):
            self.pipeline.gathering.reads.append((self._compare_with_disk, None))  # type: ignore[arg-type]
        if self._waits_for is Step.EVENTS:
            self._soon()

    def _soon(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            self._later(self.world.between(0.0, 0.002), self._go_on)

    def _go_on(self) -> None:
        """What it waited for has happened."""
        self._goes_on = False
        self._waits_for = next(self._steps)
        if self._waits_for is Step.BREATH or (self._waits_for is Step.EVENTS and self.pipeline.gathering):
            self._soon()
        elif self._waits_for is Step.EVENTS:
            self._set_timer()

    def _news(self) -> None:
        """Of the disk."""
        if self._waits_for is not Step.DISK or not self.pipeline.committing or self.pipeline.ahead:
            self._soon()

    def _set_timer(self) -> None:
        due = self.core.next_deadline()
        if due is not None and due != self._wake_at:
            self._wake_at = due
            self._later(max(0.0, due - self._now().mono), lambda: self._wake(due))

    def _wake(self, due: float) -> None:
        if self._wake_at == due:
            self._wake_at = None
            if self._waits_for is Step.EVENTS:
                self._soon()

    # ── the disk ────────────────────────────────────────────────────────────────────────────────────────────────

    def commit(self) -> None:
        """It takes a while."""
        self._commits += 1
        self._began = self._now().mono
        wait = self.world.between(*self.host.slow)
        if self.is_present:
            wait, self.host.hangs = wait + self.host.hangs, 0.0
        self._later(wait, self._write)
        if wait > SLOW:
            self._later(SLOW, partial(self._is_slow, self._commits))

    def _is_slow(self, commit: int) -> None:
        if commit == self._commits and self.pipeline.committing:
            self.pipeline.go_ahead()
            self._news()

    def _write(self) -> None:
        """As `cluster.scheduler.store_writer`: when it fails it is tried again."""
        if not self.pipeline.trying.saves and self.pipeline.is_proved:
            self._later(0.0, self._land)
            return
        if self.is_present and self.host.store_fails:
            self.pipeline.go_ahead()
            self._news()
            self._later(self.world.between(0.05, 2.0), self._try_again)
            return
        try:
            self._commit(self.pipeline.trying.saves)
        except StoreFailed as refused:
            if self.is_present:
                raise
            self.world.tell("scheduler", str(refused))
            self.dies()
            return
        self.pipeline.proved(self._began)
        self._later(self.world.between(0.0, 0.001), self._land)

    def _try_again(self) -> None:
        self.pipeline.try_again()
        self._began = self._now().mono
        self._write()

    def _land(self) -> None:
        for _ in self.pipeline.land():
            pass
        if self.pipeline.committing:
            self.commit()
        self._news()

    def _commit(self, saves: Sequence[Saved]) -> None:
        """StoreFailed when another scheduler has taken over."""
        self.store.commit(saves)
        if not saves:  # it was to prove that the store is ours
            return
        self.host.told_events.commit(saves)
        for save in saves:
            if isinstance(save, Tombstone):
                self.truth.check_deleted(save.number, self.host.over)
        for save in saves:
            if isinstance(save, JobRecord) and save.callers:
                self.truth.check_call(save, self.host.ends)
            if isinstance(save, JobReopened) or (isinstance(save, JobEnded) and save.opening):
                self.host.over.discard(save.number)
                self.truth.times.goes_on(save.number, saves)
        for save in saves:
            if isinstance(save, JobProgress):
                self.truth.times.comes_to(save)
                assert save.number not in self.host.over, f"job {save.number} has ended, and is saved again"
                if save.ended_at:
                    self.host.over.add(save.number)
        outputs = [save for save in saves if isinstance(save, SmallOutput)]
        for save in saves:
            match save:
                case JobRecord():
                    self.truth.specs[save.number] = save.spec
                case JobProgress(number=number, sets=sets) | JobChunk(job=number, sets=sets):
                    spec, failed = self.truth.specs[number], sets.of(TaskState.FAILED)
                    if spec.max_fails < NO_LIMIT and len(IntervalSet.from_flat(failed)) > spec.max_fails:
                        self.truth.too_many_failed.add(number)
                    if spec.wait_children:  # of such no end says when they succeed
                        well = IntervalSet.from_flat(sets.of(TaskState.SUCCEEDED))
                        self.truth.succeeded.setdefault(number, IntervalSet()).update(well)
                case JobEnded():
                    self.truth.outcomes.setdefault(save.number, set()).add(save.state)
                case OkEnds() | TaskEnd():
                    self._check_end(save, outputs)
        for save in saves:
            if isinstance(save, JobRecord):
                self.truth.times.accepted(save, self.truth.outcomes.keys())
            if isinstance(save, JobEnded) and save.state is TaskState.SUCCEEDED:
                self.truth.check_waited(save.number)
            if isinstance(save, TaskEnd) and save.reason == CHILDREN:
                self.truth.check_children(AttemptKey(save.job, save.index, save.attempt))
        self.truth.check_all_or_none(self.store.number_of_id)
        if any(isinstance(save, UsageAdded) for save in saves):
            self._check_usage()

    def _check_usage(self) -> None:
        """Each end that is on disk is in the sums once, whoever has crashed, and whatever was reported twice."""
        for kind in UsageKind:
            counted = sum(row.usage.attempts for row in self.store.usage(kind, 0, None))
            ended = len(self.host.ends)
            assert counted == ended, f"by {kind} {counted} attempts were counted, and {ended} have ended"

    def _check_end(self, end: OkEnds | TaskEnd, outputs: Collection[SmallOutput]) -> None:
        if isinstance(end, OkEnds):
            self.truth.check_success(end)
            self.truth.succeeded.setdefault(end.job, IntervalSet()).add(end.first, end.stop)
            keys = [AttemptKey(end.job, index, end.attempt) for index in range(end.first, end.stop)]
        else:
            self.world.tell("scheduler", f"{end.job}.{end.index}#{end.attempt} {end.reason} {end.detail}")
            self.truth.check_end(end)
            keys = [AttemptKey(end.job, end.index, end.attempt)]
        if not isinstance(end, TaskEnd) or end.reason != "lost":
            # What has waited for its children is told again, without its output, which is there already.
            self.truth.check_outputs([key for key in keys if key not in self.host.ends], outputs)
        self.host.ends.update(keys)

    # ── what comes of the steps (`cluster.scheduler.commit_pipeline.Host`) ──────────────────────────────────────

    def turned(self, decided: Decided) -> None:
        for put in self.pipeline.batches[-1].puts:
            for event in put.events:
                self._note(event)
        self._turns += 1
        self.truth.times.shows(self.core.now.wall)
        changed = {save.number for save in decided.saves if isinstance(save, JobProgress)}
        invariants.check(self.core, changed if self._turns % max(LOOK_AT_ALL, len(self.core.jobs)) else None)
        self.truth.check_promises(self.core.workers.values())
        for act in decided.acts:
            if isinstance(act, Send) and isinstance(act.message, Assign):
                self._check_fails(act.message)
        self._overtaking.check(self.core, decided.acts)
        if self.is_present:  # else it may believe what it likes, and says it to nobody
            if len(self.host.acknowledged) <= COMPARED or self._turns % LOOK_AT_ALL == 0:
                self._check_nobody_is_missed()
            self.truth.note_lost(decided.saves, self.world.now, self.heard)

    def _check_fails(self, assign: Assign) -> None:
        job = self.core.jobs[assign.attempts.job]
        if job.record.spec.max_fails < NO_LIMIT:
            assert job.count(TaskState.FAILED) <= job.record.spec.max_fails, (
                f"{_short(assign)} is assigned, and {job.count(TaskState.FAILED)} have failed"
            )

    def _check_nobody_is_missed(self) -> None:
        """Whoever asks for a job that was acknowledged finds it: in memory, or where it has ended in the store."""
        for number in self.host.acknowledged.values():
            assert number in self.core.jobs or number in self.host.over, f"job {number} goes on, and is not in memory"

    def _note(self, event: Event) -> None:
        match event:
            case HeartbeatReceived(session=number) | ReportReceived(session=number):
                if (connection := self.connections.get(number)) and number in self.core.sessions:
                    self.heard[connection.machine_id] = self.world.now
            case SessionOpened() if event.session in self.core.sessions:
                self.heard[event.worker_id] = self.world.now
                self.truth.greeted[event.worker_id] = self.host.hello_sent[event.session]

    def landed(self, saves: Sequence[Saved]) -> None:
        pass

    def resolve(self, waiter: Waiter) -> None:
        pass

    def answer(self, read: Read, *, from_disk: bool) -> None:
        if not from_disk:
            read[0](self.core)

    def _compare_with_disk(self, core: SchedulerCore) -> None:
        """Whoever reads is shown nothing that a crash could take back."""
        numbers = list(core.jobs)
        if len(numbers) > COMPARED:
            numbers = self.world.random.sample(numbers, COMPARED)
        on_disk = {progress.number: progress for progress in self.store.progress_of(numbers)}
        for number in numbers:
            job = core.jobs[number]
            assert number in on_disk, f"job {number} is shown, and is not on disk"
            kept = Job.restored(job.record, on_disk[number])
            for state in (TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED):
                assert job.sets[state] == kept.sets[state], (
                    f"job {number} is shown otherwise than on disk: {state.word}"
                )
            if job.record.spec.wait_children:
                self._compare_children(core, job)

    def _compare_children(self, core: SchedulerCore, job: Job) -> None:
        """What its attempts have called in vain is known as the next scheduler would know it."""
        on_disk = self.store.failed_children(job.number)
        tries = [(index, attempt) for (_, attempt), tasks in job.held.items() for index in tasks]
        tries += [(end.index, end.attempt) for end in core.finishing.get(job.number, {}).values()]
        for each in tries:
            failed, kept = set(core.family.failed(AttemptKey(job.number, *each))), on_disk.get(each, set())
            assert failed == kept, f"job {job.number}: of what {each} has called {failed} have failed, on disk {kept}"

    def _look_up(self, job_ids: tuple[str, ...]) -> None:
        """As the store is now; the answer takes a while."""
        found: Mapping[str, JobRecord] | ClusterError
        try:
            found = records_of_ids(job_ids, self.store)
        except ClusterError as error:
            found = error
        self._later(self.world.between(0.0, 0.01), lambda: self.feed(LookedUp(job_ids, found)))

    def perform(self, acts: Sequence[Act]) -> None:
        for act in acts:
            match act:
                case Send(number, message):
                    if connection := self.connections.get(number):
                        self._send(connection, message)
                case LookUp(job_ids):
                    self._later(self.world.between(0.0, 0.01), partial(self._look_up, job_ids))
                case CloseSession(number, why):
                    self.world.tell("scheduler", f"closes {number}: {why}")
                    if connection := self.connections.pop(number, None):
                        connection.close_by_scheduler()
                case Reply(ask, value):
                    if answer := self._asks.pop(ask, None):
                        answer(value)
                case _:
                    pass

    def _send(self, connection: Connection, message: Downward) -> None:
        waiting = self._waiting.setdefault(connection.number, [])
        if not waiting:
            ready = self.world.between(0.0, 0.05) if self.world.chance(SLOW_READER) else 0.0
            self._later(ready, lambda: self._send_joined(connection))
        waiting.append(message)
        match message:
            case Assign():
                self.world.tell("scheduler", f"assigns {_short(message)} to {connection.machine_id}")
                for key in _keys(message):
                    self.truth.assigns(key, connection.machine_id, connection.machine_name)
            case ReportAcknowledged(sequence):
                self._check_acknowledged(connection.number, sequence)

    def _send_joined(self, connection: Connection) -> None:
        """The worker is ready for all that waits."""
        waiting = self._waiting.pop(connection.number)
        if connection.number not in self.connections:
            return
        agent = self._agents[connection.number]
        while waiting:
            count = self.joinable(waiting)
            if self.world.chance(CUT):
                count = 1
            commands = messages_from_response(response_to_proto(waiting[:count]))
            connection.send_down(partial(agent.commands, connection.session, commands))
            waiting = waiting[count:]

    def _check_acknowledged(self, number: int, sequence: int) -> None:
        """Whatever an acknowledged report says about an end is in the store: as it says, or as lost long before."""
        reports = self._reports.get(number, [])
        while reports and reports[0].sequence <= sequence:
            report = reports.pop(0)
            keys = [AttemptKey(e.job, e.index, e.attempt) for e in report.ended]
            keys += [AttemptKey(o.job, i, o.attempt) for o in report.ok for i in range(o.first, o.stop)]
            for key in keys:
                assert key in self.host.ends, (
                    f"the report of the end of {key} was acknowledged, and is not in the store"
                )

    # ── what comes in ───────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, make: Callable[[int], Event], answer: Answer) -> None:
        """A unary call; never answered when it dies before."""
        self._last_ask += 1
        self._asks[self._last_ask] = answer
        self.feed(make(self._last_ask))

    def save(self, *items: Saved) -> None:
        """Commits records that are not the core's."""
        self.process.hear(lambda: self._save(items) if self.alive else None)

    def _save(self, items: tuple[Saved, ...]) -> None:
        self.pipeline.gathering.add(Put(items=items))
        if self._waits_for is Step.EVENTS:
            self._soon()

    def submit(
        self, job_id: str, spec: JobSpec, answer: Answer, vouched: Vouched | None = None, owner: str = "alice"
    ) -> None:
        """As `cluster.scheduler.operations.jobs`."""
        missing = {dependency.job for dependency in dependencies_of(spec)} - self.core.jobs.keys()
        if gone := missing - {record.number for record in self.store.records(sorted(missing))}:
            answer(NotFound(f"job {min(gone)} was deleted"))
            return
        ended = courses_in(self.store, sorted(missing))
        self.ask(lambda ask: JobSubmitted(ask, job_id, owner, spec, ended, vouched), answer)

    def reopen(self, number: int, tasks: Range, answer: Answer) -> None:
        """As `cluster.scheduler.reopening`: what the store says takes a while."""
        openings, kept = self.core.openings, None
        if number not in self.core.jobs:
            (record,), (progress,) = self.store.records([number], whole=True), self.store.progress_of([number])
            kept = record, progress
        spec = self.truth.specs[number]
        missing = {dependency.job for dependency in dependencies_of(spec)} - self.core.jobs.keys()
        event = partial(
            ReopenRequested,
            job=number,
            tasks=(tasks,),
            states=(TaskState.FAILED, TaskState.CANCELLED),
            kept=kept,
            openings=openings,
            ended=courses_in(self.store, sorted(missing)),
        )
        self._later(self.world.between(0.0, 0.05), lambda: self.ask(event, answer))

    def submit_together(self, jobs: Sequence[NewJob], answer: Answer) -> None:
        """As `cluster.scheduler.workflows`; the answer is in the order of the call."""
        workflow = Workflow(jobs)
        outside = {text: int(text) for text, _ in workflow.outside()}
        ended = courses_in(self.store, sorted(set(outside.values()) - self.core.jobs.keys()))
        ordered = workflow.in_order(outside)

        def told(value: Replied) -> None:
            if isinstance(value, tuple):
                of = {job.id: number for job, number in zip(ordered, value, strict=True)}
                value = tuple(of[job.id] for job in jobs)
            answer(value)

        self.ask(lambda ask: JobsSubmitted(ask, "alice", ordered, ended), told)

    def takes(self, connection: Connection, agent: "Agent") -> None:
        """A connection that was asked for."""
        self.connections[connection.number] = connection
        self._agents[connection.number] = agent

    def reported(self, connection: Connection, report: Report) -> None:
        if report.sequence:
            self._reports.setdefault(connection.number, []).append(report)

    def refuses(self, connection: Connection) -> None:
        self.connections.pop(connection.number, None)

    def learns(self, connection: Connection) -> None:
        """That it is over."""
        if self.alive and self.connections.pop(connection.number, None) is not None:
            self.feed(SessionClosed(connection.number, "the connection broke"))


def _keys(assign: Assign) -> list[AttemptKey]:
    attempts = assign.attempts
    return [AttemptKey(attempts.job, i, attempts.attempt) for r in attempts.ranges for i in range(*r)]


def _short(assign: Assign) -> str:
    a = assign.attempts
    return f"{a.job}.{','.join(f'{r.start}-{r.stop - 1}' for r in a.ranges)}#{a.attempt}"
