"""Quick commands: what they load, that they say and do what the whole command line does, and that nothing is lost or
doubled where it goes on for them."""

import os
import re
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cluster.cli import processes
from tests.acceptance.command import Command, Done
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

# Each costs milliseconds, alone or by what it loads; together they are most of what other commands take.
HEAVY = {
    *("asyncio", "click", "cryptography", "grpc", "pathlib", "rich", "sqlite3", "ssl", "subprocess", "tomllib"),
    *("google.protobuf.descriptor_pool", "google.protobuf.internal.builder", "cluster.v1.job_pb2"),
    *("cluster.cli.main", "cluster.client.aio", "cluster.client.types"),
}
# What options of jobs are, 10 ms: only where some are given or shown.
OPTIONS = {"dataclasses", "inspect", "cluster.domain.job.spec"}


def loaded(done: Done) -> set[str]:
    """The modules that a command has loaded, which Python was asked to tell."""
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\S+)$", done.err, re.MULTILINE))


def wholly(cluster: Command, *arguments: str, **options: Any) -> Done:
    """By the whole command line: an empty configuration file tells nothing, but has to be read."""
    empty = cluster.home / "empty.toml"
    empty.touch()
    return cluster(*arguments, env={"CLUSTER_CONFIG": str(empty)}, **options)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--", "true"],
        ["run", "--quiet", "--cpus", "0.5", "--timeout", "1m", "sh", "-c", "echo a; echo b >&2; exit 0"],
        ["job", "submit", "--", "true"],
        ["job", "submit", "--json", "--name", "n", "--env", "HOME", "--env", "A=1", "--cwd", "/", "--", "true"],
        ["job", "submit", "-q", "--retries", "2", "--max-output", "1M", "--merge-output", "true"],
        ["job"],
        ["job", "list"],
        ["job", "list", "--json", "--limit", "3"],
        ["job", "list", "last", "-q"],
        ["job", "history", "--failed", "--limit", "20"],
    ],
    ids=" ".join,
)
def test_what_people_type_all_day_loads_nothing_heavy(cluster: Command, arguments: list[str]) -> None:
    # So that there are as many as a list shows: others' jobs, with bytes that are no text, are not for the quick path.
    plain = "\n".join(f'[jobs.plain{number}]\ncommand = ["true"]' for number in range(20))
    cluster.ok("job", "submit", "--file", "-", stdin=plain.encode())
    done = cluster.ok(*arguments, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert "cluster.cli.entry" in loaded(done)
    assert not loaded(done) & HEAVY
    if not {"--json", "--cpus", "--retries"} & set(arguments):
        assert not loaded(done) & OPTIONS


def test_the_other_way_loads_them(cluster: Command) -> None:
    """Or the test before could not fail."""
    done = cluster.ok("job", "list", "--state", "running", env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert {"click", "grpc", "asyncio", "cluster.cli.main"} <= loaded(done)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--", "true"],
        ["run", "--", "sh", "-c", "echo out; echo err >&2; exit 3"],
        ["run", "--", "sh", "-c", "printf no-newline; exit 200"],
        ["run", "--merge-output", "--", "sh", "-c", "echo out; echo err >&2"],
        ["run", "--env", "A=1=2", "--", "sh", "-c", "echo $A"],
        ["run", "--", "pwd"],
        ["run", "--cwd", ".", "--", "pwd"],
        ["run", "--lost-after", "0", "--", "true"],
        ["run", "--cpus", "many", "--", "true"],
        ["run", "--", ""],
        ["run"],
        ["job", "submit", "--name", "5", "--", "true"],
        ["job", "submit", "--retries", "2000000", "--", "true"],
        ["job", "submit", "--nonsense", "--", "true"],
        ["job", "list", "99999"],
        ["job", "list", "no-such-name"],
        ["job", "list", "--limit", "-1"],
        ["job", "list", "--limit"],
        ["job", "list", "--json", "99999"],
        ["job", "history", "--since", "1d", "--name", "no-such-name"],
        ["job", "history", "--user", "nobody"],
        ["job", "history", "--page", "x", "--json"],
    ],
    ids=" ".join,
)
def test_it_says_what_the_whole_command_line_says(cluster: Command, arguments: list[str], tmp_path: Path) -> None:
    quick = cluster(*arguments, cwd=tmp_path)
    assert quick == wholly(cluster, *arguments, cwd=tmp_path)


def test_lists_are_the_same(cluster: Command) -> None:
    cluster.ok("run", "--name", "an array", "--array", "1-9:4", "--", "true")
    cluster("run", "--name", "some\tname", "--", "sh", "-c", "exit 4")
    for form in (
        ["--json"],
        ["-q"],
        ["--json", "--limit", "1"],
        ["-q", "--limit", "2"],
        ["-q", "last"],
        ["--json", "all"],
    ):
        assert cluster.ok("job", "list", *form) == wholly(cluster, "job", "list", *form)
    quick, whole = cluster.ok("job", "list"), wholly(cluster, "job", "list")
    ages = re.compile(r"\S+ ago")
    assert ages.sub("", quick.text) == ages.sub("", whole.text)


def test_the_same_job_is_handed_in(cluster: Command, tmp_path: Path) -> None:
    options = ["--name", "same", "--env", "A=1", "--env", "HOME", "--cpus", "0.5", "--timeout", "1h", "--grace", "3"]
    options += ["--lost-after", "2m", "--retries", "2", "--max-output", "1M", "--merge-output"]
    for given in ([], options, [*options, "--cwd", "/", "--worker", "nobody"]):
        shown = []
        for way in (cluster, lambda *words, **more: wholly(cluster, *words, **more)):
            done = way("job", "submit", "-q", *given, "--", "sh", "-c", "exit 0", cwd=tmp_path)
            assert done.code == 0, done
            cluster("job", "cancel", done.text.strip())
            cluster("job", "wait", done.text.strip())
            fields = cluster.ok("job", "show", "--json", done.text.strip()).json
            told = {"cwd", "env", "cpus", "timeout", "grace", "lost_after", "retries", "max_output", "merge_output"}
            shown.append({name: fields[name] for name in {*told, "name", "command", "owner", "worker"}})
        assert shown[0] == shown[1]


def test_a_job_that_takes_longer_is_followed_to_its_end(cluster: Command) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do echo out $i; echo err $i >&2; sleep 0.2; done; exit 5"
    done = cluster("run", "--", "sh", "-c", script)
    assert (done.code, done.text) == (5, "".join(f"out {i}\n" for i in range(1, 9)))
    assert done.err == "".join(f"err {i}\n" for i in range(1, 9))


def test_a_reader_who_begins_late_gets_all_of_it_once(cluster: Command) -> None:
    """The pipe is full within the first moment, in the middle of a piece."""
    with cluster.started("run", "--", "seq", "300000") as process:
        assert process.stdout
        first = os.read(process.stdout.fileno(), 10)
        wait_until_taken_over(process.pid)
        out = first + process.stdout.read()
        assert process.wait(PATIENCE) == 0
    assert out == "".join(f"{i}\n" for i in range(1, 300_001)).encode()


def wait_until_taken_over(pid: int) -> None:
    """By the whole command line, which loads gRPC once it knows where the calls go."""
    until = time.monotonic() + PATIENCE
    while "cygrpc" not in Path(f"/proc/{pid}/maps").read_text():
        assert time.monotonic() < until
        time.sleep(0.02)


def catches(pid: int, number: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(re.findall(r"SigCgt:\s+(\S+)", status)[0], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_before_the_answer_takes_the_job_back(command: Command, number: signal.Signals) -> None:
    command.ok("up", "--cpus", "1")
    scheduler = command.pids()["scheduler"]
    os.kill(scheduler, signal.SIGSTOP)
    try:
        with command.started("run", "--", "sleep", "77") as process:
            while not catches(process.pid, signal.SIGHUP):  # the last one that it minds
                time.sleep(0.01)
            process.send_signal(number)
            os.kill(scheduler, signal.SIGCONT)
            err = process.communicate(timeout=PATIENCE)[1]
            assert process.returncode in (130, 143), err
        command("job", "wait", "all")
        assert all(job["state"] == "cancelled" for job in command.ok("job", "list", "--json").json)
    finally:
        os.kill(scheduler, signal.SIGCONT)
        command.ok("down")


def test_signals_end_a_command_whose_large_request_nobody_reads(command: Command) -> None:
    """It waited in the kernel, for room in the socket, and nothing but SIGKILL ended it."""
    command.ok("up", "--cpus", "1")
    try:
        with command.frozen("scheduler"), command.started("run", "--", "echo", *["x" * 100_000] * 8) as process:
            while not catches(process.pid, signal.SIGHUP):
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            err = process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == 130
        assert b"; `cluster job cancel " in err
    finally:
        command.ok("down")


def test_a_scheduler_that_is_stopped_is_asked_by_tls_and_gets_one_job(command: Command) -> None:
    """By TLS there is an error in the end; here it wakes before that."""
    command.ok("up", "--cpus", "1")
    try:
        with ExitStack() as stopped:
            stopped.enter_context(command.frozen("scheduler"))
            with command.started("job", "submit", "--", "true") as process:
                wait_until_taken_over(process.pid)
                stopped.close()
                out = process.communicate(timeout=PATIENCE)[0]
        assert (process.returncode, out) == (0, b"job 1 submitted\n")
        assert [job["number"] for job in command.ok("job", "list", "--json").json] == [1]
    finally:
        command.ok("down")


def test_a_signal_in_the_first_moment_cancels(cluster: Command) -> None:
    with cluster.started("run", "--", "sh", "-c", "echo ready; sleep 77") as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert b"cancelling job" in err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_scheduler_that_goes_in_the_first_moment_is_waited_for(command: Command, number: signal.Signals) -> None:
    command.ok("up", "--cpus", "1")
    try:
        script = "echo before; sleep 8; echo after; exit 6"
        with command.started("run", "--", "sh", "-c", script) as process:
            assert process.stdout
            assert process.stdout.readline() == b"before\n"
            gone = processes.find(command.pids()["scheduler"])
            assert gone
            os.kill(gone.pid, number)
            assert processes.wait_for_end(gone, PATIENCE)
            command.ok("up")
            out, err = process.communicate(timeout=PATIENCE)
        absence = ("s more", "the cluster answers again")  # said where it takes more than three seconds to be back
        said = [line for line in err.decode().splitlines() if not line.endswith(absence)]
        assert (process.returncode, out, said) == (6, b"after\n", [])
    finally:
        command.ok("down")


def test_who_follows_a_job_starts_nothing(command: Command) -> None:
    """Where a process of the cluster is gone when the whole command line takes over. It started that again, beside
    whoever was just stopping the cluster."""
    command.ok("up", "--cpus", "1")
    try:
        with command.started("run", "--", "sh", "-c", "echo before; sleep 3; echo after") as process:
            assert process.stdout
            assert process.stdout.readline() == b"before\n"
            worker = processes.find(command.pids()["worker"])
            assert worker
            os.kill(worker.pid, signal.SIGKILL)
            assert processes.wait_for_end(worker, PATIENCE)
            wait_until_taken_over(process.pid)
            assert command.pids()["worker"] == worker.pid
            command.ok("up")
            out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, b"after\n", b"")
    finally:
        command.ok("down")


def test_with_a_stale_socket_and_with_none_it_is_as_ever(command: Command) -> None:
    command.ok("up", "--cpus", "1")
    try:
        path = command.home / "scheduler" / "local.sock"
        command.ok("run", "--", "true")
        path.unlink()
        assert command.ok("run", "--", "echo", "none").text == "none\n"
        with socket.socket(socket.AF_UNIX) as nobodys:
            nobodys.bind(str(path))
        assert command.ok("run", "--", "echo", "stale").text == "stale\n"
    finally:
        command.ok("down")
    assert command("job", "list").code == 75
