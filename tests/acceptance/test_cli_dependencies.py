"""Jobs that wait for others, through the command line."""

import pytest

from tests.acceptance.command import Command
from tests.acceptance.test_cli_jobs import submit

pytestmark = pytest.mark.slow


def test_a_graph_of_jobs_runs_in_its_order(cluster: Command, tmp_path: object) -> None:
    """Split, an array on each part, merge: as a pipe would do it."""
    split = submit(
        cluster, "--", "sh", "-c", f"for n in 0 1 2; do seq $((n * 10 + 1)) $((n * 10 + 10)) > {tmp_path}/part$n; done"
    )
    sums = submit(
        cluster, "--after", split, "--array", "0-2", "--",
        "sh", "-c", f"awk '{{s+=$1}} END {{print s}}' {tmp_path}/part$CLUSTER_TASK > {tmp_path}/sum$CLUSTER_TASK",
    )  # fmt: skip
    merge = submit(cluster, "--after", sums, "--", "sh", "-c", f"cat {tmp_path}/sum? | awk '{{s+=$1}} END {{print s}}'")
    assert cluster.ok("job", "wait", merge).text == f"job {merge} succeeded\n"
    assert cluster.ok("job", "logs", merge).text == "465\n"
    told = cluster.ok("job", "show", "--json", merge).json
    assert told["after"] == [sums]


def test_what_waits_in_vain_says_for_what(cluster: Command) -> None:
    first = submit(cluster, "--name", "doomed", "--array", "1-3", "--", "sh", "-c", "test $CLUSTER_TASK != 2")
    each = submit(cluster, "--array", "1-3", "--after-each", "doomed", "--", "true")
    whole = submit(cluster, "--after", "doomed", "--after", each, "--", "true")
    clean_up = submit(cluster, "--after-fail", whole, "--after-any", first, "--", "true")
    assert cluster.ok("job", "wait", clean_up).code == 0
    waited = cluster("job", "wait", whole)
    assert (waited.code, waited.text) == (143, f"job {whole} cancelled (dependency)\n")
    assert f"job {first} had to succeed first" in cluster.ok("job", "show", whole).text
    why = cluster.ok("job", "why", whole).text.split("\n\n")
    assert f"it never ran: job {first} had to succeed first" in why[0]
    assert [line.split() for line in why[1].splitlines()[:2]] == [["job", first], ["name", "doomed"]]
    assert " it left with exit code 1" in why[1]
    (cause,) = cluster.ok("job", "why", "--json", whole).json["causes"]
    assert (cause["job"], cause["reason"], cause["because"]) == (int(first), "exit:1", ["it left with exit code 1"])
    tasks = {task["task"]: task["reason"] for task in cluster.ok("job", "show", "--json", each).json["task_details"]}
    assert tasks == {1: "ok", 2: "dependency", 3: "ok"}


def test_a_job_that_has_ended_long_ago_counts(cluster: Command) -> None:
    good, bad = submit(cluster, "--", "true"), submit(cluster, "--", "false")
    cluster("job", "wait", good, bad)
    assert cluster("run", "--after", good, "--after-fail", bad, "--", "echo", "both").text == "both\n"
    assert cluster("run", "--after", bad, "--", "true").code == 143
    assert cluster("run", "--after", bad, "--on-dependency-fail", "run", "--", "echo", "anyway").text == "anyway\n"


def test_the_same_key_again_is_the_same_job(cluster: Command, tmp_path: object) -> None:
    command = ("--key", f"once {tmp_path}", "--", "sh", "-c", "echo ran; exit 3")
    first = cluster("run", *command)
    assert (first.code, first.text) == (3, "ran\n")
    number = cluster.ok("job", "list", "--limit", "1", "-q").text.strip()
    assert submit(cluster, *command) == number
    again = cluster("run", *command)
    assert (again.code, again.text) == (3, "ran\n")
    other = cluster("run", *command[:-1], "true")
    assert (other.code, other.err.count("\n")) == (1, 1)
    assert f"is that of job {number}, where the command is another: use another key" in other.err
    assert cluster.ok("job", "show", "--json", number).json["key"] == command[1]
    assert cluster.ok("job", "list", "--limit", "1", "-q").text.strip() == number


def test_what_a_job_cannot_wait_for_is_refused(cluster: Command) -> None:
    array = submit(cluster, "--array", "1-4", "--", "true")
    wrong = {
        ("--after", "99999"): "there is no job 99999",
        ("--after", "nosuch"): "there is no job 'nosuch'",
        ("--after", "all"): "cannot wait for all jobs",
        ("--after", f"{array}.2"): "a job waits for whole jobs",
        ("--after", "last.2"): "give last, or --after-each last",
        ("--after", f"{array}.2#1"): "a job waits for whole jobs",
        ("--after", ","): "names no job",
        ("--after", "1,,2"): "names no job",
        ("--after-each", array): f"job {array} has 4 tasks and this one 1",
        ("--after", array, "--on-dependency-fail", "hope"): "use end or run",
    }
    before = cluster.ok("job", "list", "--limit", "1", "-q").text
    for options, words in wrong.items():
        refused = cluster("job", "submit", *options, "--", "true")
        assert refused.code in (1, 2), refused
        assert words in refused.err
        assert refused.err.count("\n") == 1
    assert cluster.ok("job", "list", "--limit", "1", "-q").text == before
