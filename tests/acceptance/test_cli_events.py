"""`cluster events`: what happens, for people and programs."""

import json
import re
import signal

import pytest

from cluster.client import Client
from tests.acceptance.command import Command
from tests.acceptance.test_cli_jobs import submit
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


def told(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_events_are_lines_for_people_and_for_programs(cluster: Command) -> None:
    before = told(cluster.ok("events", "--json").text)[-1]["sequence"]
    job = submit(
        cluster, "--name", "sweep", "--array", "1-3", "--", "sh", "-c", "exit $(( CLUSTER_TASK == 2 ? 9 : 0 ))"
    )
    assert cluster("job", "wait", job).code == 9
    lines = cluster.ok("events", "--since", str(before), "--job", job).text.splitlines()
    shown = [re.sub(r"^\d+ \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ", "", line) for line in lines]
    shown = [re.sub(r" on \S+:", " on W:", line) for line in shown]
    assert sorted(shown) == sorted(
        [
            f"job {job} (sweep) submitted ready",
            f"job {job} (sweep) started",
            f"job {job} (sweep) task 2, attempt 1, failed on W: exit:9",
            f"job {job} (sweep) ended failed: exit:9; succeeded: 2, failed: 1",
        ]
    )
    events = told(cluster.ok("events", "--json", "--since", str(before), "--job", "sweep").text)
    assert [event["job"] for event in events] == [int(job)] * 4
    end = events[-1]
    assert (end["kind"], end["state"], end["exit_code"], end["count"]) == ("job.ended", "failed", 9, 3)
    always = ("sequence", "time", "kind", "job", "owner", "name")
    assert set(end) == {*always, "count", "state", "reason", "exit_code", "detail"}


def test_a_follower_sees_what_comes_outlasts_a_restart_and_leaves_with_ctrl_c(command: Command) -> None:
    command.ok("up", "--cpus", "2")
    with command.started("events", "--follow", "--json", "--since", "0") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["kind"] == "worker.joined"
        first = submit(command, "--", "true")
        seen: list[dict[str, object]] = []
        while not seen or (seen[-1]["kind"], seen[-1].get("job")) != ("job.ended", int(first)):
            seen.append(json.loads(process.stdout.readline()))
        command.ok("down")
        command.ok("up", "--cpus", "2")
        second = submit(command, "--", "true")
        while (seen[-1]["kind"], seen[-1].get("job")) != ("job.ended", int(second)):
            seen.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    assert [event["sequence"] for event in seen] == list(range(2, len(seen) + 2))
    kinds = [(event["kind"], event["job"]) for event in seen if "job" in event]
    assert sorted(kinds) == sorted(
        (f"job.{word}", int(job)) for job in (first, second) for word in ("submitted", "started", "ended")
    )
    with Client.connect(home=command.home) as client:
        assert [event.kind for event in client.events(second)] == [kind for kind, job in kinds if job == int(second)]
    command.ok("down")


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("--since", "1000000"), 2, r"cluster: there is no event 1000000 yet: the last one is \d+\n"),
        (("--since", "x"), 2, r"cluster: Invalid value for '--since': 'x' is no number: use 0 or more; see .*\n"),
        (("--job", "no-such"), 1, r"cluster: there is no job .*no-such.*\n"),
    ],
)
def test_what_cannot_be_told_is_said_in_one_line(
    cluster: Command, arguments: tuple[str, ...], code: int, error: str
) -> None:
    done = cluster("events", *arguments)
    assert (done.code, done.out) == (code, b"")
    assert re.fullmatch(error, done.err), done.err
