"""Machines are drained for maintenance, or leave by themselves: what runs on them goes on. Real processes."""

import getpass
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture
def daemons(command: Command) -> Iterator[Daemons]:
    with Daemons(command) as started:
        started.start_scheduler()
        yield started


def test_a_machine_is_maintained_and_its_long_job_ends_well(daemons: Daemons, tmp_path: Path) -> None:
    """Drained, its scheduler killed, its agent started anew: one attempt, and nothing new until it is resumed."""
    cluster = daemons.command
    daemons.start_worker("w1", "--cpus", "1")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    cluster.ok("job", "submit", "--", "sh", "-c", f"echo began; read go < {gate}")
    with daemons.client() as client:
        assert next(iter(client.logs("1", follow=True))).data == b"began\n"
    said = cluster.ok("worker", "drain", "w1", "--reason", "new kernel").text
    assert said == "worker w1 takes nothing more; tasks that it holds: 1\n"
    late = cluster.ok("job", "submit", "--", "true")
    assert "all that fit are draining: w1 (new kernel)" in late.err
    daemons.kill("scheduler")
    daemons.start_scheduler()
    daemons.stop("w1")
    daemons.start_worker("w1", "--cpus", "1")
    (worker,) = cluster.ok("worker", "list", "--json").json
    assert (worker["state"], worker["running"], worker["drain"]["by"]) == ("draining", 1, "admin")
    assert worker["drain"]["reason"] == "new kernel"
    gate.write_text("go\n")  # a FIFO: returns when the job has opened its end
    assert cluster.ok("job", "wait", "1").text == "job 1 succeeded\n"
    assert cluster.ok("job", "show", "1", "--json").json["task_details"][0]["attempt"] == 1
    listed = cluster.ok("worker", "list")
    assert listed.text.splitlines()[1].split("\t")[:2] == ["w1", "drained"]
    assert "worker w1 takes nothing until it is resumed: new kernel, drained by admin, " in listed.err
    shown = cluster.ok("worker", "show", "w1").text
    assert "state         drained\ntakes nothing until it is resumed: new kernel, drained by admin, " in shown
    assert cluster.ok("job", "show", "2", "--json").json["state"] == "ready"
    assert cluster.ok("worker", "resume", "w1").text == "worker w1 takes work\n"
    assert cluster.ok("job", "wait", "2").text == "job 2 succeeded\n"
    assert cluster.ok("worker", "show", "w1", "--json").json["drain"] is None


def test_who_names_a_worker_that_is_not_there_drains_none(daemons: Daemons) -> None:
    cluster = daemons.command
    daemons.start_worker("w1", "--cpus", "1")
    for verb in ("drain", "resume"):
        done = cluster("worker", verb, "w1", "w9")
        assert (done.code, done.out) == (1, b"")
        assert done.err == "cluster: there is no worker 'w9'; `cluster worker list` shows those there are\n"
        assert cluster("worker", verb).code == 2
    assert cluster("worker", "show", "w9").code == 1
    (worker,) = cluster.ok("worker", "list", "--json").json
    assert (worker["state"], worker["drain"]) == ("online", None)
    long = cluster("worker", "drain", "w1", "--reason", "x" * 501)
    assert (long.code, "longer than 500 characters" in long.err) == (2, True)
    assert cluster.ok("worker", "drain", "w1", worker["id"]).text == "worker w1 takes nothing more; it holds nothing\n"
    assert cluster.ok("worker", "show", worker["id"], "--json").json["state"] == "drained"
    daemons.stop("w1")
    assert (
        cluster.ok("worker", "drain", "w1").text
        == "worker w1 takes nothing more; it is offline, and it holds nothing\n"
    )
    assert cluster.ok("worker", "resume", "w1").text == "worker w1 is offline; when it is back it is not drained\n"


def test_what_runs_at_the_deadline_is_stopped_and_runs_elsewhere(daemons: Daemons) -> None:
    cluster = daemons.command
    daemons.start_worker("w1", "--cpus", "2")
    lines = "echo $CLUSTER_ATTEMPT; case $CLUSTER_ATTEMPT in *#1) exec sleep 1000; esac"
    for options in (["--retries", "1"], []):
        cluster.ok("job", "submit", *options, "--", "sh", "-c", lines)
    with daemons.client() as client:
        for job in ("1", "2"):
            assert next(iter(client.logs(job, follow=True))).data == f"{job}#1\n".encode()
    nothing = cluster("worker", "drain", "w1", "--deadline", "0")
    assert (nothing.code, nothing.out) == (2, b"")
    assert "a deadline of 0 s" in nothing.err
    assert cluster("worker", "drain", "w1", "--deadline", "soon").code == 2
    daemons.start_worker("w2", "--cpus", "2")
    cluster.ok("worker", "drain", "w1", "--deadline", "2s", "--reason", "kernel")
    drain = cluster.ok("worker", "show", "w1", "--json").json["drain"]
    assert drain["deadline"] > drain["since"]
    assert cluster.ok("job", "wait", "1").text == "job 1 succeeded\n"
    assert cluster.ok("job", "logs", "1").text == "1#1\n1#2\n"
    alone = cluster("job", "wait", "2")
    assert (alone.code, alone.text) == (143, "job 2 failed (stopped)\n")
    (task,) = cluster.ok("job", "show", "2", "--json").json["task_details"]
    assert re.fullmatch(r"w1 was drained by admin until 2[0-9T:-]+Z \(kernel\)", task["detail"])
    assert f"because       {task['detail']}" in cluster.ok("job", "why", "2").text
    assert cluster.ok("worker", "show", "w1", "--json").json["state"] == "drained"


def test_a_worker_leaves_when_it_has_had_nothing_for_so_long(daemons: Daemons, tmp_path: Path) -> None:
    """Not while a job of the cluster runs, or one of its own API, however long."""
    cluster = daemons.command
    daemons.start_worker("w1", "--cpus", "1", "--idle-exit", "3s")
    cluster.ok("run", "--", "sleep", "5")
    assert daemons.end_of("w1") == 0
    assert "nothing to do for 3.0s: this worker leaves" in daemons.log("w1")
    (worker,) = cluster.ok("worker", "list", "--json").json
    assert worker["state"] == "offline"
    waits = cluster.ok("job", "submit", "--quiet", "--", "true").text.strip()
    daemons.start_worker("w1", "--cpus", "1", "--idle-exit", "3s")  # it may come back
    assert cluster.ok("job", "wait", waits).text == f"job {waits} succeeded\n"
    assert daemons.end_of("w1") == 0


def test_a_worker_that_stays_for_a_while_takes_only_what_ends_before_and_leaves(daemons: Daemons) -> None:
    cluster = daemons.command
    daemons.start_worker("w1", "--cpus", "1", "--for", "4h")
    waits = cluster.ok("job", "submit", "--", "true")
    assert "no worker that can run it takes work now: needs 1 cpu a task; w1 leaves at 2" in waits.err
    assert "Z, and nobody says how long a task takes; with --time-request 3h" in waits.err
    assert cluster.ok("run", "--time-request", "1h", "--", "echo", "there").text == "there\n"
    explained = cluster.ok("job", "why", "1", "--json").json
    assert "leaves at 2" in explained["workers"]["hindrances"][0]["reason"]
    assert "leaves        in 3h" in cluster.ok("worker", "show", "w1").text
    assert "cluster: worker w1 leaves in 3h" in cluster.ok("worker", "list").err
    (worker,) = cluster.ok("worker", "list", "--json").json
    assert worker["leaves_at"] > worker["registered_at"]
    daemons.start_worker("w2", "--cpus", "1", "--for", "1s")
    assert daemons.end_of("w2") == 0
    assert "its time is over: this worker leaves" in daemons.log("w2")
    assert cluster.ok("worker", "show", "w2", "--json").json["state"] == "offline"


def test_a_lone_worker_leaves_as_well(command: Command) -> None:
    options = ("--standalone", "--listen", "127.0.0.1:0", "--run-as", getpass.getuser())
    for idle in ("3s", "30s", "200s"):  # of which the first is enough, unless this machine is slow
        with command.started("worker", *options, "--idle-exit", idle) as process:
            assert process.stdout
            address = process.stdout.readline().decode().split()[-1]
            done = command("job", "--direct", address, "run", "--", "sh", "-c", "sleep 5; echo done")
            left = process.wait(PATIENCE)
        if done.code == 0:  # else it had left before anybody came
            break
    assert (done.text, left) == ("done\n", 0)
    refused = command("worker", *options, "--idle-exit", "0")
    assert (refused.code, refused.out) == (2, b"")
    assert refused.err == "cluster: --idle-exit 0: say for how long it is to wait for work, such as 10m\n"
    refused = command("worker", *options, "--for", "4h")
    assert (refused.code, refused.out) == (2, b"")
    assert refused.err.startswith("cluster: --for with --standalone: only a scheduler gives a worker nothing that does")
    refused = command("worker", "--for", "0")
    assert (refused.code, refused.err) == (2, "cluster: --for 0: say how long it is to stay, such as 4h\n")
