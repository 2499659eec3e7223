"""The agent's connection to the scheduler: one session after another, as the core wishes, and what is said in them."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from cluster.domain.base.errors import ClusterError, Revoked, Unreachable
from cluster.domain.base.ids import AttemptKey
from cluster.domain.session.messages import Assign, Downward, Welcome
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.messages import SessionEnded, SessionReady
from cluster.rpc.errors import calling
from cluster.v1 import scheduler_pb2
from cluster.worker.agent_pipeline import DISK_PATIENCE, AgentPipeline
from cluster.worker.hooks import Hooks, Scheduler
from cluster.worker.output.lanes import Lanes
from cluster.worker.session import Session, SessionCallbacks, register
from cluster.worker.templates import Templates

logger = logging.getLogger(__name__)

TROUBLE_AGAIN = 30.0  # seconds after which a scheduler is told again that no job can be started here
GOODBYE = 5.0  # seconds for the scheduler to hear that we go, and to write that to a disk which may be slow


@dataclass(slots=True, eq=False)
class SchedulerLink:
    """`session`: the present one, None: there is none. `asked_for_output`, `asked_for_results` and `ended` are told
    what those must know that send outputs and results. `quiet`: nothing is said of its end, since we end."""

    scheduler: Scheduler | None
    core: WorkerCore
    hooks: Hooks
    templates: Templates
    lanes: Lanes
    pipeline: AgentPipeline
    asked_for_output: Callable[[Session, scheduler_pb2.OpenOutput], None]
    asked_for_results: Callable[[Sequence[AttemptKey]], None]
    ended: Callable[[], None]
    quiet: Callable[[], bool]
    session: Session | None = None
    _waiting: set["asyncio.Future[None]"] = field(default_factory=set, init=False)  # for a session that is open
    _trouble: str = field(default="", init=False)  # that was told last,
    _trouble_again_at: float = field(default=0.0, init=False)  # and when it is told again, by the loop's clock
    _telling: "asyncio.Task[None] | None" = field(default=None, init=False)
    _told: str = field(default="", init=False)  # last: each change is logged once, and not each try

    @property
    def open_session(self) -> Session | None:
        """The session, if the scheduler has welcomed us in it."""
        return self.session if self.core.connected else None

    def open(self, number: int) -> None:
        scheduler = self.scheduler
        assert scheduler is not None, "a core that stands alone opens no session"
        self.close()  # jobs can be started: nothing else is to be heard after this
        self._trouble = ""
        listener = SessionCallbacks(
            ready=self._on_ready,
            received=self._on_received,
            asked_for_output=self._on_asked_for_output,
            asked_for_results=self.asked_for_results,
            expelled=self.hooks.expelled,
            schedulers=self.hooks.schedulers,
            closed=self._on_closed,
        )
        try:
            address, credentials = scheduler.address(), scheduler.credentials()
        except ClusterError as error:  # the disk is full, and it has moved: not for ever, as of any other session
            self._on_closed(number, error)
            return
        self.session = Session(number, address, credentials, scheduler.registration(), listener)

    def send(self, message: scheduler_pb2.SessionRequest) -> None:
        if self.session is not None:
            self.session.send(message)

    def tell_trouble(self, why: str) -> None:
        """Lets the scheduler know why no job can be started here, and there is no session: once, and again from time to
        time, because one that is started anew does not know it. Quick; may be called as often as there is reason."""
        now = asyncio.get_running_loop().time()
        if (
            self.scheduler is None
            or self.session is not None
            or (why == self._trouble and now < self._trouble_again_at)
        ):
            return
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_trouble(self.scheduler, why))

    async def _tell_trouble(self, scheduler: Scheduler, why: str) -> None:
        registration = scheduler.registration()
        registration.trouble = why
        try:
            await register(scheduler.address(), scheduler.credentials(), registration)
        except ClusterError as error:
            logger.debug("the scheduler was not told why no job can be started: %s", error)
            return
        self._trouble, self._trouble_again_at = why, asyncio.get_running_loop().time() + TROUBLE_AGAIN

    def close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()

    def hang_up(self, why: str) -> None:
        if self.session is not None:
            self.session.close(why)

    async def session_within(self, patience: float) -> Session:
        """The session, once the scheduler has welcomed us. Unreachable where that takes longer than so many seconds."""
        until = asyncio.get_running_loop().time() + patience
        while (session := self.open_session) is None:
            welcomed = asyncio.get_running_loop().create_future()
            self._waiting.add(welcomed)
            try:
                async with asyncio.timeout_at(until):
                    await welcomed
            except TimeoutError:
                raise Unreachable("this worker has no connection to its scheduler just now; try again later") from None
            finally:
                self._waiting.discard(welcomed)
        return session

    def welcomed(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        if self.session is not None:
            self._tell(logging.INFO, f"connected to the scheduler at {self.session.address}")

    async def goodbye(self, reason: str) -> None:
        """Tell the scheduler that this worker goes offline, and hang up."""
        session = self.session
        if session is None:
            return
        if self.core.connected:
            try:
                with calling(session.address):
                    await session.stub.Deregister(scheduler_pb2.DeregisterRequest(reason=reason), timeout=GOODBYE)
            except ClusterError as error:
                logger.warning("the scheduler was not told that this worker goes, and will miss it: %s", error)
            except asyncio.CancelledError:
                # So gRPC says that the channel was closed: the scheduler, now told, was quicker to end the session.
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise
        session.close(reason)
        await session.finished()

    # -- what happens in a session

    async def _on_ready(self, number: int, name: str) -> None:
        self.pipeline.put(SessionReady(number))
        await self._on_disk(partial(self.hooks.registered, name))

    async def _on_received(self, number: int, commands: Sequence[Downward]) -> None:
        """Raises what ends the session, whose next one may go better."""
        for command in self.pipeline.heard(number, commands):
            if isinstance(command, Welcome):  # a full disk must not be the end of this worker
                await self._on_disk(partial(self.hooks.save_epoch, command.epoch))
            elif isinstance(command, Assign) and command.spec is not None:
                await self.templates.find_script(command.spec.script, self.lanes)

    async def _on_disk(self, call: Callable[[], None]) -> None:
        """Calls it in a lane: a disk that hangs must not cost the lease of what runs."""
        try:
            await self.lanes.run(self, call, DISK_PATIENCE)
        except OSError as error:
            raise Unreachable(f"this worker's own directory does not answer: {error.strerror}") from None

    def _on_asked_for_output(self, asked: scheduler_pb2.OpenOutput) -> None:
        if self.session is not None:
            self.asked_for_output(self.session, asked)

    def _on_closed(self, number: int, why: ClusterError) -> None:
        self.ended()
        self.session = None
        for_good = isinstance(why, Revoked)
        self.pipeline.put(SessionEnded(number, random.random(), for_good))  # noqa: S311 (spreads reconnects, keeps no secret)
        if self.quiet():
            return
        if not for_good:
            running = len(self.core.held.running)
            goes_on = f"{running} running attempts go on; " if running else ""
            self._tell(logging.WARNING, f"not connected: {why}; {goes_on}trying again until it works")
        self.hooks.refused(why)

    def _tell(self, level: int, text: str) -> None:
        if text != self._told:
            self._told = text
            logger.log(level, "%s", text)
