"""What holds jobs back, through the command line."""

import os
from pathlib import Path

import pytest

from cluster.launcher import tree
from tests.acceptance.command import Command
from tests.acceptance.test_cli_jobs import submit

pytestmark = pytest.mark.slow


def test_a_paused_job_starts_nothing_until_it_is_resumed(cluster: Command) -> None:
    first = submit(cluster, "--name", "held", "--hold", "--", "echo", "went on")
    shown = cluster.ok("job", "show", first).text
    assert "state         ready (paused)\n" in shown
    assert "waits         paused by admin " in shown
    assert " ago: submitted with --hold\n" in shown
    told = cluster.ok("job", "pause", "held", "--reason", "full disk", "--json").json
    (job,) = told["jobs"]
    assert (told["paused_jobs"], job["state"]) == (1, "ready")
    assert (job["paused"]["by"], job["paused"]["reason"], job["paused"]["by_admin"]) == ("admin", "full disk", True)
    assert job["pending_because"] == ["paused by admin: full disk"]
    listed = cluster.ok("job", "list", first).text.splitlines()[1].split("\t")
    assert listed[1:3] == ["ready", "paused"]
    why = cluster.ok("job", "why", first).text
    assert "because       paused by admin " in why
    assert " ago: full disk\n" in why
    assert cluster.ok("job", "resume", first).text == "resumed 1 job\n"
    assert cluster.ok("job", "wait", first).text == f"job {first} succeeded\n"
    assert cluster.ok("job", "resume", first).text == "nothing to resume: none of these is paused\n"
    assert cluster.ok("job", "pause", first).text == "nothing to pause: all had ended\n"
    assert cluster.ok("job", "show", first, "--json").json["paused"] is None


def test_what_runs_of_a_paused_job_is_frozen_where_that_is_wished(cluster: Command, tmp_path: Path) -> None:
    ready, gate = tmp_path / "ready", tmp_path / "gate"
    for fifo in (ready, gate):
        os.mkfifo(fifo)
    job = submit(cluster, "--timeout", "1h", "--", "sh", "-c", f"echo $$ > {ready}; read x < {gate}; echo went on")
    pid = int(ready.read_text())
    cluster.wait_until_running(job)
    told = cluster.ok("job", "pause", job, "--stop-running").text
    assert told == "paused 1 job; tasks that run, and are frozen: 1\n"
    cluster.ok("run", "--", "true")  # its worker has heard of it before that
    process = tree.read_process(pid)
    assert process is not None
    assert process.state == "T"
    assert "state         running (paused, 1 task frozen)\n" in cluster.ok("job", "show", job).text
    assert cluster.ok("job", "list", job).text.splitlines()[1].split("\t")[1:3] == ["running", "paused, 1 task frozen"]
    shown = cluster.ok("job", "show", job, "--json").json
    assert (shown["paused"]["stop_running"], shown["paused"]["frozen_tasks"]) == (True, 1)
    assert shown["pending_because"] == ["paused by admin", "frozen meanwhile: 1 task that had begun"]
    assert " and is frozen there: its job is paused by admin " in cluster.ok("job", "why", job).text
    assert cluster.ok("job", "resume", job).text == "resumed 1 job\n"
    gate.write_text("go\n")
    assert cluster.ok("job", "wait", job).code == 0
    assert cluster.ok("job", "logs", job).text == "went on\n"


def test_pause_takes_whole_jobs_that_there_are(cluster: Command) -> None:
    array = submit(cluster, "--hold", "--array", "1-3", "--", "true")
    for verb in ("pause", "resume"):
        part = cluster("job", verb, f"{array}.2")
        assert (part.code, part.out) == (2, b"")
        assert part.err == (f"cluster: tasks of job {array} are selected: {verb} takes whole jobs; give {array}\n")
        ready = cluster("job", verb, f"{array}:ready")
        why = f"{verb} takes whole jobs and no tasks that are ready; give {array}"
        assert (ready.code, ready.err) == (2, f"cluster: {array}:ready: {why}\n")
        assert cluster("job", verb, "no-such-job").code == 1
        assert cluster("job", verb).code == 2
    long = cluster("job", "pause", array, "--reason", "x" * 501)
    assert (long.code, "longer than 500 characters" in long.err) == (2, True)
    assert cluster.ok("job", "cancel", array).text == "cancelling 3 tasks\n"


def test_of_a_paused_queue_nothing_starts(cluster: Command) -> None:
    said = cluster.ok("queue", "pause", "--reason", "new switch").text.splitlines()
    try:
        assert said[0].startswith("the queue is paused by admin ")
        assert said[0].endswith(" ago: new switch")
        job = submit(cluster, "--", "true")
        assert "because       the queue is paused by admin: new switch\n" in cluster.ok("job", "why", job).text
        told = cluster.ok("queue", "--json").json
        assert (told["paused"]["reason"], told["jobs"] >= 1) == ("new switch", True)
    finally:
        assert cluster.ok("queue", "resume").text.splitlines()[0] == "the queue takes work"
    assert cluster.ok("job", "wait", job).text == f"job {job} succeeded\n"
    assert cluster.ok("queue", "show", "--json").json["paused"] is None


def test_a_priority_is_given_and_changed(cluster: Command) -> None:
    job = submit(cluster, "--hold", "--priority", "-5", "--", "true")
    assert "priority      -5\n" in cluster.ok("job", "show", job).text
    assert cluster.ok("job", "set", job, "--priority", "7").text == "priority 7 for 1 job\n"
    assert cluster.ok("job", "set", job, "--priority", "7").text.startswith("nothing to change: all have it already")
    assert cluster.ok("job", "list", "--json", job).json[0]["priority"] == 7
    assert "priority      7\n" in cluster.ok("job", "show", job).text
    for wrong, said in (("2000", "--priority 2000: use -1000 to 1000"), ("high", "'high' is no whole number")):
        refused = cluster("job", "set", job, "--priority", wrong)
        assert (refused.code, said in refused.err) == (2, True), refused.err
    nothing = cluster("job", "set", job)
    assert (nothing.code, nothing.err) == (2, "cluster: nothing is to be changed: name an option, as in --retries 3\n")
    assert cluster.ok("user", "share", "admin", "2").text == "user admin has a share of 2\n"
    shares = {share["user"]: share for share in cluster.ok("queue", "--json").json["shares"]}
    assert shares["admin"]["weight"] == 2
    assert cluster("user", "share", "admin", "0").code == 2
    assert cluster("user", "share", "nobody-of-that-name", "2").code == 1
    cluster.ok("user", "share", "admin", "1")
    cluster.ok("job", "cancel", job)


def test_options_are_changed_and_taken_back(cluster: Command) -> None:
    job = submit(cluster, "--hold", "--array", "1-3", "--max-running", "1", "--", "sh", "-c", "exit 3")
    told = cluster.ok("job", "set", job, "--retries", "1", "--backoff", "1ms", "--retry-on", "exit:3", "--json").json
    assert (told["changed_jobs"], told["jobs"][0]["retries"]) == (1, 1)
    said = cluster.ok("job", "set", job, "--default", "max-running", "--cpus", "0.5", "--timeout", "90").text
    assert said == "max running as by default, cpus 0.5, timeout 1m30s for 1 job\n"
    line = "changed       backoff, cpus, max_running, retries, retry_on, timeout\n"
    assert line in cluster.ok("job", "show", job).text
    shown = cluster.ok("job", "show", job, "--json").json
    assert (shown["max_running"], shown["cpus"], shown["timeout"], shown["retry_on"]) == (None, 0.5, 90.0, ["exit:3"])
    cluster.ok("job", "resume", job)
    assert cluster("job", "wait", job).text == f"job {job} failed (attempts_exhausted:exit:3)\n"
    assert cluster.ok("job", "set", job, "--retries", "2").text.startswith("nothing to change: ")
    for words, said in (
        (("--default", "name"), "'name' is nothing that can be changed of a job; these are: at, backoff, "),
        (("--spread", "--pack"), "--spread and --pack exclude each other"),
        (("--max-running", "0"), "--max-running 0: nothing of it would ever start"),
        (("--deadline", "2020-01-01T00:00Z"), "--deadline 2020-01-01T00:00:00Z is past"),
    ):
        waiting = submit(cluster, "--hold", "--", "true")
        refused = cluster("job", "set", waiting, *words)
        assert (refused.code, said in refused.err, refused.err.count("\n")) == (2, True, 1), refused.err
        cluster.ok("job", "cancel", waiting)
