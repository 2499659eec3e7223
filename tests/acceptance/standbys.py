"""Two schedulers that stand by for each other, two workers and a Redis, as processes; somebody who submits without end;
and what Redis itself tells of who wrote there."""

import os
import random
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cluster.client import Client
from cluster.client.job_fields import new_job_id
from cluster.domain.base.errors import ClusterError
from cluster.domain.job.states import TaskState
from cluster.store.redis import scripts
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons, free_port
from tests.patience import PATIENCE
from tests.redis_servers import RedisServer, redis_server, tls_redis_server

LEASE = 2.0  # seconds, the least
AHEAD = 100  # jobs that may be acknowledged and have not run yet


class Site:
    """One scheduler's place, and the process there."""

    def __init__(self, command: Command, name: str, options: tuple[str, ...]) -> None:
        self.directory = command.home / name
        self.address = f"127.0.0.1:{free_port()}"
        listen = "--listen", self.address, "--join-listen", f"127.0.0.1:{free_port()}"
        self._line = command.line("scheduler", "--directory", str(self.directory), *listen, *options)
        self._env = command.environment({})
        self._log = command.home / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.stands_by, self.leads = threading.Event(), threading.Event()
        self.led_at = 0.0  # monotonic seconds

    def start(self) -> None:
        self.stands_by, self.leads = threading.Event(), threading.Event()
        reader, writer = os.pipe()
        self._process = subprocess.Popen(
            [*self._line, "--ready-fd", str(writer)],
            env=self._env,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[writer],
        )
        os.close(writer)
        threading.Thread(target=self._read_log, args=(self._process, self.stands_by), daemon=True).start()
        threading.Thread(target=self._hear, args=(reader, self.leads), daemon=True).start()

    def send(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    def end_of(self) -> int:
        """Waits for it to end by itself; its exit code."""
        assert self._process
        return self._process.wait(PATIENCE)

    def has_ended(self) -> bool:
        assert self._process
        return self._process.poll() is not None

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self.send(signal.SIGCONT)
            self.send(signal.SIGTERM)
            self.end_of()

    def log(self) -> str:
        return self._log.read_text()

    def _read_log(self, process: "subprocess.Popen[bytes]", stands_by: threading.Event) -> None:
        assert process.stderr
        with process.stderr, self._log.open("ab", buffering=0) as log:
            for line in process.stderr:
                log.write(line)
                if b"standing by:" in line:
                    stands_by.set()

    def _hear(self, reader: int, leads: threading.Event) -> None:
        with os.fdopen(reader, "rb") as pipe:
            if pipe.read(1):
                self.led_at = time.monotonic()
                leads.set()


class Load:
    """Submits jobs one after another, each until it is acknowledged, with one key; each writes that key to a file."""

    def __init__(self, addresses: str, credentials: Path, ran: Path) -> None:
        self._where, self._credentials, self._ran = addresses, credentials, ran
        self.acknowledged: dict[str, int] = {}  # numbers by keys
        self.refusals: Counter[str] = Counter()
        self._news, self._stop = threading.Condition(), threading.Event()
        self._threads = [threading.Thread(target=self._submit) for _ in range(2)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Returns when what was begun is acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def more(self, count: int) -> float:
        """Returns when so many more are acknowledged than now; the time of that, in monotonic seconds."""
        with self._news:
            wanted = len(self.acknowledged) + count
            assert self._news.wait_for(lambda: len(self.acknowledged) >= wanted, PATIENCE), self.refusals
            return time.monotonic()

    def ran(self) -> Counter[str]:
        """How often each key was written."""
        return Counter(self._ran.read_text().split())

    def _submit(self) -> None:
        with Client.connect(self._where, credentials=self._credentials) as client:
            while not self._stop.is_set():
                key = new_job_id()
                number = self._until_acknowledged(client, key)
                with self._news:
                    self.acknowledged[key] = number
                    self._news.notify_all()
                while len(self.acknowledged) - self._lines() > AHEAD and not self._stop.wait(0.02):
                    pass

    def _until_acknowledged(self, client: Client, key: str) -> int:
        while True:
            try:
                return client.submit(["sh", "-c", f'echo "$0" >> {self._ran}', key], id=key).number
            except ClusterError as error:
                self.refusals[type(error).__name__] += 1

    def _lines(self) -> int:
        with suppress(FileNotFoundError):
            return self._ran.stat().st_size // len(f"{new_job_id()}\n")
        return 0


class Witness:
    """Counts what Redis says that it does (MONITOR): commits, and those of an epoch that was not the last."""

    def __init__(self, server: RedisServer) -> None:
        self.commits = self.refused = self.stale = 0
        with server.client() as client:
            self._epoch = int(client.hget(scripts.FENCE, "epoch") or 0)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(server.socket))
        self._socket.sendall(b"MONITOR\r\n")
        self._asked = 0  # the epoch of the commit that was begun last
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> "Witness":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._socket.close()

    def _read(self) -> None:
        commit = scripts.COMMIT.encode().replace(b"\n", b"\\n") + b'" "'
        began = b'lua] "HINCRBY" "%b" "epoch" "1"' % scripts.FENCE.encode()
        done = b'lua] "HSET" "%b" "commit" "' % scripts.FENCE.encode()
        for line in self._socket.makefile("rb"):
            if began in line:
                self._epoch += 1
            elif done in line:
                self.commits += 1
                self.stale += self._asked != self._epoch
            elif commit in line:
                count, _, rest = line.partition(commit)[2].partition(b'" "')
                self._asked = int(rest.split(b'" "', int(count) + 1)[int(count)].strip(b'"\r\n'))
                self.refused += self._asked < self._epoch


class StandbyHouse:
    def __init__(self, command: Command, server: RedisServer, url: str, seed: int) -> None:
        self.command, self.server = command, server
        self.dice = random.Random(seed)
        (shared := command.home / "shared").mkdir(mode=0o700)
        options = "--standby", "--shared", str(shared), "--store", url, "--takeover-after", f"{LEASE:g}"
        self.sites = [Site(command, name, options) for name in ("one", "other")]
        self.takeovers: list[float] = []  # seconds from when the leader was ended until the other served
        self.answers: list[float] = []  # the same until it acknowledged a job

    @property
    def addresses(self) -> str:
        return ",".join(site.address for site in self.sites)

    def leader(self) -> Site:
        return next(site for site in self.sites if site.leads.is_set() and not site.has_ended())

    def follower(self) -> Site:
        """The other one, which stands by by now."""
        leader = self.leader()
        other = next(site for site in self.sites if site is not leader)
        assert other.stands_by.wait(PATIENCE), other.log()
        return other

    def strike(self, load: Load, number: signal.Signals) -> Site:
        """Ends or stops the leader at some moment, under load; returns it when the other has taken over."""
        old, new = self.leader(), self.follower()
        load.more(self.dice.randrange(1, 40))
        at = time.monotonic()
        old.send(number)
        assert new.leads.wait(PATIENCE), new.log()
        self.takeovers.append(new.led_at - at)
        self.answers.append(load.more(1) - at)
        return old

    def expect_all_once(self, load: Load) -> None:
        """Ends the load. Whatever was acknowledged is there, has run once and succeeded; and nothing else."""
        load.stop()
        with Client.connect(self.addresses, credentials=self.leader().directory / "admin.pem") as client:
            for number in load.acknowledged.values():
                client.wait(number)
            jobs = client.list()
        assert {job.id: job.number for job in jobs} == load.acknowledged
        assert {job.number: job.reason for job in jobs if job.state is not TaskState.SUCCEEDED} == {}
        assert load.ran() == dict.fromkeys(load.acknowledged, 1)


@contextmanager
def standby_house(command: Command, seed: int, *, tls: bool = False) -> Iterator[tuple[StandbyHouse, Load]]:
    """All of it, under load. `tls`: the schedulers speak TLS to Redis, as a user of its ACL."""
    with ExitStack() as stack:
        if tls:
            server, url = stack.enter_context(tls_redis_server(command.home, command.home))
        else:
            server = stack.enter_context(redis_server(command.home))
            url = server.url
        house = StandbyHouse(command, server, url, seed)
        daemons = stack.enter_context(Daemons(command))
        for site in house.sites:
            stack.callback(site.stop)
        house.sites[0].start()
        assert house.sites[0].leads.wait(PATIENCE), house.sites[0].log()
        house.sites[1].start()
        house.follower()
        admin = house.sites[0].directory / "admin.pem"
        asked = "--scheduler", house.addresses, "--credentials", str(admin)
        for name in ("w1", "w2"):
            token = command.ok("token", "create", "-q", *asked).text.strip()
            daemons.start_worker(name, "--join", token, "--cpus", "1")
        load = stack.enter_context(Load(house.addresses, admin, command.home / "ran"))
        yield house, load
