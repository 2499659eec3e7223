"""The loop around the worker's core: what happens goes in, what it decides is done, in the order that
`cluster.worker.agent_pipeline` says. No decisions here.

All that effects ask for is quick (a message queued, work begun in a thread), so they are done right in the loop. What
belongs to attempts is looked at in lanes, before the core hears of it.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.now import Now
from cluster.domain.job import endings
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.launcher.template import Template
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.idling import Idling
from cluster.domain.worker.journal import JournalEntry
from cluster.domain.worker.messages import (
    OWN,
    FetchContents,
    FreezeAttempts,
    LauncherConnected,
    LauncherReported,
    SendHeartbeat,
    SendHello,
    SendReport,
    ShutdownRequested,
    WorkerEvent,
)
from cluster.rpc.convert import hello_to_proto
from cluster.v1 import scheduler_pb2
from cluster.worker.agent_pipeline import AgentPipeline
from cluster.worker.contents.fetching import ContentFetches
from cluster.worker.contents.files import CacheFiles
from cluster.worker.disk_space import Disks
from cluster.worker.hooks import Hooks, Scheduler
from cluster.worker.launcher_keeper import keep_launcher
from cluster.worker.launcher_link import LauncherLink
from cluster.worker.launcher_reports import LauncherEvent, LauncherReports
from cluster.worker.output.files import Left, Outputs
from cluster.worker.output.growth import Growth
from cluster.worker.output.inotify import Watcher
from cluster.worker.output.live_transfers import LivePushes
from cluster.worker.output.pushing import OutputPushes
from cluster.worker.output.quiet_watch import QuietWatch
from cluster.worker.output.readers import OutputPhase, Readers
from cluster.worker.reporter import Reporter
from cluster.worker.results.pushing import ResultPushes
from cluster.worker.room_watch import RoomWatch
from cluster.worker.runners.interface import Connect, Runner
from cluster.worker.scheduler_link import SchedulerLink
from cluster.worker.session import Session
from cluster.worker.taken_room import TakenRoom
from cluster.worker.templates import Templates

logger = logging.getLogger(__name__)

KEEPING = 5.0  # seconds for output that is to be kept to reach the scheduler before we go


@dataclass(slots=True)
class Agent:
    core: WorkerCore
    connect: Connect
    templates: Templates
    outputs: Outputs
    scheduler: Scheduler | None
    hooks: Hooks
    disks: Disks = field(default_factory=lambda: Disks(()))
    cache: int | None = None  # bytes that contents may take; None: as usual
    idling: Idling = field(default_factory=lambda: Idling(None))
    readers: Readers = field(init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    link: LauncherLink = field(init=False)
    pipeline: AgentPipeline = field(init=False)
    finished: asyncio.Event = field(default_factory=asyncio.Event, init=False)  # the shutdown may go on
    _stopping_jobs: bool = field(default=False, init=False)
    _was_usable: bool = field(default=False, init=False)
    _room: RoomWatch = field(init=False)
    _reports: LauncherReports = field(init=False)
    _live: LivePushes = field(init=False)
    _scheduler: SchedulerLink = field(init=False)
    _reporter: Reporter = field(init=False)
    _pushes: OutputPushes = field(init=False)
    _results: ResultPushes = field(init=False)
    _growth: Growth = field(init=False)
    _contents: ContentFetches = field(init=False)
    _quiet: QuietWatch = field(init=False)
    _watcher: Watcher = field(default_factory=Watcher, init=False)

    def __post_init__(self) -> None:
        self.link = LauncherLink(self.connect, self.templates, self.outputs)
        self.pipeline = AgentPipeline(self.core, self.link, self)
        self.readers = Readers(self.outputs, self._watcher, self._phase_of)
        self._live = LivePushes(self.readers)
        self._scheduler = SchedulerLink(
            self.scheduler,
            self.core,
            self.hooks,
            self.templates,
            self.readers.lanes,
            self.pipeline,
            asked_for_output=self._live.open,
            asked_for_results=lambda keys: self._results.add([key for key in keys if key not in self.core.held], None),
            ended=self._after_session,
            quiet=self.finished.is_set,
        )
        self._pushes = OutputPushes(
            self.outputs, self.readers.lanes, lambda: self._scheduler.open_session, self.link.limit_of
        )
        self._results = ResultPushes(
            self.outputs, self.readers.lanes, lambda: self._scheduler.open_session, self.templates.user.uid
        )
        self._contents = ContentFetches(
            CacheFiles(self.templates.contents, self.templates.user.gid),
            (self.cache, self.core.room.reserve),
            self.readers.lanes,
            lambda: self._scheduler.open_session,
            self.put,
            self.outputs.remove_left,
        )
        taken = TakenRoom(self.outputs, self.readers.lanes, self.core.room.reserve, self._contents.total)
        self._reporter = Reporter(
            self.outputs, self.readers.lanes, lambda: self._scheduler.session, self._contents.progress, taken.said
        )
        self._reports = LauncherReports(self.outputs, self.readers.lanes)
        self._room = RoomWatch(self.disks, self.readers.lanes, self.core.room, self.put)
        self._quiet = QuietWatch(self.outputs, self.readers.lanes, self.link.stop_quiet)
        self._growth = Growth(self.outputs, self.readers.lanes, self._running, self.core.room.reserve)

    def put(self, event: WorkerEvent) -> None:
        """Something happened. It is taken up in the next turn."""
        self.pipeline.put(event)

    async def run(self) -> None:
        """Serves until it is cancelled. LauncherUnavailable when no launcher can be had."""
        wanted = lambda: not self.link.quitting  # noqa: E731
        keeper = asyncio.create_task(
            keep_launcher(
                self.connect,
                self._adopt,
                self._on_launcher,
                wanted,
                self._room.is_short,
                self._scheduler.tell_trouble,
            )
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
        """Begins to end: recalls what has not started, reports, and with `stop_jobs` stops what runs. `finished` is set
        when that is done, or cannot be."""
        self._stopping_jobs = stop_jobs
        self.put(ShutdownRequested(stop_jobs))

    async def quit_launcher(self, patience: float, *, kill: bool) -> None:
        """Ends the launcher, and waits until it has gone. Call it after `finished`, when nothing is to run on. With
        `kill`, what runs all the same is killed."""
        await self.link.quit(patience, kill=kill, even_another=self._stopping_jobs)

    async def goodbye(self, reason: str) -> None:
        """Tell the scheduler that this worker goes offline, and hang up."""
        await asyncio.gather(self._pushes.settle(KEEPING), self._results.settle(KEEPING))
        await self._scheduler.goodbye(reason)

    def close(self) -> None:
        """The very last."""
        if self._timer is not None:
            self._timer.cancel()
        self._scheduler.close()
        self._room.close()
        self._growth.close()
        self._contents.close()
        self._quiet.close()
        self._watcher.close()
        self.readers.lanes.close()

    def shortest_leash(self) -> float:
        """Seconds from now for which every running attempt may go on without this agent, as far as is known."""
        confirmed_at = self.core.session.confirmed_at
        age = _now().mono - confirmed_at if confirmed_at is not None else 0.0
        return max(0.0, self.link.shortest_leash(self.core.held.running) - age)

    # -- one turn

    def _turn(self) -> None:
        self._wake.clear()
        was_connected = self.core.connected
        for effect in self.pipeline.turn(_now()):
            if isinstance(effect, FreezeAttempts):
                self._quiet.freeze(effect.keys, thaw=effect.thaw)
        if self.core.connected and not was_connected:
            self._after_welcome()
        for event in self.pipeline.events:
            if isinstance(event, LauncherReported):
                self._after_reports(event.reports)
            elif isinstance(event, LauncherConnected):
                self._after_connect(event)
        self._room.after_turn(_now().mono)
        self._contents.look(bool(self.core.room.shortage))
        news = any(isinstance(event, LauncherReported) for event in self.pipeline.events)
        if why := self.idling.look(busy=self._is_busy(), news=news, now=_now().mono):
            self.hooks.idle(why)
        self._set_timer()

    def _is_busy(self) -> bool:
        """Whether something is to be run, reported or pushed, or nobody could give it anything yet."""
        core = self.core
        self._was_usable = self._was_usable or core.connected or (self.scheduler is None and self.link.known)
        something = core.held or not core.outbox.is_empty or self.hooks.own_unfinished()
        return bool(something or self._pushes.left or self._results.left) or not self._was_usable

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadlines = [at for at in (self.core.next_deadline(), self.idling.due()) if at is not None]
        if deadlines:
            delay = max(0.0, min(deadlines) - _now().mono)
            self._timer = asyncio.get_running_loop().call_later(delay, self._wake.set)

    # -- what the pipeline asks for (`cluster.worker.agent_pipeline.AgentHost`)

    def woken(self) -> None:
        self._wake.set()

    def open_session(self, session: int) -> None:
        self._scheduler.open(session)

    def hang_up(self, session: int, why: str) -> None:
        self._scheduler.hang_up(why)

    def send_hello(self, effect: SendHello) -> None:
        self._scheduler.send(scheduler_pb2.SessionRequest(hello=hello_to_proto(effect.hello)))

    def report(self, effect: SendReport) -> None:
        self._reporter.report(effect)

    def heartbeat(self, effect: SendHeartbeat) -> None:
        self._reporter.heartbeat(effect)

    def push_output(self, keys: tuple[AttemptKey, ...]) -> None:
        self._pushes.add(keys)

    def remove_output(self, keys: tuple[AttemptKey, ...]) -> None:
        self.outputs.remove(keys)

    def fetch_contents(self, effect: FetchContents) -> None:
        self._contents.fetch(effect)

    def release_contents(self, number: int) -> None:
        self._contents.release(number)

    def hand_over(self, reports: Sequence[JournalEntry]) -> None:
        self.hooks.handed_over(reports)

    def own_saved(self) -> bool:
        return self.hooks.own_saved()

    def finish(self) -> None:
        self.finished.set()

    # -- jobs of the worker's own API

    @property
    def launcher(self) -> Runner | None:
        return self.link.runner

    def launcher_or_error(self) -> Runner:
        """Unreachable while there is none, or it is not known yet what it holds."""
        return self.link.runner_or_error()

    async def expect_room(self) -> None:
        """Exhausted when there is none for another job."""
        await self._room.expect_room()

    def start_own(self, key: AttemptKey, template: Template) -> None:
        """Unreachable while there is no launcher."""
        self.link.start_own(key, template, self.core.held)

    def own_jobs_saved(self, keys: Iterable[AttemptKey] = ()) -> None:
        """What was handed over about these is on disk, perhaps all: the launcher may forget what nobody needs any more,
        and who follows their output hears of it."""
        for key in keys:
            self.readers.changed(key)
        self.pipeline.own_jobs_saved()

    # -- jobs that call the cluster

    def holds(self, key: AttemptKey) -> bool:
        """Whether that attempt of the cluster's is here. Unreachable while the launcher has not said what it holds."""
        self.link.runner_or_error()
        return key in self.core.held

    async def session(self, patience: float) -> Session:
        """The session with the scheduler. Unreachable where there is none for so many seconds."""
        return await self._scheduler.session_within(patience)

    # -- launcher

    def _adopt(self, launcher: Runner | None) -> None:
        self.link.adopt(launcher)
        self.pipeline.launcher_changed()

    async def _on_launcher(self, event: LauncherEvent) -> None:
        """The next one comes when this returns: what is looked at meanwhile belongs to attempts, and may hang."""
        self.put(await self._reports.completed(event))

    def _after_reports(self, reports: Sequence[JournalEntry]) -> None:
        """Wakes those who follow output, and removes the directories that nobody needs any more."""
        if any(isinstance(what, Started) for _, what in reports):
            self._growth.begin()
        if self.link.any_quiet or self._quiet.watches:
            self._quiet.heard(reports, self.link.quiet_limit_of)
        if self.readers.any:
            for key, _ in reports:
                self.readers.changed(key)
        self._take_results(reports)
        fresh = self.link.fresh
        if fresh and (gone := [key for key, what in reports if key.job in fresh and isinstance(what, Ended)]):
            self.outputs.remove_work(gone)

    def _take_results(self, reports: Sequence[JournalEntry]) -> None:
        """Of what has ended. Of adopted attempts the scheduler is asked whether any are wanted."""
        if self.scheduler is None:
            return
        for key, what in reports:
            began = isinstance(what, Ended) and (what.started_at or what.reason == endings.LOST)
            if began and key.job != OWN:
                may_be_wanted, wanted = self.link.wanted_of(key.job)
                if may_be_wanted:
                    self._results.add([key], wanted)

    def _after_connect(self, event: LauncherConnected) -> None:
        self.link.known = True
        keys = {*event.running, *event.backlog, *(key for key, _ in event.reports)}
        self.hooks.launcher_held(event.incarnation, {key for key in keys if key.job == OWN})
        self._pushes.add(self.outputs.ended_before(self._reports.left, keys))
        self._results.add([key for key in self._reports.left.kept if key not in keys], None)
        self._reports.left = Left()
        self.link.fresh.update(
            key.job for key in keys
        )  # what they run in is not known; that there is nothing costs little
        self._after_reports(event.reports)
        self._growth.begin()
        for key, limit in event.quiet.items():
            self._quiet.begin(key, limit)
        self._quiet.freeze(event.frozen)
        self.readers.all_changed()
        for job, adopted in Counter(key.job for key in self.core.held.running).items():
            logger.info("job %d: adopted %d running attempts from the launcher", job, adopted)

    def _running(self) -> list[tuple[AttemptKey, int]]:
        """What runs, with how much of each stream is kept."""
        own = [(AttemptKey(OWN, number, 1), limit) for number, limit in self.hooks.own_limits().items()]
        return own + [(key, self.link.limit_of(key.job)) for key in self.core.held.running]

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
        self._scheduler.welcomed()
        self._pushes.resume()
        self._results.resume()
        self.hooks.welcomed()

    def _after_session(self) -> None:
        """It has ended: the next one begins all that anew."""
        self._live.cancel()
        self._pushes.cancel()
        self._results.cancel()
        self._reporter.cancel()


def _now() -> Now:
    return Now(time.clock_gettime(time.CLOCK_BOOTTIME), time.time())
