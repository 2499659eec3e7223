"""Job files, through the command line."""

import json
import re
import signal
from pathlib import Path

import pytest

from cluster.client.job_file import JobFile
from cluster.domain.base.errors import InvalidInput
from tests.acceptance.command import Command
from tests.acceptance.terminal import on_a_terminal
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

FILE = """
[defaults]
env = { WHO = "all" }
[jobs.merge]
command = ["sh", "-c", "echo merged for $WHO"]
after-each = "split"
array = "1-2"
env = { WHO = "me" }
[jobs.split]
command = "echo split {}"
each-line = ["one", "two words"]
"""


def test_the_jobs_of_a_file_are_handed_in_together_from_a_file_or_stdin(cluster: Command, tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(FILE)
    merge, split = map(int, cluster.ok("job", "submit", "-q", "--file", str(path)).text.split())
    assert split == merge - 1, "what is waited for comes first"
    assert cluster.ok("job", "wait", str(merge)).text == f"job {merge} succeeded\n"
    assert cluster.ok("job", "logs", str(merge)).text == "merged for me\nmerged for me\n"
    assert cluster.ok("job", "logs", str(split)).text == "split one\nsplit two words\n"
    told = cluster.ok("job", "submit", "--json", "--file", "-", stdin=FILE.encode()).json
    assert told == [{"job": merge + 2, "name": "merge"}, {"job": split + 2, "name": "split"}]
    text = cluster.ok("job", "submit", "--file", str(path)).text
    assert text == f"job {merge + 4} submitted (merge, 2 tasks)\njob {split + 4} submitted (split, 2 tasks)\n"


def test_what_no_worker_can_run_is_said(cluster: Command, tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_text('[jobs.large]\ncommand = "true"\ncpus = 1000\n[jobs.small]\ncommand = "true"\n')
    told = cluster.ok("job", "submit", "--quiet", "--file", str(path))
    large = told.text.split()[0]
    assert told.err.startswith(
        f"cluster: job {large} waits, because no worker that there is now can run it: needs 1000"
    )
    assert told.err.count("\n") == 1
    cluster.ok("job", "cancel", large)


def test_a_plan_is_shown_and_nothing_is_changed(cluster: Command, tmp_path: Path) -> None:
    before = cluster.ok("job", "list", "-q").text
    shown = cluster.ok("job", "submit", "--file", "-", "--check", stdin=FILE.encode()).text
    rows = [line.split("\t") for line in shown.splitlines()]
    assert rows == [
        ["JOB", "TASKS", "AFTER", "COMMAND"],
        ["split", "2", "-", "echo split '{}'"],
        ["merge", "2", "split (each)", "sh -c 'echo merged for $WHO'"],
    ]
    split, merge = cluster.ok("job", "submit", "--file", "-", "--check", "--json", stdin=FILE.encode()).json
    assert (split["name"], split["tasks"], merge["after_each"], merge["env"]) == ("split", 2, ["split"], {"WHO": "me"})
    assert cluster.ok("job", "list", "-q").text == before


def test_what_is_wrong_with_a_file_is_one_line_and_changes_nothing(cluster: Command, tmp_path: Path) -> None:
    path, before = tmp_path / "jobs.toml", cluster.ok("job", "list", "-q").text
    wrong = {
        "[jobs.a]\ncommand = [\n": ":", "a = 1 2": ":1:7: this is no TOML: ",
        '[jobs.a]\ncommand = "x"\n\n[jobs.b]\ncommand = "x"\nafter = ["a", "nightli"]\n': (
            ":6:1: job b: after = 'nightli': there is no job 'nightli'"),
        '[jobs.lib]\ncommand = "x"\n[jobs.b]\ncommand = "x"\nafter_any = "libb"': ":5:1: job b: after-any = 'libb': ",
        '[jobs.a]\ncommand = "x"\nafter = "b"\n[jobs.b]\ncommand = "x"\nafter = "a"': (
            ":3:1: these jobs wait for each other in a circle: a -> b -> a "),
        '[jobs.a]\ncommand = "x"\ntimeout = -1': ":3:1: job a: timeout = -1: ",
        "\udcff = 1": ":1:1: this is no UTF-8",
        f"a = {'[' * 5000}": ": its values lie in too many levels",
    }  # fmt: skip
    for text, words in wrong.items():
        path.write_bytes(text.encode(errors="surrogateescape"))
        told = cluster("job", "submit", "--file", str(path))
        assert told.code == 2, text
        assert told.err.startswith(f"cluster: {path}{words}"), told.err
        assert told.err.count("\n") == 1
    path.write_text(FILE)
    for more, words in (
        (("--retries", "2"), "--retries does not go with --file: give it in the file"),
        (("--", "true"), "--file says what to run: give no command beside it"),
    ):
        assert words in cluster("job", "submit", "--file", str(path), *more).err
    assert "--check needs --file" in cluster("job", "submit", "--check", "--", "true").err
    assert cluster.ok("job", "list", "-q").text == before


def test_every_path_of_a_file_is_relative_to_its_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    for name, text in {"lines": "x\ny\n", "s.sh": "#!/bin/sh\n#CLUSTER --retries 2\n", "t.csv": "a\n1\n"}.items():
        (tmp_path / "jobs" / name).write_text(text)
    file = """
    [jobs.lines]
    command = "echo {}"
    each-line = "lines"
    upload = "lines"
    stdin = "lines"
    [jobs.script]
    script-file = "s.sh"
    from-csv = "t.csv"
    """
    (tmp_path / "jobs" / "all.toml").write_text(file)
    monkeypatch.chdir(tmp_path)
    found = JobFile("jobs/all.toml")
    assert [spec.lines for spec in found.specs] == [b"x\ny", b'{"a":"1"}']
    assert (found.specs[1].retries, found.specs[1].script_name) == (2, "s.sh")
    assert (found.files[0].base, found.files[0].upload) == (str(tmp_path / "jobs"), ("lines",))
    (tmp_path / "jobs" / "lines").rename(tmp_path / "lines")  # where we are
    with pytest.raises(InvalidInput, match=r"all.toml:4:\d+: job lines: each-line = 'lines': .*No such file"):
        JobFile("jobs/all.toml")


def test_files_that_are_kept_are_offered_at_the_end(cluster: Command) -> None:
    text = '[defaults]\nout = "x"\n[jobs.b]\nafter = "a"\ncommand = "touch x"\n[jobs.a]\ncommand = "touch x"\n'
    told = cluster.ok("run", "-q", "--file", "-", stdin=text.encode()).err
    assert re.fullmatch(r"cluster: `cluster job fetch \d+ \d+ --to DIR` brings the files that are kept \(out\)\n", told)
    refused = cluster("run", "--file", "-", "--to", "x", stdin=text.encode())
    assert refused.code == 2
    assert "`cluster job fetch JOB --to DIR` brings what a job of the file keeps (out)" in refused.err


RUN = """
[jobs.final]
command = "echo final"
after = "first"
[jobs.first]
command = ["sh", "-c", "echo first $CLUSTER_TASK; exit {code}"]
array = "1-2"
[jobs.otherwise]
command = "echo otherwise"
after-fail = "first"
"""


IN_VAIN = {"a": 'after-fail = "b"', "b": "", "c": 'after = "a"'}


def test_a_file_is_run_and_the_first_failure_counts(cluster: Command) -> None:
    well = cluster.ok("run", "-q", "--file", "-", stdin=RUN.replace("{code}", "0").encode())
    assert well.text == "first 1\nfirst 2\nfinal\n"
    assert well.err.endswith("(otherwise) cancelled (dependency)\n"), "it waited for a failure, and nothing has failed"
    ill = cluster("run", "-q", "--file", "-", stdin=RUN.replace("{code}", "5").encode())
    assert (ill.code, ill.text) == (5, "first 1\nfirst 2\notherwise\n")
    told = [line.partition(" (")[2].partition(":")[0] for line in ill.err.splitlines()]
    assert told == ["first) failed (exit", "final) cancelled (dependency)"]
    vain = "".join(f'[jobs.{name}]\ncommand = "true"\n{more}\n' for name, more in IN_VAIN.items())
    assert cluster("run", "-q", "--file", "-", stdin=vain.encode()).code == 143, "c waited in vain for no failure"


def test_what_cannot_be_run_of_a_file_is_refused_before_anything_is(cluster: Command, tmp_path: Path) -> None:
    path, before = tmp_path / "jobs.toml", cluster.ok("job", "list", "-q").text
    path.write_text('[jobs.a]\ncommand = "true"\nevery = "@daily"\n')
    refused = cluster("run", "--file", str(path))
    said = f"cluster: {path}:3:1: job a: every makes a job that never ends: hand the file in with"
    assert (refused.code, refused.err.startswith(said)) == (2, True), refused.err
    assert "--retries does not go with --file" in cluster("run", "--retries", "1", "--file", str(path)).err
    assert "give no command beside it" in cluster("run", "--file", str(path), "--", "true").err
    assert cluster.ok("job", "list", "-q").text == before


def test_a_file_may_be_json_and_come_from_stdin(cluster: Command) -> None:
    # S3.14
    jobs = {"second": {"command": ["echo", "two"], "after": "first"}, "first": {"commands": ["echo one", "echo more"]}}
    text = json.dumps({"defaults": {"retries": 1}, "jobs": jobs}, indent=1)
    assert cluster.ok("run", "-q", "--file", "-", stdin=text.encode()).text == "one\nmore\ntwo\n"
    shown = cluster.ok("job", "submit", "--file", "-", "--check", "--json", stdin=text.encode()).json
    assert [(job["name"], job["retries"]) for job in shown] == [("first", 1), ("second", 1)]
    for wrong, said in (
        ('{"jobs": {"a": {"command": "x",}}}', "-:1:32: this is no JSON: "),
        (
            '{"jobs": {"a": {"command": "x", "command": "y"}}}',
            "-: this is no JSON: 'command' comes twice in one object",
        ),
        ('{"jobs": {"a": {"command": "x", "retries": NaN}}}', "-: this is no JSON: NaN is no number of JSON"),
        ('{"jobs": {"a": {"command": "x", "retrys": 1}}}', "-: job a: there is no option 'retrys'; the nearest is"),
        ('{"jobs": []}', "-: it has no jobs: "),
    ):
        refused = cluster("job", "submit", "--file", "-", stdin=wrong.encode())
        assert (refused.code, refused.err.startswith(f"cluster: {said}"), refused.err.count("\n")) == (2, True, 1), (
            refused
        )


def test_one_job_may_be_asked_for_in_json(cluster: Command) -> None:  # S3.3, S3.14
    request = '{"commands": [{"exec": ["echo", "one"]}, {"exec": ["sh", "-c", "echo $A"]}], "environment": {"A": "two"}'
    one = f'{request}, "request_id": "cli-1"}}'.encode()
    made = cluster.ok("job", "submit", "--file", "-", stdin=one).text
    assert re.fullmatch(r"job \d+ submitted\n", made)
    number = made.split()[1]
    again = cluster.ok("job", "submit", "-q", "--file", "-", stdin=one).text
    assert again == f"{number}\n", "the same id is the same job"
    assert cluster.ok("job", "wait", number).code == 0
    assert cluster.ok("job", "logs", number).text == "one\ntwo\n"
    refused = cluster("job", "submit", "--file", "-", stdin=f'{request}, "timeout": "soon"}}'.encode())
    assert (refused.code, "cluster: -: timeout = 'soon'" in refused.err) == (2, True), refused


def test_the_words_after_two_hyphens_are_the_command_and_nodes_are_listed(cluster: Command) -> None:  # S3.14
    number = cluster.ok("job", "submit", "-q", "--", "echo", "--quiet").text.strip()
    cluster.ok("job", "wait", number)
    assert cluster.ok("job", "logs", number).text == "--quiet\n"
    assert number in [str(job["number"]) for job in cluster.ok("job", "list", "--json").json]
    assert cluster.ok("job", "show", number, "--json").json["state"] == "succeeded"
    (node,) = cluster.ok("worker", "list", "--json").json
    assert node["state"] == "online"


AT_WORK = """
[defaults]
cpus = 0.1
[jobs.begun]
command = ["echo", "begun"]
[jobs.works]
command = ["sleep", "1000"]
after = "begun"
[jobs.beside]
command = ["sleep", "1000"]
array = "1-2"
[jobs.waits]
command = ["true"]
after = "works"
"""


def wait_until_at_work(cluster: Command) -> None:
    for name in ("works", "beside"):
        cluster.wait_until_running(cluster.ok("job", "list", "--quiet", "--limit", "1", name).text.strip())


def interrupted(cluster: Command, at: list[int]) -> dict[str, tuple[str, int]]:
    """By their names, what became of the jobs of AT_WORK: state and exit code."""
    cluster("job", "wait", "-q", *map(str, at))
    jobs = cluster.ok("job", "list", "--json", *map(str, at)).json
    return {job["name"]: (job["state"], job["exit_code"]) for job in jobs}


CANCELLED = {
    "begun": ("succeeded", 0),
    "works": ("cancelled", 143),
    "beside": ("cancelled", 143),
    "waits": ("cancelled", 143),
}


def test_ctrl_c_asks_about_all_jobs_of_a_file_and_cancels_them(cluster: Command, tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(AT_WORK)
    with on_a_terminal(cluster, "run", "--file", str(path)) as terminal:
        terminal.wait_for("begun")
        wait_until_at_work(cluster)
        terminal.type("\x03")
        terminal.wait_for("[g]o on here? ")
        first, last = map(int, re.findall(r"cluster: jobs (\d+)-(\d+) go on\. \[c\]ancel them", terminal.seen)[0])
        terminal.type("\x03")
        terminal.wait_for(f"cluster: cancelling jobs {first}-{last}")
        assert terminal.process.wait(PATIENCE) == 143
    assert interrupted(cluster, list(range(first, last + 1))) == CANCELLED


def test_ctrl_c_can_leave_all_jobs_of_a_file_running_or_go_on(cluster: Command, tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(AT_WORK)
    with on_a_terminal(cluster, "run", "--file", str(path)) as terminal:
        terminal.wait_for("begun")
        wait_until_at_work(cluster)
        terminal.type("\x03")
        terminal.wait_for("[g]o on here? ")
        terminal.seen = ""
        terminal.type("g\n")
        terminal.wait_for("ended")  # the bar
        terminal.type("\x03")
        terminal.wait_for("[g]o on here? ")
        first, last = map(int, re.findall(r"cluster: jobs (\d+)-(\d+) go on\.", terminal.seen)[0])
        terminal.type("l\n")
        numbers = list(range(first, last + 1))
        terminal.wait_for(f"jobs {first}-{last} go on; `cluster job list {' '.join(map(str, numbers))}` tells")
        assert terminal.process.wait(PATIENCE) == 130
    states = {job["name"]: job["state"] for job in cluster.ok("job", "list", "--json", *map(str, numbers)).json}
    assert states == {"begun": "succeeded", "works": "running", "beside": "running", "waits": "waiting"}
    cluster.ok("job", "cancel", *map(str, numbers[1:]))
    assert interrupted(cluster, numbers) == CANCELLED


def test_a_signal_cancels_all_jobs_of_a_file_where_nobody_can_be_asked(cluster: Command, tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(AT_WORK)
    with cluster.started("run", "--file", str(path)) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"begun\n"
        wait_until_at_work(cluster)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 143
        first, last = map(int, re.findall(rb"cluster: cancelling jobs (\d+)-(\d+)", process.stderr.read())[0])
    assert interrupted(cluster, list(range(first, last + 1))) == CANCELLED
