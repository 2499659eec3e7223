"""`cluster job`: list, show, logs, wait, cancel, for people and for programs."""

import json
import re
import sys
from pathlib import Path

import pytest

from cluster.client import Client
from tests.acceptance.command import Command
from tests.acceptance.terminal import on_a_terminal
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def submit(cluster: Command, *arguments: str) -> str:
    """The number of a new job."""
    return cluster.ok("job", "submit", "--quiet", *arguments).text.strip()


def test_submit_answers_the_number_and_wait_the_exit_code(cluster: Command) -> None:
    number = submit(cluster, "--", "sh", "-c", "exit 4")
    assert number.isdigit()
    waited = cluster("job", "wait", number)
    assert (waited.code, waited.text) == (4, f"job {number} failed (exit:4)\n")
    for verb in ("wait", "show", "list"):
        assert cluster("job", verb, number, "--quiet").text == f"{number}\n"


def test_submit_as_json_tells_all(cluster: Command) -> None:
    job = cluster.ok("job", "submit", "--json", "--name", "told", "--cpus", "0.5", "--timeout", "1m", "--", "true").json
    assert UUID7.fullmatch(job["id"])
    assert ISO.fullmatch(job["submitted_at"])
    assert (job["name"], job["cpus"], job["timeout"], job["command"]) == ("told", 0.5, 60.0, ["true"])
    assert cluster.ok("job", "wait", job["id"]).code == 0


def test_bare_job_lists_newest_first_with_tabs_in_a_pipe(cluster: Command) -> None:
    first, second = submit(cluster, "--", "true"), submit(cluster, "--", "echo", "a b")
    cluster.ok("job", "wait", first, second)
    heads, *rows = [line.split("\t") for line in cluster.ok("job").text.splitlines()]
    assert heads[:3] == ["JOB", "STATE", "REASON"]
    assert [row[0] for row in rows[:2]] == [second, first]
    assert rows[0][1:3] == ["succeeded", "ok"]
    assert rows[0][-1] == "echo 'a b'"


def test_list_can_be_narrowed(cluster: Command) -> None:
    number = submit(cluster, "--name", "narrow", "--", "false")
    submit(cluster, "--name", "narrow", "--", "true")
    cluster("job", "wait", "narrow")
    assert cluster.ok("job", "list", "-q", "narrow", "--state", "failed").text == f"{number}\n"
    few = cluster.ok("job", "list", "--limit", "1", "--json")
    assert (len(few.json), few.err) == (1, ""), "so many were asked for"


def test_show_tells_how_each_task_ended(cluster: Command) -> None:
    number = submit(cluster, "--array", "1-3", "--", "sh", "-c", "test $CLUSTER_TASK != 2 || kill -9 $$")
    assert cluster("job", "wait", number).code == 137
    job = cluster.ok("job", "show", number, "--json").json
    assert (job["state"], job["exit_code"], job["tasks"]["succeeded"], job["tasks"]["failed"]) == ("failed", 137, 2, 1)
    assert job["array"] == "1-3"
    worst = job["task_details"][0]
    assert (worst["task"], worst["reason"], worst["signal"]) == (2, "signal:SIGKILL", "SIGKILL")
    assert worst["worker"]
    assert ISO.fullmatch(worst["ended_at"])
    people = cluster.ok("job", "show", number)
    assert f"{number}.2\tfailed\tsignal:SIGKILL" in people.text
    assert "3: 2 succeeded, 1 failed; numbers 1-3" in people.text
    assert people.err == ""


def test_what_was_not_measured_is_null(cluster: Command) -> None:
    number = submit(cluster, "--", "/no/such/program")
    cluster("job", "wait", number)
    (task,) = cluster.ok("job", "show", number, "--json").json["task_details"]
    assert (task["cpu_seconds"], task["peak_memory_bytes"]) == (None, None)
    assert "\t-\t-\n" in cluster.ok("job", "show", number).text


LOADS = """
import sys
def parse(row):
    sys.stderr.write("x" * 100_000 * row + "\\n")
    raise ValueError(f"bad row {row}")
try:
    {}["x"]
except KeyError as error:
    parse(int(sys.argv[1]))
"""


def test_show_tells_what_a_python_program_raised(cluster: Command, tmp_path: Path) -> None:
    # S4.7: for people and for programs, whether its output is small or large
    program = tmp_path / "load.py"
    program.write_text(LOADS)
    number = submit(cluster, "--array", "0-1", "--", "sh", "-c", f"exec {sys.executable} {program} $CLUSTER_TASK")
    assert cluster("job", "wait", number).code == 1
    for task in (0, 1):
        said = cluster.ok("job", "show", f"{number}.{task}").text
        assert (
            f"exception     ValueError: bad row {task} (load.py:5 in parse), after KeyError: 'x' (load.py:7)\n" in said
        )
        (shown,) = cluster.ok("job", "show", f"{number}.{task}", "--json").json["task_details"]
        exception = shown["exception"]
        assert exception.pop("cause")["type"] == "KeyError"
        place = {"file": str(program), "line": 5, "function": "parse"}
        assert (exception.pop("following"), exception.pop("first_in_group")) == ([], None)
        assert exception == {"type": "ValueError", "message": f"bad row {task}", **place}
    assert "exception" not in cluster.ok("job", "show", number).text
    single = submit(cluster, "--", sys.executable, str(program), "0")
    cluster("job", "wait", single)
    assert "exception     ValueError: bad row 0 (load.py:5" in cluster.ok("job", "show", single).text
    with Client.connect(home=cluster.home) as client:
        exception = client.get(int(single))[1][0].exception
        assert exception is not None
        assert (exception.type, exception.line, exception.function) == ("ValueError", 5, "parse")


def test_show_says_when_there_are_more_tasks_than_it_shows_unless_so_many_were_asked_for(cluster: Command) -> None:
    number = submit(cluster, "--array", "1-25", "--", "true")
    cluster.ok("job", "wait", number)
    assert "only 20 of its 25 tasks" in cluster.ok("job", "show", number).err
    assert cluster.ok("job", "show", number, "--tasks", "2").err == ""
    assert cluster.ok("job", "show", f"{number}.1-2", "--tasks", "2").err == ""
    assert cluster.ok("job", "show", number, "--tasks", "0").err == ""


def test_a_name_cannot_steer_the_terminal_of_who_looks_at_it(cluster: Command) -> None:
    number = submit(cluster, "--name", "red\x1b[31m", "--", "echo", "\x9b31m")
    for shown in (cluster.ok("job", "list", number).text, cluster.ok("job", "show", number).text):
        assert r"red\x1b[31m" in shown
        assert r"\x9b31m" in shown
        assert not {"\x1b", "\x9b"} & set(shown)


def test_output_as_json_does_nothing_to_a_terminal(cluster: Command) -> None:
    number = submit(cluster, "--", "printf", r"DEL \177 CSI \302\233 RLO \342\200\256 end")
    cluster.ok("job", "wait", number)
    with on_a_terminal(cluster, "job", "logs", "--json", number) as terminal:
        terminal.wait_for(r'"data": "DEL \u007f CSI \u009b RLO \u202e end"}')
    assert json.loads(cluster.ok("job", "logs", "--json", number).text)["data"] == "DEL \x7f CSI \x9b RLO \u202e end"


def test_of_many_jobs_show_names_some(cluster: Command) -> None:
    for _ in range(6):
        submit(cluster, "--name", "six", "--", "true")
    done = cluster("job", "show", "six")
    assert done.code == 2
    assert "selects 6 jobs" in done.err
    assert ", …)" in done.err


def test_show_says_why_a_job_waits(cluster: Command) -> None:
    number = submit(cluster, "--worker", "nobody", "--", "true")
    job = cluster.ok("job", "show", number, "--json").json
    assert job["state"] == "ready"
    assert "nobody" in job["pending_because"][0]
    assert "nobody" in cluster.ok("job", "show", number).text
    cluster.ok("job", "cancel", number)
    job = cluster.ok("job", "show", number, "--json").json
    (task,) = job["task_details"]
    assert (task["reason"], task["exit_code"], job["exit_code"]) == ("cancelled", 143, 143)  # though it never ran


def test_logs_come_from_byte_0_to_where_they_belong(cluster: Command) -> None:
    number = submit(cluster, "--", "sh", "-c", "seq 1 5; seq 6 9 >&2")
    followed = cluster.ok("job", "logs", "-f", number)
    assert (followed.text, followed.err) == ("1\n2\n3\n4\n5\n", "6\n7\n8\n9\n")
    assert cluster.ok("job", "logs", number, "--tail", "2").text == "4\n5\n"
    only = cluster.ok("job", "logs", number, "--stderr")
    assert (only.text, only.err) == ("6\n7\n8\n9\n", "")
    assert cluster.ok("job", "logs", number, "--stdout").err == ""
    both = cluster.ok("job", "logs", number, "--stdout", "--stderr")
    assert (both.text, both.err) == (followed.text, followed.err)


def test_logs_of_what_could_not_be_started_say_why(cluster: Command) -> None:
    number = submit(cluster, "--", "/no/such/program")
    cluster("job", "wait", number)
    why = "launch_failed: cannot start '/no/such/program': no such file"
    done = cluster.ok("job", "logs", number)
    assert (done.out, done.err) == (b"", f"cluster: {number}#1: {why}\n")
    assert cluster.ok("job", "logs", number, "--json").json["note"] == why
    array = submit(cluster, "--array", "1-30", "--cpus", "0.01", "--", "/no/such/program")
    done = cluster.ok("job", "logs", "-f", array)
    assert (done.err.count("\n"), done.err.splitlines()[0]) == (20, f"cluster: {array}.1#1: {why}")


def test_logs_say_nothing_more_of_what_wrote_nothing(cluster: Command) -> None:
    number = submit(cluster, "--", "false")
    done = cluster.ok("job", "logs", "-f", number)
    assert (done.out, done.err) == (b"", "")


def test_a_name_that_the_output_cannot_spell_is_escaped(cluster: Command) -> None:
    number = submit(cluster, "--name", "naïve", "--", "true")
    for arguments in (["job", "list"], ["job", "show", number], ["job", "show", number, "--json"]):
        shown = cluster.ok(*arguments, env={"PYTHONIOENCODING": "ascii"})
        assert "na\\xefve" in shown.text


def test_logs_of_one_task_and_of_all(cluster: Command) -> None:
    number = submit(cluster, "--array", "10-12", "--", "sh", "-c", "echo $CLUSTER_TASK")
    cluster.ok("job", "wait", number)
    assert cluster.ok("job", "logs", f"{number}.11").text == "11\n"
    assert cluster.ok("job", "logs", f"{number}.11-12").text == "11\n12\n"
    assert cluster.ok("job", "logs", number).text == "10\n11\n12\n"


def test_logs_as_json_are_a_line_each_and_lose_nothing(cluster: Command) -> None:
    number = submit(cluster, "--", "sh", "-c", r"echo ü; printf '\377' >&2")
    done = cluster.ok("job", "logs", "-f", number, "--json")
    pieces = {piece["stream"]: piece for piece in map(json.loads, done.text.splitlines())}
    assert (pieces["stdout"]["data"], pieces["stderr"]["data_base64"]) == ("ü\n", "/w==")
    assert (pieces["stdout"]["job"], pieces["stdout"]["attempt"]) == (int(number), 1)
    assert done.err == ""


def test_several_followers_see_everything(cluster: Command) -> None:
    number = submit(cluster, "--", "sh", "-c", "echo begin; sleep 0.2; echo end")
    with cluster.started("job", "logs", "-f", number) as one, cluster.started("job", "logs", "-f", number) as other:
        assert {one.communicate()[0], other.communicate()[0]} == {b"begin\nend\n"}


def test_cancel_stops_the_whole_tree_and_says_who_and_why(cluster: Command) -> None:  # S2.11
    number = submit(cluster, "--", "sh", "-c", "sleep 1000 & echo started; wait")
    with cluster.started("job", "logs", "-f", number) as logs:
        assert logs.stdout
        assert logs.stdout.readline() == b"started\n"
        assert cluster.ok("job", "cancel", number, "--reason", "enough").text == "cancelling 1 task\n"
    assert cluster("job", "wait", number).code == 143
    job = cluster.ok("job", "show", number, "--json").json
    assert (job["state"], job["cancelled_by"], job["cancel_reason"]) == ("cancelled", "admin", "enough")
    assert "nothing to cancel" in cluster.ok("job", "cancel", number).text


def test_cancel_all_does_not_ask_in_a_pipe(cluster: Command) -> None:
    number = submit(cluster, "--", "sleep", "1000")
    cancelled = cluster.ok("job", "cancel", "all", "--json").json
    assert cancelled["cancelled_tasks"] >= 1
    assert cluster("job", "wait", number).code == 143


def test_cancel_all_asks_on_a_terminal_and_takes_no_for_an_answer(cluster: Command) -> None:
    number = submit(cluster, "--worker", "nobody", "--", "true")
    with on_a_terminal(cluster, "job", "cancel", "all") as terminal:
        terminal.wait_for("Cancel all jobs? [y/N]")
        terminal.type("n\n")
        terminal.wait_for("nothing was done")
        assert terminal.process.wait(PATIENCE) == 1
    assert cluster.ok("job", "show", number, "--json").json["state"] == "ready"
    with on_a_terminal(cluster, "job", "cancel", "all") as terminal:
        terminal.wait_for("[y/N]")
        terminal.type("y\n")
        assert terminal.process.wait(PATIENCE) == 0
    assert cluster.ok("job", "show", number, "--json").json["state"] == "cancelled"


def test_a_terminal_gets_a_table(cluster: Command) -> None:
    number = submit(cluster, "--name", "shown", "--", "true")
    cluster.ok("job", "wait", number)
    with on_a_terminal(cluster, "job", "list", "shown") as terminal:
        terminal.wait_for("true")
        assert terminal.process.wait(PATIENCE) == 0
    assert "\t" not in terminal.seen
    assert "succeeded" in terminal.seen


@pytest.mark.parametrize("verb", ["show", "logs", "wait", "cancel", "list"])
@pytest.mark.parametrize("selector", ["4294967", "no-such-name", "01900000-0000-7000-8000-000000000000"])
def test_a_selector_that_finds_nothing_is_named(cluster: Command, verb: str, selector: str) -> None:
    done = cluster("job", verb, selector)
    assert (done.code, done.out) == (1, b"")
    assert selector in done.err
    assert done.err.count("\n") == 1


def test_a_task_that_the_job_does_not_have_is_named(cluster: Command) -> None:
    number = submit(cluster, "--array", "1-9:2", "--", "true")
    done = cluster("job", "logs", f"{number}.2")
    assert done.code == 1
    assert "1-9:2" in done.err


def test_workers_are_listed_with_state_capacity_and_use(cluster: Command) -> None:  # S2.2
    (worker,) = cluster.ok("worker", "list", "--json").json
    assert (worker["state"], worker["cpus"]) == ("online", 2.0)
    heads, row = [line.split("\t") for line in cluster.ok("worker", "list").text.splitlines()]
    assert heads[:4] == ["WORKER", "STATE", "CPUS", "USED"]
    assert row[-1] == worker["id"]
    assert cluster.ok("worker", "list", "-q").text == f"{worker['id']}\n"


def test_tokens_are_made_listed_and_revoked(cluster: Command) -> None:
    made = cluster.ok("token", "create", "--life", "10m", "--uses", "3", "--json").json
    assert made["token"].startswith("C1.127.0.0.1:")
    listed = {token["id"]: token for token in cluster.ok("token", "list", "--json").json}
    assert (listed[made["id"]]["uses_left"], listed[made["id"]]["revoked"]) == (3, False)
    assert "token" not in listed[made["id"]]
    cluster.ok("token", "revoke", made["id"])
    assert "revoked" in next(line for line in cluster.ok("token", "list").text.splitlines() if made["id"] in line)
    unknown = cluster("token", "revoke", "nonsense")
    assert unknown.code == 1
    assert "nonsense" in unknown.err


def test_waiting_for_an_array_says_how_it_ended(cluster: Command) -> None:
    number = submit(cluster, "--array", "1-20", "--", "true")
    cluster.ok("job", "wait", "--quiet", number)  # or it might take so long that it is told how far it is
    waited = cluster.ok("job", "wait", number)
    assert (waited.text, waited.err) == (f"job {number} succeeded\n", "")


def test_no_name_or_command_acts_on_the_terminal(cluster: Command) -> None:
    number = submit(cluster, "--name", "\x1b[2Jname", "--", "/no/\x1b]0;such\x07\r")
    cluster("job", "wait", number)
    failed = cluster("run", "--", "/no/\x1b]0;such\x07\r")
    asked = cluster("job", "show", "\x1b[2Jmissing")
    told = [cluster("job", "list"), cluster("job", "show", number), failed, asked]
    assert not {"\x1b", "\x07", "\r"} & set("".join(answer.text + answer.err for answer in told))
    assert "\\x1b[2Jname" in told[0].text


def test_the_flags_of_the_list_need_no_verb(cluster: Command) -> None:
    number = cluster.ok("job", "submit", "--quiet", "--", "true").text.strip()
    assert str(cluster.ok("job", "--json").json[0]["number"]) == number
    assert cluster.ok("job", "-q").text.splitlines()[0] == number
    assert str(cluster.ok("job", "--json", "show", number).json["number"]) == number
