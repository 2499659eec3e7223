"""The order of an agent's steps, without I/O and without waiting: the driver runs it, and so does the simulation.

what has happened → core.turn → its effects, one after another
commands:  what must be on disk → the core
reports:   their outputs read, or on disk → sent; heartbeats pass by
the ends of own jobs on disk → the launcher may forget
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.now import Now
from cluster.domain.job.records import SmallOutput
from cluster.domain.session.messages import Assign, Downward, Welcome
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.journal import JournalEntry
from cluster.domain.worker.messages import (
    AckJournal,
    CommandsReceived,
    FetchContents,
    Finished,
    HandOver,
    HangUp,
    OpenSession,
    PushOutput,
    ReleaseContents,
    RemoveOutput,
    SaveEpoch,
    SendHeartbeat,
    SendHello,
    SendReport,
    WorkerEffect,
    WorkerEvent,
)
from cluster.worker.launcher_link import LauncherLink

DISK_PATIENCE = 5.0  # seconds for what a session needs from our own disks; then it ends, and the next one tries again


class AgentHost(Protocol):
    """Who runs the steps, and does what comes of them. None of it waits."""

    def woken(self) -> None:
        """There is something for a turn."""

    def open_session(self, session: int) -> None: ...
    def hang_up(self, session: int, why: str) -> None: ...
    def send_hello(self, effect: SendHello) -> None: ...
    def report(self, effect: SendReport) -> None:
        """Into the ReportQueue."""

    def heartbeat(self, effect: SendHeartbeat) -> None:
        """Into the ReportQueue."""

    def push_output(self, keys: tuple[AttemptKey, ...]) -> None: ...
    def remove_output(self, keys: tuple[AttemptKey, ...]) -> None: ...
    def fetch_contents(self, effect: FetchContents) -> None: ...
    def release_contents(self, number: int) -> None: ...
    def hand_over(self, reports: Sequence[JournalEntry]) -> None:
        """Reports about jobs of the worker's own API."""

    def own_saved(self) -> bool:
        """Whether all that was handed over is on disk."""

    def finish(self) -> None: ...


class AgentPipeline:
    """`events`: what the present turn is told, or the last one was."""

    def __init__(self, core: WorkerCore, link: LauncherLink, host: AgentHost) -> None:
        self.core, self.link, self.host = core, link, host
        self.events: Sequence[WorkerEvent] = ()
        self._inbox: list[WorkerEvent] = []
        self._ack: int | None = None  # that the launcher may forget, once own jobs are on disk

    def put(self, event: WorkerEvent) -> None:
        """Something happened. It is taken up in the next turn."""
        self._inbox.append(event)
        self.host.woken()

    def heard(self, session: int, commands: Sequence[Downward]) -> Iterator[Downward]:
        """Tells the core what the scheduler says. Yields each command that it may hear only after a look at our disks:
        a welcome once its epoch is saved, for it obeys at once; an assign once its script has been looked for. Where
        that fails the session must end, whose next one may go better."""
        for command in commands:
            saves = isinstance(command, Welcome) and command.epoch > self.core.epoch
            looks = isinstance(command, Assign) and command.spec is not None and command.spec.script
            if saves or looks:
                yield command
        self.put(CommandsReceived(session, commands))

    def turn(self, now: Now) -> Iterator[WorkerEffect]:
        """Tells the core what has happened, and does what it asks for; yields each effect before that is done."""
        self.events, self._inbox = self._inbox, []
        for effect in self.core.turn(self.events, now):
            yield effect
            self._perform(effect)

    def _perform(self, effect: WorkerEffect) -> None:
        host = self.host
        match effect:
            case SendReport():
                host.report(effect)
            case SendHeartbeat():
                host.heartbeat(effect)
            case SendHello():
                host.send_hello(effect)
            case OpenSession(session):
                host.open_session(session)
            case HangUp(session, why):
                host.hang_up(session, why)
            case SaveEpoch():
                pass  # before the core heard of it
            case FetchContents():
                host.fetch_contents(effect)
            case ReleaseContents(number):
                host.release_contents(number)
            case HandOver(reports):
                host.hand_over(reports)
            case PushOutput(keys):
                host.push_output(keys)
            case RemoveOutput(keys):
                host.remove_output(keys)
            case Finished():
                host.finish()
            case AckJournal(sequence):
                self._ack = sequence
                self.own_jobs_saved()
            case _:
                self.link.perform(effect, self.core.held)

    def own_jobs_saved(self) -> None:
        """Some of what was handed over is on disk, perhaps all: then the launcher may forget what nobody needs."""
        if self._ack is not None and self.link.runner is not None and self.host.own_saved():
            self.link.runner.ack(self._ack)
            self._ack = None

    def launcher_changed(self) -> None:
        """What was acknowledged was the one's before."""
        self._ack = None


class ReportQueue:
    """What is said in one session, in order: reports, each after its outputs were read, and heartbeats, which pass by
    them. But not by one that says that this worker drains: when the heartbeat is answered, that one is known to have
    arrived."""

    def __init__(self, send: Callable[[SendReport | SendHeartbeat], None]) -> None:
        self._send = send
        self._items: list[SendReport | SendHeartbeat] = []

    def __bool__(self) -> bool:
        return bool(self._items)

    def report(self, effect: SendReport) -> None:
        self._items.append(effect)

    def heartbeat(self, effect: SendHeartbeat) -> None:
        if any(isinstance(item, SendReport) and item.report.draining for item in self._items):
            self._items.append(effect)
        else:
            self._send(effect)

    def clear(self) -> None:
        """The session is over: the next one hears it all again."""
        self._items.clear()

    def steps(self) -> Generator[SendReport, Sequence[SmallOutput], None]:
        """Sends all. Yields each report to get its outputs: the small ones, when the large ones are on disk."""
        while self._items:
            item = self._items[0]
            if isinstance(item, SendReport) and (outputs := (yield item)):
                item = replace(item, report=replace(item.report, outputs=tuple(outputs)))
            self._send(item)
            del self._items[0]
