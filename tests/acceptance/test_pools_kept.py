"""`cluster pools` with commands of the operator's own: real workers come and go by demand."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from cluster.domain.scheduler.pool_board import PoolWish
from tests.acceptance import keeper_kills
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons, end_launcher
from tests.patience import PATIENCE
from tools.environments import REPOSITORY

pytestmark = pytest.mark.slow

LONGEST = int(PATIENCE)  # seconds that a test waits for all that it waits for

# Starts, lists and stops workers of this machine, each in a directory of its own below `machines`. A start notes how
# many there are then.
MACHINES = """
import fcntl, getpass, os, shlex, signal, subprocess, sys
from pathlib import Path
sys.path.insert(0, {repository!r})
root = Path({home!r}) / "machines"
name = os.environ.get("CLUSTER_MACHINE", "")
place = root / name
if sys.argv[1] == "start":
    os.umask(0o077)
    with open(root.parent / "started", "a") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        place.mkdir(parents=True)
        (place / "there").touch()
        log.write(f"{{name}} {{len(list(root.glob('*/there')))}}\\n")
        log.flush()
    ours = ["--directory", str(place), "--listen", "127.0.0.1:0", "--run-as", getpass.getuser()]
    line = [sys.executable, "-m", "cluster", *shlex.split(os.environ["CLUSTER_MACHINE_WORKER"]), *ours]
    with open(place / "log", "w") as log:
        worker = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    (place / "pid").write_text(str(worker.pid))
elif sys.argv[1] == "list":
    print(*(each.parent.name for each in root.glob("*/there")), sep="\\n")
elif (place / "there").exists():
    from tests.acceptance.daemons import end_launcher
    os.kill(int((place / "pid").read_text()), signal.SIGKILL)
    end_launcher(place / "launcher")
    (place / "there").rename(place / "was")
"""
POOLS = """
[[pool]]
name = "local"
provider = "command"
max = {most}
cpus = 1
wait = 0
idle = 0.5
missing_after = 1
lost_after = 20
[pool.command]
start = {start}
list = {list}
stop = {stop}
"""


@pytest.fixture
def daemons(command: Command) -> Iterator[Daemons]:
    with Daemons(command) as running, bounded():
        running.start_scheduler()
        try:
            yield running
        finally:
            running.stop("pools")
            for there in (command.home / "machines").glob("*/there"):
                os.kill(int((there.parent / "pid").read_text()), signal.SIGKILL)
                end_launcher(there.parent / "launcher")


@contextmanager
def bounded() -> Iterator[None]:
    """Whatever the body waits for, it ends."""

    def late(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"nothing came of it within {LONGEST} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LONGEST)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def pools_file(cluster: Command, most: int) -> Path:
    """Of a pool of this machine's own workers."""
    program = cluster.home / "machines.py"
    program.write_text(MACHINES.format(repository=str(REPOSITORY), home=str(cluster.home)))
    words = {verb: json.dumps([sys.executable, str(program), verb]) for verb in ("start", "list", "stop")}
    config = cluster.home / "pools.toml"
    config.write_text(POOLS.format(most=most, **words))
    return config


def started(cluster: Command) -> list[str]:
    """The names of all machines that were made."""
    return [line.split()[0] for line in (cluster.home / "started").read_text().splitlines()]


def test_a_pool_grows_to_its_bound_survives_its_keeper_and_shrinks_to_nothing(daemons: Daemons, tmp_path: Path) -> None:
    # S4.2
    cluster = daemons.command
    config = pools_file(cluster, 3)
    daemons.start_pools(config)
    for task in range(1, 4):
        os.mkfifo(tmp_path / f"gate{task}")
    gate = f"{tmp_path}/gate$CLUSTER_TASK"
    cluster.ok("job", "submit", "--array", "1-6", "--", "sh", "-c", f"echo began; test ! -p {gate} || read go < {gate}")
    with daemons.client() as client:
        for task in range(1, 4):  # all three machines are there, and busy
            assert next(client.logs(f"1.{task}", follow=True)).data == b"began\n"
        daemons.kill("pools")
        daemons.start_pools(config)
        cluster.ok("pool", "scale", "local", "3")
        daemons.kill("scheduler")
        daemons.start_scheduler()
        daemons.kill("pools")
        daemons.start_pools(config)
        while not (pools := client.pools()):  # it has not told yet which it keeps
            time.sleep(0.05)
        (pool,) = pools
        assert (pool.pool.name, pool.pool.maximum) == ("local", 3)
        assert pool.wish == PoolWish("local", 3), "it outlives a scheduler, and its keeper"
        cluster.ok("pool", "scale", "local", "auto")
        for task in range(1, 4):
            (tmp_path / f"gate{task}").write_text("go\n")  # returns when the task has opened it
        assert cluster.ok("job", "wait", "1").text == "job 1 succeeded\n"
        gone = (event for event in client.events(since=0, follow=True) if event.kind == "worker.removed")
        assert {next(gone).worker for _ in range(3)} == set(started(cluster))
    names = started(cluster)
    assert len(names) == len(set(names)) == 3  # none above the bound, none for one that was there
    assert len(list((cluster.home / "machines").glob("*/was"))) == 3
    assert not list((cluster.home / "machines").glob("*/there"))
    daemons.stop("pools")
    assert json.loads((cluster.home / "pools" / "machines.json").read_text()) == {}


@pytest.mark.extra_pools
def test_thirty_kills_of_the_keeper_orphan_nothing_and_exceed_nothing(daemons: Daemons) -> None:
    """From nothing to ten and back, twice; killed at random moments while machines come, work and go."""
    cluster = daemons.command
    places = cluster.home / "machines"
    signal.alarm(keeper_kills.LONGEST)
    config = pools_file(cluster, keeper_kills.MOST)
    keeper_kills.kill_while_a_pool_grows_and_shrinks(daemons, config, lambda: any(places.glob("*/there")))
    made = [line.split() for line in (cluster.home / "started").read_text().splitlines()]
    assert max(int(there) for _, there in made) <= keeper_kills.MOST
    assert len({name for name, _ in made}) == len(made) == len(list(places.glob("*/was")))  # each was stopped
    print(f"{len(made)} machines made, {max(int(there) for _, there in made)} at once at most")
