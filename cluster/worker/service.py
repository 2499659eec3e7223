"""One worker with all its parts, put together, begun and ended in the right order."""

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol

from cluster import __version__
from cluster.domain.base.errors import (
    ClusterError,
    IdentityInUse,
    Internal,
    InvalidInput,
    NotAuthenticated,
    NotPermitted,
    Revoked,
    Untrusted,
)
from cluster.domain.launcher.slots import User
from cluster.domain.session.home import Home
from cluster.domain.trust.credentials import Credentials
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.idling import Idling
from cluster.launcher.client import LauncherUnavailable
from cluster.rpc.addresses import reachable
from cluster.rpc.convert import home_to_proto
from cluster.rpc.specs import offer_to_proto
from cluster.v1 import scheduler_pb2
from cluster.worker.agent import Agent
from cluster.worker.capacity import available_millicpus
from cluster.worker.disk_space import Disks
from cluster.worker.expelled_users import ExpelledUsers
from cluster.worker.home import forget_another_home, home_of
from cluster.worker.hooks import Hooks, Scheduler
from cluster.worker.inside.listener import JobsListener
from cluster.worker.inside.place import make_place
from cluster.worker.membership import Membership, keep_renewing, reissued
from cluster.worker.offering import check_engine_options, offer_through, told_offer
from cluster.worker.output.files import Outputs
from cluster.worker.own.door import OwnDoor
from cluster.worker.own.jobs import OwnJobs
from cluster.worker.own.server import OwnServer
from cluster.worker.own.store import OwnStore, OwnStoreFailed
from cluster.worker.runners import LOCAL, engine_of, runner
from cluster.worker.sandbox_probe import SandboxOptions, find_sandbox
from cluster.worker.standalone import Standalone
from cluster.worker.templates import NOBODY, RunAs, Templates, base_environment, run_as
from cluster.worker.work_directory import work_directory

logger = logging.getLogger(__name__)

NO_LISTENER = "none"
QUIT_PATIENCE = 10.0  # seconds for the launcher to go once nothing runs
# Seconds that a worker which ends waits for the next launcher, when it has jobs to stop and the last one has died.
LAUNCHER_PATIENCE = 10.0
SAVING_PATIENCE = 5.0  # seconds that it waits for a disk that does not take down the ends of its own jobs

# What the first answer of a scheduler says about us that no further try will change.
_HOPELESS = (Untrusted, NotAuthenticated, NotPermitted, InvalidInput)


class Options(SandboxOptions, Protocol):
    """What is needed of `cluster.worker.process.WorkerOptions`, which says what each means."""

    @property
    def listen(self) -> str: ...
    @property
    def or_next_port(self) -> bool: ...
    @property
    def millicpus(self) -> int | None: ...
    @property
    def memory(self) -> int | None: ...
    @property
    def gpus(self) -> str | None: ...
    @property
    def resources(self) -> Sequence[str]: ...
    @property
    def labels(self) -> Sequence[str]: ...
    @property
    def scripts(self) -> Path | None: ...
    @property
    def run_as(self) -> str | None: ...
    @property
    def reserve(self) -> int | None: ...
    @property
    def cache_limit(self) -> int | None: ...
    @property
    def idle_exit(self) -> float | None: ...
    @property
    def stays_for(self) -> float | None: ...
    @property
    def runner(self) -> str: ...
    @property
    def runner_config(self) -> Path | None: ...
    @property
    def program(self) -> tuple[str, ...]: ...
    @property
    def cache(self) -> str: ...
    @property
    def local_scheduler(self) -> Path | None: ...


class WorkerService:
    """`usable` is set when it can take jobs for the first time."""

    def __init__(
        self,
        options: Options,
        directory: Path,
        membership: Membership,
        alone: Standalone | None,
        address: Callable[[], str],
    ) -> None:
        """`address` answers where the scheduler is; it is not asked of a worker that stands alone."""
        self.membership = membership
        self.usable = asyncio.Event()
        self._options = options
        self._alone, self._address = alone, address
        self._failure: ClusterError | None = None
        user = _jobs_user(options.run_as)
        self._sandbox = find_sandbox(options, user) if options.runner == LOCAL else None
        self._engine = engine_of(options.runner, options.runner_config)
        self._millicpus = options.millicpus or available_millicpus()
        self._offer = offer_through(self._engine, options, self._sandbox.kind if self._sandbox else "")
        self._work = work = work_directory(directory, membership, user)
        self._outputs, theirs = Outputs(directory / "jobs", work), (user.uid, user.gid)
        apart = alone or self._engine  # so that jobs cannot call the cluster
        self._inside = None if apart else make_place(directory, work, theirs, options.program, options.cache)
        templates = self._templates(directory / "jobs", user)
        home = home_of(directory)
        forget_another_home(directory / "launcher", Home.parse(membership.state.home), home)
        membership.amend(home=str(home))
        self._directory, self._home = directory, home
        self._expelled = ExpelledUsers(directory)
        self._own = OwnJobs(OwnStore(directory / "worker.db"), templates, lambda: self._agent)
        leaves_at = None if options.stays_for is None else time.clock_gettime(time.CLOCK_BOOTTIME) + options.stays_for
        self._registration = scheduler_pb2.RegisterRequest(capacity_millicpus=self._millicpus, version=__version__)
        self._agent = Agent(
            WorkerCore(
                self._millicpus, membership.state.epoch, alone is None, home, options.reserve, self._offer, leaves_at
            ),
            runner(options.runner, directory / "launcher", self._millicpus, self._offer, self._engine),
            templates,
            self._outputs,
            None if alone else Scheduler(address, lambda: membership.credentials, self._register),
            self._hooks(),
            Disks((directory, directory / "jobs", work)),
            options.cache_limit,
            Idling(options.idle_exit, leaves_at),
        )
        self._jobs_listener = self._listener_for_jobs(theirs)
        self._server: OwnServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving: asyncio.Task[None] | None = None
        self._give_up: Callable[[], None] = lambda: None

    def _templates(self, outputs: Path, user: RunAs) -> Templates:
        environment = base_environment(os.environ, user, has_gpus=bool(self._offer.gpus)) if not self._engine else {}
        scripts = _checked_scripts(self._options.scripts)
        return Templates(outputs, self._work, scripts, environment, user, self._inside, self._sandbox)

    def _listener_for_jobs(self, theirs: User) -> JobsListener | None:
        if self._inside is None:
            return None
        agent = self._agent
        return JobsListener(self._inside, theirs, agent.holds, agent.link.owner_of, agent.session)

    def _hooks(self) -> Hooks:
        return Hooks(
            handed_over=self._own.handed_over,
            launcher_held=self._launcher_held,
            own_saved=lambda: self._own.all_saved,
            own_unfinished=lambda: bool(self._own.unfinished()),
            idle=self._idle,
            own_phase=self._own.phase_of,
            own_limits=self._own.limits,
            save_epoch=lambda epoch: self.membership.amend(epoch=epoch),
            registered=self._registered,
            welcomed=self.usable.set,
            expelled=self._expelled.replace,
            schedulers=self.membership.schedulers.replace,
            refused=self._refused,
        )

    async def start(self, give_up: Callable[[], None]) -> None:
        """Begins to work. `give_up` is called when that has become impossible; `end` then says why."""
        self._give_up = give_up
        await self._listen()
        if self._jobs_listener is not None:
            await self._jobs_listener.start()
        self._tasks = [asyncio.create_task(self._run_agent()), asyncio.create_task(self._renew())]

    async def end(self, *, stop_jobs: bool) -> None:
        """Give back what has not started, say goodbye, close. What runs goes on, unless `stop_jobs`. Raises what made
        the worker give up."""
        agent = self._agent
        if self._jobs_listener is not None:
            await self._jobs_listener.stop()
        await self._own.close()
        if self._tasks:
            logger.info("stopping: what has not started is given back%s", ", what runs is stopped" if stop_jobs else "")
        if self._tasks and self._failure is None:
            agent.shut_down(stop_jobs)
            if stop_jobs:
                await self._unless_it_fails(
                    self._own.stop_all(),
                    agent.link.absent_for(LAUNCHER_PATIENCE),
                    self._own.unsaved_for(SAVING_PATIENCE),
                )
                if not self._own.all_saved:
                    self._failure = OwnStoreFailed(
                        "the ends of this worker's own jobs could not be written; see its log"
                    )
            await self._unless_it_fails(agent.finished.wait())
            if not stop_jobs:
                self._say_what_goes_on()
        await agent.goodbye("the worker was stopped")
        expelled = isinstance(self._failure, Revoked) and self.usable.is_set()
        if self._tasks and (stop_jobs or expelled or self._is_idle()):
            # Last, because without a launcher there is no session. Of who was expelled nobody takes anything any more.
            await agent.quit_launcher(QUIT_PATIENCE, kill=stop_jobs or expelled)
        if self._server is not None:
            await self._server.stop()
        tasks = self._tasks + ([self._leaving] if self._leaving else [])
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        agent.close()
        self._own.close_store()
        self._outputs.close()
        if self._inside is not None:
            self._inside.leave(self._work)
        self.membership.amend(pid=0, api="")
        if self._failure is not None:
            raise self._failure

    async def _unless_it_fails(self, *waiting: Coroutine[Any, Any, object]) -> None:
        """Waits for the first of these, which only a living agent can bring about."""
        waiters = [asyncio.create_task(each) for each in waiting]
        await asyncio.wait([*waiters, self._tasks[0]], return_when=asyncio.FIRST_COMPLETED)
        for waiter in waiters:
            if not waiter.cancel() and (error := waiter.exception()):
                logger.error("a fault of ours, but the worker ends all the same", exc_info=error)

    # -- beginning

    async def _listen(self) -> None:
        """Open the own API, if there is to be one."""
        listen, state = self._options.listen, self.membership.state
        address = ""
        if listen != NO_LISTENER:
            door = OwnDoor(self._own, self._agent.readers, state.id, state.name, self._millicpus, self._offer)
            own = self.membership.credentials, door, self._expelled, self._renew_now()
            self._server = OwnServer(*own, self._alone.who_shows if self._alone else None)
            await self._server.start(listen, self._options.or_next_port)
            host = listen.rpartition(":")[0]
            address = f"{reachable(host, self._address())}:{self._server.port}"
            logger.info("own API on %s", address)
        self.membership.amend(api=address, pid=os.getpid())

    def _register(self) -> scheduler_pb2.RegisterRequest:
        self._registration.name = self.membership.state.name
        self._registration.home.CopyFrom(home_to_proto(self._home, time.clock_gettime(time.CLOCK_BOOTTIME)))
        self._registration.address = self.membership.state.api
        self._registration.offer.CopyFrom(offer_to_proto(self._agent.core.offer))
        return self._registration

    async def _run_agent(self) -> None:
        try:
            await self._agent.run()
        except LauncherUnavailable as error:
            self._fail(ClusterError(str(error)))
        except Exception:
            logger.exception(
                "the worker stops by a fault of ours; what it is not to stop goes on, and the next start adopts it"
            )
            self._fail(Internal("the worker stopped by a fault of its own; its log says more"))

    def _renew_now(self) -> Callable[[], Credentials] | None:
        """What makes a certificate that is valid without asking anybody else; None where nothing can."""
        if self._alone is not None:
            return self._alone.issue
        return self._reissue if self._options.local_scheduler is not None else None

    def _reissue(self) -> Credentials:
        fresh = reissued(self.membership.credentials, self._options.local_scheduler)
        if fresh is None:
            raise NotAuthenticated("this machine has no scheduler of its own that could renew it")
        self.membership.renewed(fresh)
        return fresh

    async def _renew(self) -> None:
        if self._alone is not None:
            await self._alone.keep_renewing(self._renewed)
        else:
            await keep_renewing(self.membership, self._address, self._renewed, self._options.local_scheduler)

    # -- what happens

    def _renewed(self, credentials: Credentials) -> None:
        if self._server is not None:
            self._server.serving.replace(credentials)

    def _launcher_held(self, incarnation: str, held: set) -> None:  # type: ignore[type-arg]
        self._own.launcher_held(incarnation, held)
        if self._alone is not None:
            self.usable.set()

    def _registered(self, name: str) -> None:
        """The name in force: the scheduler gives each once."""
        if name != (wished := self.membership.state.name):
            logger.warning("another worker is called %s, so this one is %s; --name gives it another", wished, name)
        self.membership.amend(name=name)

    def _refused(self, error: ClusterError) -> None:
        """A session ended. If there never was one, and trying again is of no use, we end too; and once we are expelled,
        as soon as the jobs of our own API have ended."""
        if isinstance(error, Revoked) and self.usable.is_set():
            self._leaving = asyncio.create_task(self._leave(error))
            return
        if isinstance(error, NotAuthenticated | Untrusted):
            self.membership.refused()
        if isinstance(error, IdentityInUse):
            error = IdentityInUse(
                f"{error}: stop that one; or remove {self._directory}, and start again with --join TOKEN "
                "(`cluster token create` prints one), to have a worker of its own here"
            )
        if isinstance(error, _HOPELESS) and not self.usable.is_set():
            self._fail(error)

    async def _leave(self, error: Revoked) -> None:
        await self._own.close()
        if running := self._own.left:
            logger.warning("%s; this worker ends when the jobs of its own API have: %d", error, running)
            await self._own.all_ended()
        self._fail(error)

    def _idle(self, why: str) -> None:
        logger.info("%s: this worker leaves", why)
        self._give_up()

    def _fail(self, error: ClusterError) -> None:
        self._failure = self._failure or error
        self._give_up()

    def _is_idle(self) -> bool:
        """Nothing runs or waits that the next agent could adopt."""
        core = self._agent.core
        return not (core.held.running or core.held.backlog or self._own.unfinished())

    def _say_what_goes_on(self) -> None:
        until = time.strftime("%H:%M:%S", time.localtime(time.time() + self._agent.shortest_leash()))
        for number, running in Counter(key.job for key in self._agent.core.held.running).items():
            logger.info(
                "job %d: %d attempts go on without this worker: start it again before %s, and it adopts them; later "
                "the launcher stops them, because the scheduler gives them up",
                number,
                running,
                until,
            )
        for job in self._own.unfinished():
            logger.info("job %d: goes on, of this worker's own API: start it again, and it adopts it", job.number)


def check_jobs_options(options: Options) -> None:
    """ClusterError for what no worker could run jobs with: a user or a folder that is not there, resources that cannot
    be."""
    run_as(options.run_as)
    told_offer(options)
    check_engine_options(options)
    _checked_scripts(options.scripts)


def _jobs_user(name: str | None) -> RunAs:
    user = run_as(name)
    if name is None and user.uid is not None:
        logger.warning("this worker is root, so jobs run as %s; choose another user with --run-as", NOBODY)
    return user


def _checked_scripts(scripts: Path | None) -> Path | None:
    if scripts is not None and not scripts.is_dir():
        raise InvalidInput(f"--scripts {str(scripts)!r} is no folder: make it, or name another")
    return scripts.absolute() if scripts is not None else None
