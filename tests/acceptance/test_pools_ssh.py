"""`cluster pools` starts workers by ssh: a real sshd of the test's own, under several names, with its own keys."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from tests.acceptance import keeper_kills
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons, free_port
from tests.acceptance.test_pools_kept import bounded
from tools.environments import REPOSITORY

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not SSHD or not shutil.which("ssh"), reason="needs sshd and ssh (apt-get install openssh-server)"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="sshd lets others in as root alone"),
]

SSHD_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {place}/host_key
AuthorizedKeysFile {place}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
AllowUsers root
PermitRootLogin prohibit-password
SetEnv HOME={home} PYTHONPATH={repository}
"""
SSH_CONFIG = """
Host one two host*
  HostName 127.0.0.1
  Port {port}
  User root
  IdentityFile {place}/user_key
  IdentitiesOnly yes
  HostKeyAlias known
  UserKnownHostsFile {place}/known_hosts
  GlobalKnownHostsFile /dev/null
Host stranger
  HostName 127.0.0.1
  Port {port}
  User root
  IdentityFile {place}/user_key
  IdentitiesOnly yes
  UserKnownHostsFile /dev/null
  GlobalKnownHostsFile /dev/null
"""
POOLS = """
[[pool]]
name = "hosts"
provider = "ssh"
max = {most}
cpus = 1
wait = 0
idle = 0.5
missing_after = 1
lost_after = 20
start_within = 60
[pool.ssh]
hosts = {hosts}
config = "{place}/ssh_config"
directory = "{place}/{directory}"
program = {program}
worker = ["--run-as=root", "--listen=127.0.0.1:0"]
"""


@dataclass
class Hosts:
    """One sshd that is known as the hosts one and two, and as a stranger whose key nobody knows."""

    place: Path

    def config(self, *hosts: str, directory: str = "hosts", program: str = sys.executable) -> Path:
        words = json.dumps([program, "-m", "cluster"])
        path = self.place / "pools.toml"
        values = {"place": self.place, "program": words, "directory": directory, "most": max(2, len(hosts))}
        path.write_text(POOLS.format(hosts=json.dumps(hosts), **values))
        return path

    def machines(self) -> list[str]:
        return [path.read_text().strip() for path in self.place.glob("hosts/*/name")]


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    place, port = tmp_path / "ssh", free_port()
    place.mkdir(mode=0o700)
    for key in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / key], check=True)
    values = {"port": port, "place": place, "home": tmp_path, "repository": REPOSITORY}
    (place / "sshd_config").write_text(SSHD_CONFIG.format(**values))
    (place / "ssh_config").write_text(SSH_CONFIG.format(**values))
    (place / "known_hosts").write_text(f"known {(place / 'host_key.pub').read_text()}")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    assert SSHD
    with open(place / "sshd.log", "wb") as log:
        sshd = subprocess.Popen([SSHD, "-D", "-e", "-f", place / "sshd_config"], stderr=log)
    try:
        yield Hosts(place)
    finally:
        sshd.kill()
        sshd.wait()


@pytest.fixture
def daemons(command: Command, hosts: Hosts) -> Iterator[Daemons]:
    with Daemons(command) as running, bounded():
        running.start_scheduler()
        yield running


def test_a_worker_comes_by_ssh_outlives_its_keeper_and_goes(daemons: Daemons, hosts: Hosts, tmp_path: Path) -> None:
    cluster = daemons.command
    daemons.start_pools(hosts.config("one"))
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    cluster.ok("job", "submit", "--", "sh", "-c", f"echo began; read go < {gate}")
    with daemons.client() as client:
        assert next(client.logs("1", follow=True)).data == b"began\n"
        (name,) = hosts.machines()
        (worker,) = client.workers()
        assert worker.name == name
        daemons.kill("pools")
        daemons.start_pools(hosts.config("one"))
        gate.write_text("go\n")
        assert cluster.ok("job", "wait", "1").text == "job 1 succeeded\n"
        removed = (event.worker for event in client.events(since=0, follow=True) if event.kind == "worker.removed")
        assert next(removed) == name
    assert hosts.machines() == []
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if name in _command_line(pid)]


def test_who_cannot_be_used_is_told(daemons: Daemons, hosts: Hosts) -> None:
    token = daemons.command.ok("token", "create", "-q", "--role", "pools", "--user", "keeper").text.strip()

    def said(config: Path, *more: str) -> str:
        done = daemons.command("pools", "--config", str(config), *more)
        assert done.code == 1, done
        assert len(done.err.splitlines()) == 1, done
        return done.err

    assert "no host can be used: host stranger: Host key verification failed." in said(
        hosts.config("stranger"), "--join", token
    )
    (hosts.place / "user_key").rename(hosts.place / "elsewhere")
    assert "host one: root@127.0.0.1: Permission denied (publickey" in said(hosts.config("one"))


@pytest.mark.extra_pools
def test_a_keeper_that_is_killed_orphans_no_host(daemons: Daemons, hosts: Hosts) -> None:
    """At random moments, while a worker comes and while it goes."""
    chance = Random(5)
    config = hosts.config("one")
    signal.alarm(900)
    with daemons.client() as client:
        for wave in range(1, 6):
            daemons.command.ok("job", "submit", "--array", "1-3", "--", "sleep", "1")
            for _ in range(4):
                daemons.start_pools(config)
                time.sleep(chance.uniform(0.0, 2.0))
                daemons.kill("pools")
            daemons.start_pools(config)
            daemons.command.ok("job", "wait", str(wave))
            daemons.kill("pools")
            daemons.start_pools(config)
            while hosts.machines() or client.workers():
                time.sleep(0.2)
            daemons.kill("pools")
        assert not [pid for pid in Path("/proc").glob("[0-9]*") if str(hosts.place / "hosts") in _command_line(pid)]


@pytest.mark.extra_pools
def test_thirty_kills_of_the_keeper_orphan_nothing_and_exceed_nothing(daemons: Daemons, hosts: Hosts) -> None:
    """From nothing to ten hosts and back, twice; killed at random moments while workers come, work and go."""
    signal.alarm(keeper_kills.LONGEST)
    names, most = [f"host{number}" for number in range(keeper_kills.MOST)], list[int]()

    def any_there() -> bool:
        return bool(hosts.machines())

    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            most.append(len(hosts.machines()))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    keeper_kills.kill_while_a_pool_grows_and_shrinks(daemons, hosts.config(*names), any_there)
    over.set()
    watching.join()
    assert max(most) <= keeper_kills.MOST
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if str(hosts.place / "hosts") in _command_line(pid)]
    print(f"{max(most)} hosts at once at most")


def _command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except (OSError, ValueError):
        return ""
