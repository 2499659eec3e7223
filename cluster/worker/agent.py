"""The loop around the worker's core: what happens goes in, what it decides is done. No decisions here.

    events  = everything that has happened since the last turn
    effects = core.turn(events, now)
    do them, in order

All that effects ask for is quick (a message queued, a small file of the worker's own written), so they are done right
in the loop. What belongs to attempts is looked at in lanes, before the core hears of it.
"""

import asyncio
import logging
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from cluster.domain.base.errors import ClusterError, Exhausted, Revoked, Unreachable
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.now import Now
from cluster.domain.job.spec import DEFAULT_LOST_AFTER, MOST_MAX_OUTPUT
from cluster.domain.launcher.core import SLOT_LOST_TEXT
from cluster.domain.launcher.messages import Ended, Item, Started, Template
from cluster.domain.session.leashes import leash_of
from cluster.domain.session.messages import Downward, Welcome
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.members import ExpelledUser
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.messages import (
    OWN,
    AckJournal,
    CommandsReceived,
    ConfirmLease,
    Define,
    Finished,
    HandOver,
    HangUp,
    LauncherConnected,
    LauncherLost,
    LauncherReported,
    OpenSession,
    PushOutput,
    RecallAttempts,
    RemoveOutput,
    RoomMeasured,
    SaveEpoch,
    SendHeartbeat,
    SendHello,
    SendReport,
    SessionEnded,
    SessionReady,
    ShutdownRequested,
    Start,
    StartItem,
    StopAttempts,
    WorkerEffect,
    WorkerEvent,
)
from cluster.domain.worker.room import Space, shortage
from cluster.launcher.client import LauncherUnavailable
from cluster.rpc.convert import hello_to_proto
from cluster.rpc.errors import calling
from cluster.v1 import scheduler_pb2
from cluster.worker.disk_space import Disks
from cluster.worker.launching import keep_launcher
from cluster.worker.output.files import Left, Outputs
from cluster.worker.output.growth import Growth
from cluster.worker.output.inotify import Watcher
from cluster.worker.output.live_transfers import LivePushes
from cluster.worker.output.pushing import Keeping
from cluster.worker.output.readers import OutputPhase, Readers, lane_of
from cluster.worker.reporter import Reporter
from cluster.worker.runners.interface import Connect, Runner
from cluster.worker.session import Session, SessionCallbacks
from cluster.worker.templates import Templates

logger = logging.getLogger(__name__)
T = TypeVar("T")

MEASURE_EVERY = 0.1  # seconds, at least, between two looks at how much room there is
LOOK = 5.0  # seconds that a look at what attempts have left may take
KEEPING = 5.0  # seconds for output that is to be kept to reach the scheduler before we go
GOODBYE = 5.0  # seconds for the scheduler to hear that we go, and to write that to a disk which may be slow
UNKNOWN_LEASH = leash_of(DEFAULT_LOST_AFTER)  # of jobs that were adopted and not assigned since: the usual one

_OWN_TEMPLATE = -1  # beside those that the core numbers, for jobs of the worker's own API


@dataclass(frozen=True, slots=True)
class Scheduler:
    """Whom to connect to, and as whom; asked anew for each session, because certificates are renewed and a scheduler
    on the same machine may come back at another port."""

    address: Callable[[], str]
    credentials: Callable[[], Credentials]
    registration: Callable[[], scheduler_pb2.RegisterRequest]


@dataclass(slots=True)
class Hooks:
    """What the rest of the worker wants to know. Each is called in the loop and must be quick."""

    handed_over: Callable[[Sequence[Started | Ended]], None]  # about jobs of the worker's own API
    launcher_held: Callable[[str, set[AttemptKey]], None]  # incarnation, and which own jobs it has or has reported
    own_phase: Callable[[int], OutputPhase]  # of a job of the own API, by its number
    own_limits: Callable[[], dict[int, int]]  # of those that run, by number: bytes of each stream that are kept
    save_epoch: Callable[[int], None]
    registered: Callable[[str], None]  # the name in force
    welcomed: Callable[[], None]
    expelled: Callable[[Sequence[ExpelledUser]], None]  # whom the own API must not let in, all of them
    refused: Callable[[ClusterError], None]  # a session ended, or never came to be
    own_saved: Callable[[], bool] = lambda: True  # whether what was handed over is on disk


@dataclass(slots=True)
class _Story:
    """What the log has last said about the connection, so that each change is told once, and not each try."""

    told: str = ""

    def tell(self, level: int, text: str) -> None:
        if text != self.told:
            self.told = text
            logger.log(level, "%s", text)


@dataclass(slots=True)
class Agent:
    core: WorkerCore
    connect: Connect
    templates: Templates
    outputs: Outputs
    scheduler: Scheduler | None
    hooks: Hooks
    disks: Disks = field(default_factory=lambda: Disks(()))
    readers: Readers = field(init=False)
    launcher: Runner | None = field(default=None, init=False)
    launcher_gone: asyncio.Event = field(default_factory=asyncio.Event, init=False)  # set while there is none
    _session: Session | None = field(default=None, init=False)
    _inbox: list[WorkerEvent] = field(default_factory=list, init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _defined: dict[int, tuple[int, int]] = field(default_factory=dict, init=False)  # core's number: job, launcher's
    _fresh: set[int] = field(default_factory=set, init=False)  # jobs whose attempts get a directory of their own
    _ack: int | None = field(default=None, init=False)  # that the launcher may forget, once own jobs are on disk
    _measure_at: float = field(default=0.0, init=False)
    _measuring: asyncio.Task[None] | None = field(default=None, init=False)
    _left: Left = field(default_factory=Left, init=False)  # what was there when the present launcher was found
    _story: _Story = field(default_factory=_Story, init=False)
    finished: asyncio.Event = field(default_factory=asyncio.Event, init=False)  # the shutdown may go on
    _known: bool = field(default=False, init=False)  # what the launcher holds
    _stopping_jobs: bool = field(default=False, init=False)
    _quitting: bool = field(default=False, init=False)  # no other launcher is wanted after this one
    _leashes: dict[int, float] = field(default_factory=dict, init=False)  # job: seconds
    _limits: dict[int, int] = field(default_factory=dict, init=False)  # job: bytes of each stream that are kept
    _live: LivePushes = field(init=False)
    _reporter: Reporter = field(init=False)
    _keeping: Keeping = field(init=False)
    _growth: Growth = field(init=False)
    _watcher: Watcher = field(init=False)

    def __post_init__(self) -> None:
        self.launcher_gone.set()
        self._watcher = Watcher()
        self.readers = Readers(self.outputs, self._watcher, self._phase_of)
        self._live = LivePushes(self.readers)
        limit_of = lambda job: self._limits.get(job, MOST_MAX_OUTPUT)  # noqa: E731
        self._keeping = Keeping(self.outputs, self.readers.lanes, self._open_session, limit_of)
        self._reporter = Reporter(self.outputs, self.readers.lanes, lambda: self._session)
        self._growth = Growth(self.outputs, self.readers.lanes, self._running, self.core.room.reserve)

    def put(self, event: WorkerEvent) -> None:
        """Something happened. It is taken up in the next turn."""
        self._inbox.append(event)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled. LauncherUnavailable when no launcher can be had."""
        wanted = lambda: not self._quitting  # noqa: E731
        keeper = asyncio.create_task(
            keep_launcher(self.connect, self._adopt, self._on_launcher, wanted, self._lacks_room)
        )
        keeper.add_done_callback(lambda _: self._wake.set())
        try:
            while True:
                await self._wake.wait()
                if keeper.done():
                    keeper.result()
                self._turn()
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])

    def shut_down(self, stop_jobs: bool) -> None:
        """Begin to end: give back what has not started, report, and with `stop_jobs` stop what runs. `finished` is set
        when that is done, or cannot be."""
        self._stopping_jobs = stop_jobs
        self.put(ShutdownRequested(stop_jobs))

    async def quit_launcher(self, patience: float, *, kill: bool) -> None:
        """To be called after `finished`, when nothing is to run on: ends the launcher, and waits until it has gone.
        With `kill`, what runs all the same is killed."""
        self._quitting = True
        try:
            async with asyncio.timeout(patience):
                if self.launcher is not None:
                    self.launcher.quit(kill=kill)
                    await self.launcher_gone.wait()
                elif self._stopping_jobs:
                    await self._quit_another()
        except TimeoutError:
            logger.error("the launcher has not ended within %g s", patience)

    async def no_launcher_for(self, patience: float) -> None:
        """Returns when there is none so many seconds after one has gone."""
        while True:
            await self.launcher_gone.wait()
            await asyncio.sleep(patience)
            if self.launcher is None:
                return

    async def _quit_another(self) -> None:
        """The jobs may still run that we were to stop: of a launcher that has died, or that a fault of ours let go."""
        try:
            launcher = await self.connect()
        except LauncherUnavailable as error:
            logger.error("what runs goes on: %s", error)
            return
        launcher.quit(kill=True)
        async for _ in launcher.batches():
            pass
        await launcher.close()

    async def goodbye(self, reason: str) -> None:
        """Tell the scheduler that this worker goes offline, and hang up."""
        await self._keeping.settle(KEEPING)
        session = self._session
        if session is not None and self.core.connected:
            try:
                with calling(session.address):
                    await session.stub.Deregister(scheduler_pb2.DeregisterRequest(reason=reason), timeout=GOODBYE)
            except ClusterError as error:
                logger.warning("the scheduler was not told that this worker goes, and will miss it: %s", error)
            except asyncio.CancelledError:
                # So gRPC says that the channel was closed: the scheduler, now told, was quicker to end the session.
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
        if session is not None:
            session.close(reason)
            await session.finished()

    def close(self) -> None:
        """The very last."""
        if self._timer is not None:
            self._timer.cancel()
        if self._measuring is not None:
            self._measuring.cancel()
        self._growth.close()
        self._watcher.close()
        self.readers.lanes.close()

    def shortest_leash(self) -> float:
        """Seconds from now for which every running attempt may go on without this agent, as far as is known."""
        known = [self._leashes[key.job] for key in self.core.held.running if key.job in self._leashes]
        age = _now().mono - self.core.session.confirmed_at if self.core.session.confirmed_at is not None else 0.0
        return max(0.0, min(known, default=UNKNOWN_LEASH) - age)

    # -- one turn

    def _turn(self) -> None:
        self._wake.clear()
        events, self._inbox = self._inbox, []
        was_connected = self.core.connected
        for effect in self.core.turn(events, _now()):
            self._perform(effect)
        if self.core.connected and not was_connected:
            self._after_welcome()
        for event in events:
            if isinstance(event, LauncherReported):
                self._after_reports(event.reports)
            elif isinstance(event, LauncherConnected):
                self._after_connect(event)
        self._measure()
        self._set_timer()

    def _measure(self) -> None:
        """Looks how much room there is, after turns that there are anyway: at each heartbeat, when there are no others.
        Where a disk hangs nothing more is known of any until it answers."""
        now = _now().mono
        if now >= self._measure_at and (self._measuring is None or self._measuring.done()):
            self._measure_at = now + MEASURE_EVERY
            self._measuring = asyncio.create_task(self._tell_room())

    async def _tell_room(self) -> None:
        try:
            self.put(RoomMeasured(await self._spaces()))
        except OSError as error:
            logger.warning("it cannot be known how much room there is: %s", error.strerror)

    async def _spaces(self) -> tuple[Space, ...]:
        return await self.readers.lanes.run(self.disks, self.disks.measure)

    async def _lacks_room(self) -> bool:
        """Whether a launcher that does not come up may do so once there is room."""
        return bool(shortage(await self._spaces(), self.core.room.reserve))

    async def expect_room(self) -> None:
        """Exhausted when there is none for another job."""
        room = self.core.room
        if why := shortage(await self._spaces(), room.reserve, had_room=not room.shortage):
            raise Exhausted(f"this worker takes nothing until it has room: {why}; try again later")

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.core.next_deadline()
        if deadline is not None:
            delay = max(0.0, deadline - _now().mono)
            self._timer = asyncio.get_running_loop().call_later(delay, self._wake.set)

    def _perform(self, effect: WorkerEffect) -> None:
        match effect:
            case SendReport():
                self._reporter.report(effect)
            case SendHeartbeat():
                self._reporter.heartbeat(effect)
            case SendHello():
                self._send(scheduler_pb2.SessionRequest(hello=hello_to_proto(effect.hello)))
            case OpenSession():
                self._open(effect.session)
            case HangUp():
                if self._session is not None:
                    self._session.close(effect.why)
            case SaveEpoch():
                self.hooks.save_epoch(effect.epoch)
            case HandOver():
                self.hooks.handed_over(effect.reports)
            case PushOutput():
                self._keeping.add(effect.keys)
            case RemoveOutput():
                self.outputs.remove(effect.keys)
            case Finished():
                self.finished.set()
            case _:
                self._command(effect)

    def _command(self, effect: WorkerEffect) -> None:
        """The effects that are the launcher's. While there is none they have no meaning: it will say what it holds."""
        launcher = self.launcher
        if launcher is None:
            return
        match effect:
            case Define():
                self._make(launcher, effect)
            case Start():
                launcher.start(self._defined[effect.template][1], map(_item, effect.items))
            case AckJournal():
                self._ack = effect.sequence
                self.own_jobs_saved()
            case ConfirmLease():
                launcher.confirm_lease(effect.at)
            case StopAttempts():
                launcher.stop(map(str, effect.keys), "cancelled", effect.grace)
            case RecallAttempts():
                launcher.recall(map(str, effect.keys))

    def own_jobs_saved(self, keys: Iterable[AttemptKey] = ()) -> None:
        """What was handed over about these is on disk, perhaps all: the launcher may forget what nobody needs any more,
        and who follows their output hears of it."""
        for key in keys:
            self.readers.changed(key)
        if self._ack is not None and self.launcher is not None and self.hooks.own_saved():
            self.launcher.ack(self._ack)
            self._ack = None

    def _make(self, launcher: Runner, define: Define) -> None:
        """The template that its attempts start by."""
        self._leashes[define.job], self._limits[define.job] = define.leash, define.spec.max_output
        template = self.templates.make(define.job, define.job_id, define.spec, define.leash)
        self._define(launcher, define.template, define.job, template)

    def _define(self, launcher: Runner, number: int, job: int, template: Template) -> None:
        """Uses the launcher's template ids over and over: it would keep each for as long as we are connected."""
        if template.fresh_cwd:
            self._fresh.add(job)
        before = self._defined.get(number)
        if before is None:
            self._defined[number] = job, launcher.define(template)
            return
        launcher.redefine(before[1], template)
        self._defined[number] = job, before[1]
        used = {job for job, _ in self._defined.values()}
        if before[0] not in used and not any(
            key.job == before[0] for key in (*self.core.held.running, *self.core.held.backlog)
        ):
            self.outputs.remove_job(before[0])
            self._fresh.discard(before[0])
            self._leashes.pop(before[0], None)
            self._limits.pop(before[0], None)

    def start_own(self, key: AttemptKey, template: Template) -> None:
        """Start a job of the worker's own API. Unreachable while there is no launcher."""
        launcher = self.launcher_or_error()
        self._define(launcher, _OWN_TEMPLATE, OWN, template)
        launcher.start(self._defined[_OWN_TEMPLATE][1], [Item(str(key), key.index)])

    def launcher_or_error(self) -> Runner:
        """Unreachable while there is none, or it is not known yet what it holds: what is started meanwhile would be
        taken for something that an earlier one lost."""
        if self.launcher is None or not self._known:
            raise Unreachable("the worker's launcher does not answer; try again in a moment")
        return self.launcher

    # -- launcher

    def _adopt(self, launcher: Runner | None) -> None:
        self.launcher, self._known = launcher, False
        if launcher is None:
            self.launcher_gone.set()
        else:
            self.launcher_gone.clear()
        self._defined.clear()
        self._ack = None

    async def _on_launcher(self, event: LauncherConnected | LauncherReported | LauncherLost) -> None:
        """The next one comes when this returns: what is looked at meanwhile belongs to attempts, and may hang."""
        if isinstance(event, LauncherConnected):
            self._left = await self._in_lane(self.outputs, self.outputs.look_back, Left())
        if isinstance(event, LauncherConnected | LauncherReported):
            sized = await asyncio.gather(*map(self._with_sizes, event.reports))  # in order; what hangs, hangs once
            event = replace(event, reports=list(map(_settled, sized)))
        self.put(event)

    async def _with_sizes(self, report: Started | Ended) -> Started | Ended:
        """A launcher does not know what an attempt has written that ran under the one before it, or in a slot that was
        killed."""
        if isinstance(report, Ended) and (report.reason == "lost" or report.text == SLOT_LOST_TEXT):
            key = AttemptKey.parse(report.key)
            out, err = await self._in_lane(lane_of(key), partial(self.outputs.settle, key), (0, 0))
            return report._replace(out=out, err=err)
        return report

    async def _in_lane(self, lane: Hashable, look: Callable[[], T], unknown: T) -> T:
        """What it sees there, or what counts as that where a disk does not answer."""
        try:
            return await self.readers.lanes.run(lane, look, LOOK)
        except OSError as error:
            logger.warning("what attempts have left cannot be looked at: %s", error.strerror)
            return unknown

    def _after_reports(self, reports: Sequence[Started | Ended]) -> None:
        """For those who follow output, and the directories that nobody needs any more."""
        if any(isinstance(report, Started) for report in reports):
            self._growth.begin()
        if self.readers.any:
            for report in reports:
                self.readers.changed(AttemptKey.parse(report.key))
        if self._fresh:
            ended = [AttemptKey.parse(r.key) for r in reports if isinstance(r, Ended)]
            if gone := [key for key in ended if key.job in self._fresh]:
                self.outputs.remove_work(gone)

    def _after_connect(self, event: LauncherConnected) -> None:
        self._known = True
        keys = {AttemptKey.parse(k) for k in (*event.running, *event.backlog, *(r.key for r in event.reports))}
        self.hooks.launcher_held(event.incarnation, {key for key in keys if key.job == OWN})
        self._keeping.add(self.outputs.ended_before(self._left, keys))
        self._left = Left()
        self._fresh.update(key.job for key in keys)  # what they run in is not known; that there is nothing costs little
        self._after_reports(event.reports)
        self._growth.begin()
        self.readers.all_changed()
        for job, adopted in Counter(key.job for key in self.core.held.running).items():
            logger.info("job %d: adopted %d running attempts from the launcher", job, adopted)

    def _running(self) -> list[tuple[AttemptKey, int]]:
        """What runs, with how much of each stream is kept. Of adopted attempts that is not known: they may write as
        much as there is room for."""
        own = [(AttemptKey(OWN, number, 1), limit) for number, limit in self.hooks.own_limits().items()]
        return own + [(key, self._limits.get(key.job, MOST_MAX_OUTPUT)) for key in self.core.held.running]

    def _phase_of(self, key: AttemptKey) -> OutputPhase:
        if key.job == OWN:
            return self.hooks.own_phase(key.index)
        if key in self.core.held.running:
            return OutputPhase.RUNNING
        if key in self.core.held.backlog:
            return OutputPhase.UNSTARTED
        return OutputPhase.ENDED if self.core.has_ended(key) else OutputPhase.UNKNOWN

    # -- scheduler

    def _after_welcome(self) -> None:
        if self._session is not None:
            self._story.tell(logging.INFO, f"connected to the scheduler at {self._session.address}")
        self._keeping.resume()
        self.hooks.welcomed()

    def _open_session(self) -> Session | None:
        return self._session if self.core.connected else None

    def _send(self, message: scheduler_pb2.SessionRequest) -> None:
        if self._session is not None:
            self._session.send(message)

    def _open(self, number: int) -> None:
        scheduler = self.scheduler
        assert scheduler is not None, "a core that stands alone opens no session"
        listener = SessionCallbacks(
            ready=self._on_ready,
            received=self._on_received,
            asked_for_output=self._on_asked_for_output,
            expelled=self.hooks.expelled,
            closed=self._on_closed,
        )
        try:
            address, credentials = scheduler.address(), scheduler.credentials()
        except ClusterError as error:  # the disk is full, and it has moved: not for ever, as of any other session
            self._on_closed(number, error)
            return
        self._session = Session(number, address, credentials, scheduler.registration(), listener)

    def _on_ready(self, number: int, name: str) -> None:
        self.put(SessionReady(number))
        self.hooks.registered(name)

    def _on_received(self, number: int, commands: Sequence[Downward]) -> None:
        """Raises what ends the session, whose next one may go better."""
        for command in commands:
            if isinstance(command, Welcome) and command.epoch > self.core.epoch:
                # Before the core hears of it, which obeys at once: a full disk must not be the end of this worker.
                self.hooks.save_epoch(command.epoch)
        self.put(CommandsReceived(number, commands))

    def _on_asked_for_output(self, asked: scheduler_pb2.OpenOutput) -> None:
        if self._session is not None:
            self._live.open(self._session, asked)

    def _on_closed(self, number: int, why: ClusterError) -> None:
        self._live.cancel()
        self._keeping.cancel()
        self._reporter.cancel()
        self._session = None
        for_good = isinstance(why, Revoked)
        self.put(SessionEnded(number, random.random(), for_good))  # noqa: S311 (spreads reconnects, keeps no secret)
        if not self.finished.is_set():
            if not for_good:
                running = len(self.core.held.running)
                goes_on = f"{running} running attempts go on; " if running and self.launcher is not None else ""
                self._story.tell(logging.WARNING, f"not connected: {why}; {goes_on}trying again until it works")
            self.hooks.refused(why)


def _now() -> Now:
    return Now(time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


def _settled(report: Started | Ended) -> Started | Ended:
    """A job of the worker's own API can be given back to nobody: what this machine lacked for it, it failed by."""
    if not isinstance(report, Ended) or report.reason != "returned" or not report.text:
        return report
    own = AttemptKey.parse(report.key).job == OWN
    return report._replace(reason="launch_failed") if own else report


def _item(item: StartItem) -> Item:
    return Item(str(item.key), item.number, None if item.line is None else os.fsdecode(item.line))
