"""The three promises, on real processes: nothing is lost and nothing runs twice, whoever is killed."""

import os
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.client import Client
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture
def daemons(command: Command) -> Iterator[Daemons]:
    with Daemons(command) as started:
        started.start_scheduler()
        yield started


def wait_until_succeeded(client: Client, selector: str, count: int) -> None:
    """Returns once so many tasks of the job have succeeded."""
    for jobs in client.watch(selector):
        if jobs[0].counts.succeeded >= count:
            return
    raise AssertionError(f"job {selector} ended before {count} tasks succeeded")


def test_a_killed_scheduler_loses_nothing_and_repeats_nothing(daemons: Daemons, tmp_path: Path) -> None:
    """Each of 2,000 tasks writes its number: after kill -9 in the middle, every number is there once."""
    daemons.start_worker("w1", "--cpus", "2")
    ran = tmp_path / "ran"
    with daemons.client() as client:
        job = client.submit(["sh", "-c", f'echo "$CLUSTER_TASK" >> {ran}'], array="1-2000")
        wait_until_succeeded(client, str(job.number), 100)
        daemons.kill("scheduler")
        daemons.start_scheduler()
        (ended,) = client.wait(str(job.number))
    assert (ended.state.word, ended.counts.succeeded) == ("succeeded", 2000)
    assert sorted(map(int, ran.read_text().split())) == list(range(1, 2001))


def test_jobs_outlive_a_killed_agent_and_report_to_the_next(daemons: Daemons, tmp_path: Path) -> None:
    """One job ends while there is no agent, another after the next agent came: both keep code and output."""
    daemons.start_worker("w1", "--cpus", "2")
    gates = [tmp_path / "gate1", tmp_path / "gate2"]
    for gate in gates:
        os.mkfifo(gate)
    with daemons.client() as client:
        jobs = [
            str(client.submit(["sh", "-c", f"echo before; read go < {gate}; echo after; exit {code}"]).number)
            for code, gate in enumerate(gates, start=3)
        ]
        for job in jobs:
            assert next(iter(client.logs(job, follow=True))).data == b"before\n"
        daemons.kill("w1")
        gates[0].write_text("go\n")  # a FIFO: returns when the job has opened its end
        daemons.start_worker("w1", "--cpus", "2")
        (first,) = client.wait(jobs[0])
        gates[1].write_text("go\n")
        (second,) = client.wait(jobs[1])
        assert [(j.state.word, j.reason, j.exit_code) for j in (first, second)] == [
            ("failed", "exit:3", 3),
            ("failed", "exit:4", 4),
        ]
        for job in jobs:
            assert b"".join(piece.data for piece in client.logs(job)) == b"before\nafter\n"
            _, tasks = client.get(job)
            assert [task.attempt for task in tasks] == [1]


def test_two_workers_compress_the_standard_library_as_a_loop_does(daemons: Daemons, tmp_path: Path) -> None:
    """The README's example for all of the library: one task a file, and the results in the files' order. Only that the
    README compresses as well as it can, which takes xz much longer."""
    daemons.start_worker("w1", "--cpus", "1")
    daemons.start_worker("w2", "--cpus", "1")
    library = Path(sysconfig.get_paths()["stdlib"])
    files = sorted(str(f) for f in library.rglob("*.py") if not {"test", "tests", "site-packages"} & set(f.parts))
    listed = tmp_path / "files.txt"
    listed.write_text("\n".join(files) + "\n")
    compress = ["bash", "-o", "pipefail", "-c", 'xz -0 -k -c "$1" | sha256sum']
    with_cluster = daemons.command.ok(
        "run", "--quiet", "--each-line", str(listed), "--", *compress, "bash", "{}", patience=2 * PATIENCE
    )
    loop = f'set -o pipefail; while read -r f; do xz -0 -k -c "$f" | sha256sum || break; done < {listed}'
    plain = subprocess.run(["bash", "-c", loop], capture_output=True, check=True)
    assert plain.stdout.count(b"\n") == len(files)
    assert with_cluster.out == plain.stdout
    with daemons.client() as client:
        _, tasks = client.get("last", max_tasks=len(files))
        assert {task.worker_name for task in tasks} == {"w1", "w2"}
