"""`cluster pools` starts workers as jobs of Slurm's: of a real one, with three nodes, all on this machine."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.keeper_kills import LONGEST, MOST, kill_while_a_pool_grows_and_shrinks
from tests.acceptance.test_pools_kept import bounded
from tests.engines.slurm import Slurm, expect_slurm, serving
from tools.environments import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.extra_pools]

PAGE = (REPOSITORY / "docs" / "pools.md").read_text()
QUICK = "wait = 0\nidle = 0.5\nmissing_after = 1\nlost_after = 20\n"


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    expect_slurm()
    with serving() as there:
        yield there


@pytest.fixture
def daemons(command: Command, slurm: Slurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Daemons]:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))  # goes with a job to its node
    for name in ("PATH", "SLURM_CONF"):
        monkeypatch.setenv(name, slurm.environment[name])
    with Daemons(command) as running, bounded():
        running.start_scheduler()
        yield running
        running.stop("pools")
        slurm.cancel_all()
        while slurm.jobs():
            time.sleep(0.1)


def of_page(name: str) -> str:
    """A file that the page shows."""
    return PAGE.partition(f" {name} on head\n")[2].partition("\n```")[0]


def pools_file(cluster: Command, most: int, *options: str, program: str = sys.executable, back_off: float = 5) -> Path:
    """The one of the page, in which everything goes more quickly, and its program is ours."""
    text, place = of_page("slurm-pools.toml"), cluster.home / "nodes"
    place.mkdir(exist_ok=True)
    for key, value in {
        "max": str(most),
        "cpus": f"1\nback_off = {back_off}\n{QUICK}",
        "start_within": "60",
        "options": json.dumps(options),
        "program": json.dumps([program, "-m", "cluster"]),
        "directory": json.dumps(str(place)),
        "worker": '["--run-as=root", "--listen=127.0.0.1:0"]',
        "output": json.dumps(f"{place}/%x.log"),
        "time_limit": "5",
    }.items():
        text, changed = re.subn(f"^{key} = .*", f"{key} = {value}".replace("\\", r"\\"), text, flags=re.MULTILINE)
        assert changed == 1, key
    config = cluster.home / "pools.toml"
    config.write_text(text)
    return config


def test_a_worker_is_a_job_outlives_its_keeper_and_goes(daemons: Daemons, slurm: Slurm, tmp_path: Path) -> None:
    # S4.2
    cluster = daemons.command
    config = pools_file(cluster, 2)
    daemons.start_pools(config)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    cluster.ok("job", "submit", "--", "sh", "-c", f"echo began; read go < {gate}")
    with daemons.client() as client:
        assert next(client.logs("1", follow=True)).data == b"began\n"
        (job,) = slurm.jobs()
        (worker,) = client.workers()
        assert re.fullmatch(rf"{worker.name}\.[0-9a-f]{{16}}", job)
        daemons.kill("pools")
        daemons.start_pools(config)
        gate.write_text("go\n")
        assert cluster.ok("job", "wait", "1").text == "job 1 succeeded\n"
        removed = (event.worker for event in client.events(since=0, follow=True) if event.kind == "worker.removed")
        assert next(removed) == worker.name
    assert slurm.jobs() == []
    assert [each for each in (cluster.home / "nodes").iterdir() if each.is_dir()] == [], "its directory goes with it"
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if worker.name in command_line(pid)]


def test_what_slurm_refuses_is_told_in_one_line(daemons: Daemons, slurm: Slurm) -> None:
    cluster = daemons.command
    token = cluster.ok("token", "create", "-q", "--role", "pools", "--user", "keeper").text.strip()

    def said(*options: str, code: int = 1, join: tuple[str, ...] = (), **env: str) -> str:
        done = cluster("pools", "--config", str(pools_file(cluster, 1, *options)), *join, env=env)
        assert done.code == code, done
        assert len(done.err.splitlines()) == 1, done
        return done.err.partition("pool batch: ")[2].strip()

    assert (
        said("--partition=none", join=("--join", token))
        == "sbatch: allocation failure: Invalid partition name specified"
    )
    assert said("--constraint=none") == "sbatch: allocation failure: Invalid feature specification"
    assert said("--partition=closed") == "sbatch: allocation failure: Access/permission denied"
    assert "sbatch: Invalid --time specification" in said("--time=soon")
    assert said("--array=1-3", code=2).startswith("[pool.slurm]: options is '--array=1-3'; it must be left out")
    assert "there is no program sbatch here" in said(PATH="/nowhere", code=2)
    assert slurm.jobs("all") == slurm.jobs("COMPLETED,CANCELLED"), "nothing was made by any of these"


def trouble(daemons: Daemons, words: str) -> str:
    with daemons.client() as client:
        while True:
            (pool,) = client.pools()
            if words in pool.pool.trouble:
                return pool.pool.trouble
            time.sleep(0.1)


def test_what_will_not_work_there_is_told_and_taken_back(daemons: Daemons, slurm: Slurm) -> None:
    """A program that is not there, a time that the partition does not have."""
    cluster = daemons.command
    daemons.start_pools(pools_file(cluster, 1, program="/no/cluster", back_off=600))
    cluster.ok("job", "submit", "--", "true")
    assert re.fullmatch(r"batch-\w+-1: job \d+ of Slurm's has ended: FAILED, with code 127", trouble(daemons, "127"))
    while json.loads((cluster.home / "pools" / "machines.json").read_text()):
        time.sleep(0.1)
    daemons.stop("pools")
    daemons.start_pools(pools_file(cluster, 1, "--partition=short", "--time=60", back_off=600))
    assert trouble(daemons, "TimeLimit").endswith(" of Slurm's waits: PartitionTimeLimit")
    while slurm.jobs():
        time.sleep(0.1)
    daemons.stop("pools")


def test_a_slurm_that_takes_no_more_jobs_is_told(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its own limit of jobs, at which sbatch would try again for two minutes."""
    expect_slurm()
    with serving(most=2) as slurm, Daemons(command) as daemons, bounded():
        for name in ("PATH", "SLURM_CONF"):
            monkeypatch.setenv(name, slurm.environment[name])
        slurm.said("sbatch", "--job-name=other", fed="#!/bin/sh\nsleep 600\n")
        daemons.start_scheduler()
        daemons.start_pools(pools_file(command, 3))
        command.ok("job", "submit", "--", "true")
        assert "temporarily unable to accept job" in trouble(daemons, "accept")
        assert slurm.jobs() == ["other"]
        daemons.stop("pools")
        slurm.said("scancel", "--name=other")
        while slurm.jobs():
            time.sleep(0.1)


def test_thirty_kills_of_the_keeper_orphan_nothing_and_exceed_nothing(daemons: Daemons, slurm: Slurm) -> None:
    """From nothing to ten and back, twice; killed at random moments while jobs of Slurm's come, work and go."""
    before = len(slurm.lives())
    signal.alarm(LONGEST)
    kill_while_a_pool_grows_and_shrinks(daemons, pools_file(daemons.command, MOST), lambda: bool(slurm.jobs()))
    lives = slurm.lives()[before:]
    at_once = max(sum(began <= moment < ended for began, ended in lives) for moment, _ in lives)
    print(f"{len(lives)} jobs of Slurm's made, {at_once} at once at most")
    assert MOST // 2 < at_once <= MOST
    assert not [pid for pid in Path("/proc").glob("[0-9]*") if f"{daemons.command.home}/nodes" in command_line(pid)]


def test_in_an_allocation_each_node_is_a_worker(daemons: Daemons, slurm: Slurm, tmp_path: Path) -> None:
    """As docs/pools.md says it."""
    cluster = daemons.command
    token = cluster.ok("token", "create", "-q", "--role", "worker", "--uses", "3").text.strip()
    script = of_page("allocation.sh")
    script = script.replace("cluster worker", f"{sys.executable} -m cluster worker --run-as=root --listen=127.0.0.1:0")
    environment = f"--export=ALL,CLUSTER_WORKER_JOIN={token},TMPDIR={tmp_path}"
    job = slurm.said("sbatch", "--parsable", "--nodes=3", "--output=/dev/null", environment, fed=script).strip()
    with daemons.client() as client:
        joined = (event for event in client.events(since=0, follow=True) if event.kind == "worker.joined")
        assert sorted(next(joined).worker for _ in range(3)) == ["n1", "n2", "n3"]
        assert {dict(worker.offer.labels)["slurm-job"] for worker in client.workers()} == {job}
    assert cluster.ok("run", "--array", "1-3", "--", "echo", "done").text == "done\n" * 3


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text()
    except (OSError, ValueError):
        return ""
