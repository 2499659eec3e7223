"""`cluster job history`, `job stats` and `cluster usage`: what has been, for people and programs."""

import pytest

from cluster.client import Client
from cluster.domain.job.states import TaskState
from tests.acceptance.command import Command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def past(cluster: Command) -> list[int]:
    """The numbers of three jobs called `past` that have ended, of which the second failed."""
    with Client.connect(home=cluster.home) as client:
        commands = [["sh", "-c", f"echo out; exit {code}"] for code in (0, 3, 0)]
        numbers = [client.wait(client.submit(command, name="past").number)[0].number for command in commands]
        found = client.history(name="past", states=[TaskState.SUCCEEDED])
        assert ([job.number for job in found.jobs], found.next) == ([numbers[2], numbers[0]], "")
        assert client.stats("past").failures == (("exit:3", 1),)
        assert client.usage(by="name").total.attempts >= 3
    return numbers


def test_the_history_tells_what_ended_page_by_page(cluster: Command, past: list[int]) -> None:
    page = cluster.ok("job", "history", "--name", "past", "--limit", "2", "--json").json
    assert [job["number"] for job in page["jobs"]] == [past[2], past[1]]
    assert (page["jobs"][1]["used"]["failed"], page["jobs"][1]["used"]["output_bytes"]) == (1, 4)
    rest = cluster.ok("job", "history", "--name", "past", "--page", page["next"], "--json").json
    assert ([job["number"] for job in rest["jobs"]], rest["next"]) == ([past[0]], None)
    assert cluster.ok("job", "history", "--failed", "--name", "past", "--since", "1h", "-q").text == f"{past[1]}\n"
    assert "\noutput        4 B\n" in cluster.ok("job", "show", str(past[1])).text


@pytest.mark.usefixtures("past")
def test_statistics_and_usage_are_told_to_programs(cluster: Command) -> None:
    told = cluster.ok("job", "stats", "past", "--json").json
    assert (told["jobs"]["count"], told["attempts"], told["failed"]) == (3, 3, 1)
    assert (told["run_seconds"]["of"], told["cpus"], told["asked"]["cpus"]) == (2, None, 1.0)
    (row,) = [row for row in cluster.ok("usage", "--by", "name", "--json").json["rows"] if row["name"] == "past"]
    assert (row["tasks"], row["attempts"], row["failed"], row["output_bytes"]) == (3, 3, 1, 12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["job", "history", "--since", "soon"], "'soon' is no time that is over"),
        (["job", "history", "--since", "1h", "--until", "2h"], "--since is not before --until"),
        (["job", "history", "--limit", "many"], "'many' is no number"),
        (["job", "history", "--state", "running"], "'running' is not one of 'succeeded', 'failed', 'cancelled'"),
        (["usage", "--by", "day"], "'day' is not one of 'user', 'name', 'worker'"),
        (["usage", "--limit", "0"], "give 1 to 1000"),
    ],
)
def test_what_cannot_be_asked_for_is_one_clear_line(cluster: Command, arguments: list[str], words: str) -> None:
    refused = cluster(*arguments)
    assert (refused.code, refused.out, refused.err.count("\n")) == (2, b"", 1), refused
    assert words in refused.err
