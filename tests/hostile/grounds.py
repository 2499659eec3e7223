"""A scheduler and a worker to be attacked, another scheduler that nobody attacks, and what is measured of them."""

import asyncio
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import scheduler_server_name
from cluster.domain.trust.tokens import parse_join_token
from cluster.pki.files import load_credentials
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain
from cluster.rpc.channel import dial, secure_channel
from cluster.rpc.join_client import join_by_token
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.hostile.attacks import HUGE, JOIN, Attack, goes_on, is_stream
from tests.patience import PATIENCE
from tools.environments import REPOSITORY

NOISE = 3.0  # times the yardsticks: what is to be expected of a machine with other things to do
ATTACK = 20.0  # seconds after which an attack has been survived, whatever it still waits for
GOING_ON = 2.0  # the same for one that waits for something, such as the end of a job
WAITING = 0.3  # seconds between the last message of a stream and its end


@dataclass(frozen=True)
class Found:
    """What an attack did to others."""

    stall: float  # seconds: the longest answer of who was attacked, less what the machine itself makes of it
    wait: float  # seconds: that longest answer as it was
    grown: int  # bytes of memory at most, more than before
    answer: str  # of the attack itself


class Pings:
    """Collects what `tests.hostile.pinging` says."""

    def __init__(self, *targets: tuple[str, str, str, str]) -> None:
        words = [word for target in targets for word in target]
        line = [sys.executable, "-m", "tests.hostile.pinging", *words]
        self._process = subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        self._said: dict[str, list[tuple[float, float]]] = {target[0]: [] for target in targets}
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.startswith("#"):
                name, began, took = line.split()
                self._said[name].append((float(began), float(took)))

    async def settled(self, since: float) -> None:
        """Returns when each target has answered a question from after that moment."""
        while not all(said and said[-1][0] > since for said in self._said.values()):  # noqa: ASYNC110 (a thread writes)
            await asyncio.sleep(0.005)

    def worst(self, name: str, since: float) -> float:
        """Of the answers that came after that moment, seconds."""
        return max(took for began, took in self._said[name] if began + took > since)

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


class Grounds:
    def __init__(
        self, attacked: Daemons, pings: Pings, people: dict[str, Credentials], worker: tuple[str, str]
    ) -> None:
        self.attacked = attacked
        self.pings = pings
        self.people = people
        self._scheduler = f"127.0.0.1:{attacked.port}", scheduler_server_name(people["admin"].identity.cluster_id)
        self._worker = worker
        self._channels: dict[tuple[str, str], grpc.aio.Channel] = {}

    async def attack(self, attack: Attack, role: str) -> Found:
        """Makes it, and tells what became of others meanwhile."""
        victim = "worker" if ".Worker/" in attack.method else "scheduler"
        pid = self.attacked.pid("w1" if victim == "worker" else "scheduler")
        messages = attack.make()
        before = _memory(pid, "VmRSS")
        _reset_peak(pid)
        since = time.monotonic()
        answer = await self._make(attack, messages, victim, role)
        await self.pings.settled(time.monotonic())
        noise = max(self.pings.worst("control", since), _yardstick())
        wait = self.pings.worst(victim, since)
        return Found(wait - NOISE * noise, wait, _memory(pid, "VmHWM") - before, answer)

    async def _make(self, attack: Attack, messages: Iterable[bytes], victim: str, role: str) -> str:
        key = ("joining" if attack.method == JOIN else victim), role
        if key not in self._channels:
            self._channels[key] = self._dial(*key)
        method: Any = self._channels[key].stream_stream(attack.method)
        call = method(_stay(attack, messages))
        try:
            async with asyncio.timeout(GOING_ON if goes_on(attack.method) else ATTACK):
                return await _outcome(call)
        except TimeoutError:
            return "goes on"
        finally:
            call.cancel()

    def _dial(self, whom: str, role: str) -> grpc.aio.Channel:
        if whom == "joining":  # as anybody may, who has no certificate
            roots = grpc.ssl_channel_credentials(self.people["admin"].ca_pem)
            return secure_channel(_join_address(self.attacked), roots, self._scheduler[1])
        where = self._worker if whom == "worker" else self._scheduler
        return dial(where[0], self.people[role], where[1])

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()


async def _stay(attack: Attack, messages: Iterable[bytes]) -> AsyncIterator[bytes]:
    """The messages; a stream then goes on for a while."""
    for message in messages:
        yield message
    if is_stream(attack.method):
        await asyncio.sleep(WAITING)


async def _outcome(call: Any) -> str:
    """How the call ended."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
        return str((await call.code()).name)
    except grpc.aio.AioRpcError as error:
        kind = dict(error.trailing_metadata() or ()).get("cluster-error", error.code().name)
        return f"{kind}: {error.details()}"


def _yardstick() -> float:
    """Seconds that it takes here and now to copy the largest message, which gRPC does for each: ten milliseconds where
    nothing else runs, ten times as many where much does."""
    began = time.monotonic()
    bytes(bytearray(HUGE))
    return time.monotonic() - began


def _reset_peak(pid: int) -> None:
    """The process's peak of memory counts from now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _memory(pid: int, name: str) -> int:
    """Bytes."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@asynccontextmanager
async def grounds(directory: Path) -> AsyncIterator[Grounds]:
    with ExitStack() as stack:
        attacked, control = (stack.enter_context(_scheduler(directory / name)) for name in ("attacked", "control"))
        attacked.start_worker("w1", "--runner", "null")
        people = {"admin": _admin(attacked)}
        for role in ("user", "viewer", "worker"):
            people[role] = await join(attacked, role)
        worker = _own_api(attacked)
        admin = attacked.command.home / "scheduler" / "admin.pem"
        pings = Pings(
            ("scheduler", f"127.0.0.1:{attacked.port}", _name(people["admin"]), str(admin)),
            ("worker", *worker, str(admin)),
            (
                *("control", f"127.0.0.1:{control.port}", _name(_admin(control))),
                str(control.command.home / "scheduler" / "admin.pem"),
            ),
        )
        stack.callback(pings.close)
        ground = Grounds(attacked, pings, people, worker)
        async with asyncio.timeout(PATIENCE):
            await pings.settled(0.0)
        try:
            yield ground
        finally:
            await ground.close()


@contextmanager
def _scheduler(home: Path) -> Iterator[Daemons]:
    home.mkdir()
    with Daemons(Command(home)) as daemons:
        daemons.start_scheduler()
        yield daemons


def _admin(daemons: Daemons) -> Credentials:
    return load_credentials(daemons.command.home / "scheduler" / "admin.pem")


def _name(credentials: Credentials) -> str:
    return scheduler_server_name(credentials.identity.cluster_id)


async def join(daemons: Daemons, role: str) -> Credentials:
    with daemons.client() as client:
        _, text = client.create_token(role, life=600.0, user="" if role == "worker" else role)
    token, request = parse_join_token(text), KeyRequest()
    joined = await join_by_token(
        replace(token, address=_join_address(daemons)), request.request, "evil", check_pinned_chain
    )
    return request.complete(joined.certificate_pem, joined.ca_pem, joined.identity)


def _join_address(daemons: Daemons) -> str:
    status = json.loads((daemons.command.home / "scheduler" / "scheduler.json").read_text())
    return str(status["join_address"])


def _own_api(daemons: Daemons) -> tuple[str, str]:
    """Address and server name of the worker's own API."""
    with daemons.client() as client:
        (worker,) = client.workers()
    return worker.address, f"{worker.id}.worker.{_admin(daemons).identity.cluster_id}.cluster.internal"
