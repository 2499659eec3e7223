"""`cluster run` behaves as the command itself would: output, exit code, Ctrl-C, pipes."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.terminal import on_a_terminal
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


def test_output_and_exit_code_are_the_commands_own(cluster: Command) -> None:
    done = cluster("run", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.code, done.out, done.err) == (3, b"out\n", "err\n")


def test_bytes_arrive_as_they_were_written(cluster: Command) -> None:
    every = bytes(range(256)) * 4096  # 1 MiB, far more than rides along with a report
    source = cluster.home / "bytes"
    source.write_bytes(every)
    assert cluster.ok("run", "--", "cat", str(source)).out == every


def test_a_signals_exit_code_is_128_more(cluster: Command) -> None:
    done = cluster("run", "--", "sh", "-c", "kill -9 $$")
    assert done.code == 137
    assert "SIGKILL" in done.err


LATIN_1 = "caf\udce9"  # as Python has the bytes of that word in Latin-1


@pytest.mark.parametrize(
    "arguments",
    [
        ["job", "submit", "--name", LATIN_1, "--", "true"],
        ["run", "--name", LATIN_1, "--", "true"],
        ["job", "submit", "--worker", LATIN_1, "--", "true"],
        ["job", "list", LATIN_1],
        ["job", "cancel", "all", "--reason", LATIN_1],
        ["token", "create", "--role", "user", "--user", LATIN_1],
        ["token", "revoke", LATIN_1],
        ["user", "revoke", LATIN_1],
        ["worker", "remove", LATIN_1],
        ["worker", "drain", LATIN_1],
        ["worker", "drain", "box", "--reason", LATIN_1],
        ["worker", "resume", LATIN_1],
    ],
    ids=lambda words: " ".join(words).replace(LATIN_1, "..."),
)
def test_a_name_that_is_not_utf_8_is_refused_in_one_line(cluster: Command, arguments: list[str]) -> None:
    """Most of these were internal errors."""
    done = cluster(*arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, b"", 1), done
    assert "caf\\udce9' is not UTF-8" in done.err


def test_an_embedded_cluster_runs_in_the_callers_directory(cluster: Command, tmp_path: Path) -> None:
    assert cluster.ok("run", "--", "pwd", cwd=tmp_path).text == f"{tmp_path}\n"
    assert cluster.ok("run", "--cwd", "/", "--", "pwd", cwd=tmp_path).text == "/\n"


def test_an_embedded_cluster_finds_a_directory_from_where_the_caller_is(cluster: Command, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for given, meant in (
        (".", tmp_path),
        ("below", tmp_path / "below"),
        ("below/..", tmp_path),
        ("..", tmp_path.parent),
    ):
        assert cluster.ok("run", "--cwd", given, "--", "pwd", cwd=tmp_path).text == f"{meant}\n"


def test_words_after_the_first_belong_to_the_command(cluster: Command) -> None:
    assert cluster.ok("run", "echo", "-n", "--cpus").text == "--cpus"


def test_variables_are_given_by_value_or_by_name(cluster: Command) -> None:
    done = cluster.ok("run", "--env", "A=1=2", "--env", "B", "--", "sh", "-c", "echo $A $B", env={"B": "from here"})
    assert done.text == "1=2 from here\n"


def test_an_array_comes_in_the_order_of_its_tasks_with_the_highest_code(cluster: Command) -> None:
    done = cluster("run", "--array", "1-7:2", "--", "sh", "-c", "echo $CLUSTER_TASK; exit $CLUSTER_TASK")
    assert (done.code, done.text) == (7, "1\n3\n5\n7\n")
    assert ": of 4 tasks 4 failed; `cluster job show" in done.err


def test_an_array_that_could_not_start_says_why(cluster: Command) -> None:
    done = cluster("run", "--each-line", "-", "--", "{}", stdin=b"true\n/no/such/program\n")
    assert done.code == 127
    assert "cannot start '/no/such/program': " in done.err
    assert "of 2 tasks 1 failed" in done.err
    assert done.err.count("\n") == 1


def test_each_line_is_a_task(cluster: Command) -> None:
    done = cluster.ok("run", "--each-line", "-", "--", "echo", "<{}>", stdin=b"a\nb c\n")
    assert done.text == "<a>\n<b c>\n"


def test_of_no_lines_nothing_is_run_and_that_is_no_error(cluster: Command) -> None:
    done = cluster.ok("run", "--each-line", "/dev/null", "--", "echo", "{}")
    assert (done.out, done.err) == (b"", "cluster: --each-line /dev/null: it is empty, so nothing was run\n")


def test_a_timeout_says_so(cluster: Command) -> None:  # S3.12
    done = cluster("run", "--timeout", "200ms", "--", "sleep", "1000")
    assert done.code == 143
    assert "timeout:run" in done.err


def test_what_cannot_be_started_says_why(cluster: Command) -> None:
    done = cluster("run", "--", "/no/such/program")
    assert done.code == 127
    assert "launch_failed" in done.err
    assert "/no/such/program" in done.err
    assert done.err.count("\n") == 1


def test_a_script_without_a_scripts_folder_says_what_is_missing(cluster: Command) -> None:  # S2.9
    done = cluster("run", "--script", "count.sh", "--with", "bash")
    assert done.code == 126
    assert "'count.sh'" in done.err
    assert "--scripts" in done.err


def test_a_job_that_no_worker_can_take_waits_and_says_why(cluster: Command) -> None:
    with cluster.started("run", "--cpus", "64", "--name", "big", "--", "true") as process:
        assert process.stderr
        line = process.stderr.readline().decode()
        assert "waits" in line
        assert "64 cpus" in line
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 143
    shown = cluster.ok("job", "show", "big", "--json").json
    assert shown["state"] == "cancelled"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_without_a_terminal_a_signal_cancels_the_job(cluster: Command, number: signal.Signals) -> None:
    with cluster.started("run", "--", "sh", "-c", "echo ready; exec sleep 1000") as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        assert process.wait(PATIENCE) == 143
    assert cluster.ok("job", "show", "last", "--json").json["state"] == "cancelled"


def test_whoever_is_told_to_cancel_twice_leaves_quietly(cluster: Command) -> None:
    stubborn = ("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1000; done")
    with cluster.started("run", "--grace", "1000", "--", *stubborn) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGTERM)
        assert b"cancelling" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 130
        *waiting, last = process.stderr.read().splitlines()
        assert b"is being cancelled" in last
        assert all(b"waiting for the scheduler" in line for line in waiting)  # at most that, where all is slow
    cluster.ok("job", "cancel", "--grace", "0", "last")
    assert cluster("job", "wait", "last").code == 137


def test_nobody_leaves_before_the_scheduler_has_the_cancellation(cluster: Command) -> None:
    with cluster.started("run", "--", "sh", "-c", "echo ready; exec sleep 1000") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"ready\n"
        with cluster.frozen("scheduler"):
            process.send_signal(signal.SIGTERM)
            assert b"cancelling" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            assert b"waiting for the scheduler to answer" in process.stderr.readline()
        assert process.wait(PATIENCE) == 130
        assert b"is being cancelled" in process.stderr.read()
    assert cluster("job", "wait", "last").code == 143


def test_whoever_will_not_wait_for_the_scheduler_hears_that_the_job_may_go_on(cluster: Command) -> None:
    with cluster.started("run", "--", "sh", "-c", "echo ready; exec sleep 1000") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"ready\n"
        with cluster.frozen("scheduler"):
            for said in (b"cancelling", b"waiting for the scheduler to answer", b"may go on"):
                process.send_signal(signal.SIGTERM)
                assert said in process.stderr.readline()
            assert process.wait(PATIENCE) == 130
    cluster.ok("job", "cancel", "last")
    assert cluster("job", "wait", "last").code == 143


def test_a_reader_who_leaves_ends_the_job_quietly_although_it_writes_nothing_more(cluster: Command) -> None:
    with cluster.started("run", "--", "sh", "-c", "echo y; exec sleep 1000") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"y\n"
        with cluster.started("job", "logs", "-f", "last") as logs:
            assert logs.stdout
            assert logs.stdout.readline() == b"y\n"
            logs.stdout.close()
            assert logs.wait(PATIENCE) == 141
        process.stdout.close()
        assert process.wait(PATIENCE) == 141
        assert all(b"waiting for the scheduler" in line for line in process.stderr)  # at most that, where all is slow
    assert cluster("job", "wait", "last").code == 143


def test_a_full_disk_under_the_output_ends_the_job(cluster: Command) -> None:
    line = cluster.line("run", "--", "sh", "-c", "echo hi; exec sleep 1000")
    with open("/dev/full", "wb") as full:
        done = subprocess.run(line, env=cluster.environment({}), stdout=full, stderr=subprocess.PIPE, timeout=PATIENCE)
    *waiting, last = done.stderr.splitlines()
    assert (done.returncode, last) == (74, b"cluster: standard output: No space left on device")
    assert all(b"waiting for the scheduler" in line for line in waiting)  # at most that, where all is slow
    assert cluster("job", "wait", "last").code == 143


WAITING = ("run", "--", "sh", "-c", "echo ready; exec sleep 1000")


@pytest.mark.parametrize("tasks", ["1", "2"])
def test_ctrl_c_on_a_terminal_asks_and_can_cancel(cluster: Command, tasks: str) -> None:
    """Where a bar was shown it ate the letters in brackets, and was drawn over the question."""
    with on_a_terminal(cluster, "run", "--array", f"1-{tasks}", *WAITING[1:]) as terminal:
        terminal.wait_for("ready")
        terminal.type("\x03")
        terminal.wait_for("on. [c]ancel it, [l]eave it running, [g]o on here? ")
        terminal.type("c\n")
        terminal.wait_for("cluster: cancelling job ")
        assert "ended" not in terminal.seen.partition("[g]o on here? ")[2].partition("\n")[0]
        assert terminal.process.wait(PATIENCE) == 143


def test_a_second_ctrl_c_cancels(cluster: Command) -> None:
    with on_a_terminal(cluster, *WAITING) as terminal:
        terminal.wait_for("ready")
        terminal.type("\x03")
        terminal.wait_for("[g]o on")
        terminal.type("\x03")
        assert terminal.process.wait(PATIENCE) == 143


def test_ctrl_c_can_leave_the_job_running(cluster: Command) -> None:
    with on_a_terminal(cluster, *WAITING) as terminal:
        terminal.wait_for("ready")
        terminal.type("\x03")
        terminal.wait_for("[g]o on")
        terminal.type("l\n")
        terminal.wait_for("cluster job logs -f")
        assert terminal.process.wait(PATIENCE) == 130
    cluster.wait_until_running("last")
    cluster.ok("job", "cancel", "last")
    assert cluster("job", "wait", "last").code == 143


def test_ctrl_c_can_go_on(cluster: Command, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with on_a_terminal(cluster, "run", "--", "sh", "-c", f"echo ready; read x < {gate}; echo got $x") as terminal:
        terminal.wait_for("ready")
        terminal.type("\x03")
        terminal.wait_for("[g]o on")
        terminal.type("what?\n")
        terminal.wait_for("c, l or g?")
        terminal.type("g\n")
        gate.write_text("on\n")
        terminal.wait_for("got on")
        assert terminal.process.wait(PATIENCE) == 0


def test_an_array_shows_a_bar_on_a_terminal(cluster: Command) -> None:
    with on_a_terminal(cluster, "run", "--array", "1-3", "--", "true") as terminal:
        terminal.wait_for("3/3 ended")
        assert terminal.process.wait(PATIENCE) == 0


def test_output_and_bar_share_a_terminal_in_peace(cluster: Command) -> None:
    words = "for i in 1 2 3; do printf 'a%s' $CLUSTER_TASK; echo b; done"
    with on_a_terminal(cluster, "run", "--array", "1-3", "--", "sh", "-c", words) as terminal:
        for task in (1, 2, 3):
            for _ in range(3):
                terminal.wait_for(f"a{task}b\r\n")
                terminal.seen = terminal.seen.partition(f"a{task}b\r\n")[2]
        assert terminal.process.wait(PATIENCE) == 0


def test_what_is_odd_about_lines_is_told_and_they_stay_as_they_are(cluster: Command, tmp_path: Path) -> None:
    odd = tmp_path / "odd.txt"
    odd.write_bytes(b"\xef\xbb\xbfa\r\n\nb\r\n\n\n")
    command = ["sh", "-c", 'printf "%s" "$CLUSTER_LINE" | od -An -tx1']
    done = cluster.ok("run", "--quiet", "--each-line", str(odd), "--", *command)
    assert [line.split() for line in done.text.splitlines()] == [["ef", "bb", "bf", "61", "0d"], ["62", "0d"]]
    said = done.err.splitlines()
    assert [line.split(": ", 2)[1] for line in said] == [f"--each-line {odd}"] * 3
    assert "byte order mark" in said[0]
    assert "CR LF: 2" in said[1]
    assert "empty: 3" in said[2]
    plain = cluster.ok("run", "--quiet", "--each-line", "-", "--", "true", "{}", stdin=b"a\nb")
    assert plain.err == ""


def test_output_that_is_wrong_is_another_end(cluster: Command, tmp_path: Path) -> None:  # S4.6
    wrong = cluster("run", "--check-output", "json", "--retries", "1", "--backoff", "1ms", "--", "echo", "{")
    assert (wrong.code, wrong.text) == (65, "{\n{\n")
    assert "failed (attempts_exhausted:format_error: stdout is no JSON: line 2, column 1:" in wrong.err
    why = cluster.ok("job", "why", "last").text
    assert "it left with exit code 0, and stdout is no JSON: line 2, column 1" in why
    assert cluster("run", "--check-output", "regex:^[0-9]$", "--check-with", "grep -q 5", "--", "echo", "5").code == 0
    schema = tmp_path / "out.json"
    schema.write_text('{"items":\n {"typ": "string"}}')
    refused = cluster("run", "--check-output", f"schema:{schema}", "--", "true")
    what = f"--check-output schema:{schema}: the schema is wrong: #/items/typ: the keyword 'typ' is not known here"
    assert (refused.code, refused.err) == (2, f"cluster: {what}\n")
    missing = cluster("run", "--check-output", "schema:/no/such", "--", "true")
    assert (missing.code, missing.err) == (2, "cluster: --check-output /no/such: No such file or directory\n")
    schema.write_text('{"items":\n {"type": "string"}}')
    script = b"#!/bin/sh\n#CLUSTER --check-output schema:%s\necho '[\"a\", 1]'\n" % bytes(schema)
    wrong = cluster("run", "-", stdin=script)
    assert wrong.code == 65
    assert "stdout is not as its schema says: $[1]: 1 is not of type string" in wrong.err
    shown = cluster.ok("job", "show", "last").text
    assert "check output  schema of 27 B\n" in shown
    refused = cluster("run", "--check-output", "regex:(", "--", "true")
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, b"", 1)
    assert "--check-output 'regex:(': no pattern: missing )" in refused.err
