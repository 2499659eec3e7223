"""A scheduler that serves: the driver, the doors and the listeners, wired together."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.domain.base.errors import Unreachable
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.retention import USUAL_LIMITS, Limits
from cluster.domain.scheduler.state import LEASE
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.enrolments import Maker
from cluster.domain.trust.identity import Role
from cluster.domain.trust.renewal import LATEST
from cluster.domain.trust.tokens import JoinToken, TokenRecord
from cluster.pki import issuer
from cluster.pki.authority import Authority, admin_of, issue_admin, refresh_credentials
from cluster.pki.peer_certificates import parse_peer
from cluster.rpc.addresses import doubt_about, from_elsewhere, from_here, join_up, split_listen
from cluster.rpc.credentials import ServingCredentials
from cluster.rpc.frames import SOCKET
from cluster.rpc.gate import Gate
from cluster.rpc.health import Health
from cluster.rpc.join_listener import JoinServer
from cluster.rpc.local import LocalServer
from cluster.rpc.passed_calls import PassedCalls
from cluster.rpc.server import listen, mutual_tls_server
from cluster.rpc.vouching import VouchedCalls
from cluster.scheduler.admission import Admission
from cluster.scheduler.clearing import Clearing
from cluster.scheduler.collecting import Collecting
from cluster.scheduler.dependencies import recover
from cluster.scheduler.doors.services import SERVICES, doors
from cluster.scheduler.doors.workers import join
from cluster.scheduler.driver import Driver, system_clock
from cluster.scheduler.expiring import Expiring
from cluster.scheduler.expulsion import Expelling
from cluster.scheduler.leading import ALONE, Leadership
from cluster.scheduler.notices.notifier import Notifier
from cluster.scheduler.notices.secret import notice_secret
from cluster.scheduler.notices.targets import NOWHERE, NoticeTargets
from cluster.scheduler.operations.all import operations
from cluster.scheduler.operations.keeping import KeepingOperations
from cluster.scheduler.output.files import OutputFiles
from cluster.scheduler.output.locating import Sources
from cluster.scheduler.output.relay import Relay
from cluster.scheduler.room import ContentsRoom, DatabaseRoom
from cluster.scheduler.sessions import SessionLines
from cluster.scheduler.who_shows import WhoShows
from cluster.store.contents.store import StoredContents
from cluster.store.interface import Store
from cluster.v1 import scheduler_pb2

_FOR_EVER = 100 * 365 * 86400.0  # seconds; of a token that is forgotten when this process ends
OUTPUTS = "outputs"  # in the directory
AGAIN = 1.0  # seconds, while nothing can be asked
LAST_WORDS = 1.0  # seconds that calls under way get to end by themselves when we stop


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where to listen and how others find us, each as host:port; port 0: any that is free."""

    listen: str
    join_listen: str
    advertise: str = ""  # host by which other machines reach us; empty: worked out


async def recovered(store: Store, lease: float = LEASE) -> SchedulerCore:
    """A core that knows all there is in the store; meanwhile others have their turns. StoreFailed when it cannot be
    read."""
    loaded = await asyncio.to_thread(recover, store)
    core = SchedulerCore(loaded.epoch, lease)
    for _ in core.restore(loaded, system_clock()):
        await asyncio.sleep(0)
    return core


class SchedulerService:
    """Make it inside the event loop, `start`, and `stop` in any case."""

    def __init__(
        self,
        authority: Authority,
        credentials: Credentials,
        store: Store,
        core: SchedulerCore,
        directory: Path,
        targets: NoticeTargets = NOWHERE,
        limits: Limits = USUAL_LIMITS,
        shared: Path | None = None,
        leading: Leadership = ALONE,
    ) -> None:
        """`core`: as `recovered` from the store. `directory` holds all but the store; what other schedulers need when
        they take over is in `shared` (None: there, too). `leading`: who says whether this one leads."""
        shared = shared or directory
        self.driver = Driver(core, store, leads=lambda: leading.holds)
        self.ended = asyncio.Event()  # set when it serves no more, told or not
        self.serving = ServingCredentials(credentials, self._renew_own)
        self.admission = Admission(store, self._members_changed)
        self._authority = authority
        self._directory, self._shared = directory, shared
        self._targets = targets
        self._store = store
        self._health = Health(SERVICES)
        self._gate = self._new_gate()
        self._leading = leading
        self._sessions = SessionLines(self.driver, self.admission.members.expelled_users, self.schedulers)
        self.expelling = Expelling(self.driver, self.admission, self._renew_admin)
        self.contents = StoredContents(shared, is_shared=shared != directory)
        relay, files = Relay(), OutputFiles(shared / OUTPUTS)
        sources = Sources(self.driver, files, relay, self._sessions)
        keeping = self._keeping(files, limits)
        offered = operations(
            *(self.driver, self.admission, self.expelling, self.new_token, sources, files, targets, self.contents),
            *(keeping, limits.user_files, leading),
        )
        handlers: dict[str, Any] = {}
        passed: dict[str, Any] = {}
        vouched_calls = VouchedCalls(authority.cluster_id, handlers)
        self._passed_calls = PassedCalls(passed)
        services = doors(offered, self._sessions, relay, authority, vouched_calls, self._passed_calls)
        self._server = mutual_tls_server(self._gate, [*services, self._health.add_to], handlers, passed)
        self._local_server = LocalServer(directory / SOCKET, handlers, lambda: admin_of(authority, directory))
        self._join_server = JoinServer(self._join, time.monotonic, directory)
        self._beside: list[asyncio.Task[None]] = []  # what goes on beside all calls
        self.address = self.join_address = ""  # by which this machine reaches us, once started
        self.outside_address = ""  # by which other machines most likely reach us, once started
        self.doubt = ""  # why others may not reach us by what lines to paste say
        self._told_address = self._told_join_address = ""  # by which others do

    def _new_gate(self) -> Gate:
        authority, members = self._authority, self.admission.members
        return Gate(
            parse=lambda pem: parse_peer(pem, authority.cluster_id),
            standing_of=members.standing_of,
            revoked=members.is_expelled,
            now=time.time,
            who_shows=WhoShows(authority, members, time.time),
        )

    def _keeping(self, files: OutputFiles, limits: Limits) -> KeepingOperations:
        self._clearing = Clearing(self.driver, files.room)
        self._expiring = Expiring(self.driver, self._clearing, files.room, limits, self.contents)
        holders = (DatabaseRoom(), files.room, ContentsRoom(self.contents))
        clearing, rooms = self._clearing, self._sessions.rooms
        return KeepingOperations(self.driver, self._expiring, clearing, holders, self._shared, self.contents, rooms)

    async def start(self, addresses: Addresses) -> None:
        """Binds both ports, then serves. Conflict when one is taken."""
        port = listen(self._server, addresses.listen, self.serving.mutual())
        join_port = self._join_server.listen(addresses.join_listen, self.serving.for_joining())
        host, join_host = split_listen(addresses.listen)[0], split_listen(addresses.join_listen)[0]
        self.address, self.join_address = join_up(from_here(host), port), join_up(from_here(join_host), join_port)
        # An empty host means: the one that the joiner has dialled, which surely reached us.
        told = addresses.advertise or from_elsewhere(join_host)
        self.doubt = "" if addresses.advertise else doubt_about(told, join_host)
        self._told_address = join_up(addresses.advertise, port)
        self._told_join_address = join_up(told, join_port)
        self.outside_address = join_up(addresses.advertise or from_elsewhere(host), port)
        self._running = asyncio.create_task(self._run())
        await self.admission.begin(self.driver)
        collecting = Collecting(self.driver, self.contents)
        works = (collecting.run(), *map(self._until_stopped, (self._clearing.run, self._expiring.run)))
        self._beside = [asyncio.create_task(work) for work in (self._tell_who_asked(), *works)]
        await self._heal_admin()
        await self._server.start()
        await self._join_server.start()
        await self._local_server.start()

    async def stop(self) -> None:
        """Ends, in this order: nothing new, the last commit, the calls under way, the store."""
        self.driver.stop()
        await self._health.shut_down()
        for task in self._beside:
            task.cancel()
        if self.address:
            await self._running
        self._passed_calls.stop()
        # Also of joining: a token's use has been spent for these.
        servers = (self._join_server, self._server, self._local_server)
        await asyncio.gather(*(server.stop(LAST_WORDS) for server in servers))
        self._gate.close()
        self.driver.close()
        await asyncio.to_thread(self.contents.close)
        await asyncio.to_thread(self._store.close)

    def new_token(
        self,
        role: Role,
        life: float,
        uses: int | None = None,
        user: str = "",
        maker: Maker = issuer.THE_SCHEDULER,
    ) -> tuple[JoinToken, TokenRecord]:
        """A join token for other machines; whoever asks for it stores the record."""
        now = self.driver.clock().wall
        return issuer.new_token(self._told_join_address, self._authority.pin, role, now, life, uses, user, maker)

    def new_local_token(self) -> JoinToken:
        """A token for workers on this machine: for any number of them, as long as this process lives."""
        now = self.driver.clock().wall
        token, record = issuer.new_token(self.join_address, self._authority.pin, Role.WORKER, now, _FOR_EVER)
        self.admission.members.add_ours(record)
        return token

    def _renew_own(self) -> Credentials:
        return refresh_credentials(self._authority, self._directory, time.time(), LATEST)

    def schedulers(self) -> list[str]:
        """The addresses of all of the cluster; none: there is one."""
        return [each.address for each in self._leading.schedulers()]

    def schedulers_changed(self) -> None:
        """Call this when there are others than before: workers are told."""
        self._sessions.schedulers_changed()

    def _members_changed(self) -> None:
        self._gate.recheck()
        self._sessions.tell_expelled()

    async def _renew_admin(self) -> None:
        """Replaces the admin's certificate on this machine, which is refused from now on, for whoever may read its
        files."""
        enrolment = await self.admission.enrol_admin()
        await asyncio.to_thread(issue_admin, self._authority, self._directory, self.driver.clock().wall, enrolment)

    async def _heal_admin(self) -> None:
        """A start before may have ended between expelling the first user and giving it a new certificate."""
        present = admin_of(self._authority, self._directory)
        if present is not None and self.admission.members.is_expelled(present):
            await self._renew_admin()

    async def _run(self) -> None:
        await self._health.tell(serving=True)
        await self.driver.run()
        self.ended.set()
        if self.driver.failure:
            await self._health.tell(serving=False)

    async def _tell_who_asked(self) -> None:
        """Sends the notices of jobs that have ended, for as long as this serves."""
        secret = await asyncio.to_thread(notice_secret, self._shared) if self._targets.urls else b""
        await self._until_stopped(Notifier(self.driver, self._targets, secret, self._authority.cluster_id).run)

    async def _join(self, request: scheduler_pb2.JoinRequest) -> scheduler_pb2.JoinResponse:
        joined = await join(self.admission, self._authority, self._told_address, request)
        joined.schedulers.extend(self.schedulers())
        return joined

    async def _until_stopped(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Goes on until nothing can be asked any more: the driver has said why. Where that may pass, it begins anew."""
        while True:
            with suppress(Unreachable):
                await work()
            if self.driver.has_ended:
                return
            await asyncio.sleep(AGAIN)
