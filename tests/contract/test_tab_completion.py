"""What shells offer at TAB, as far as no cluster is needed for that."""

import click
import pytest
from click.shell_completion import ShellComplete

from cluster.cli.main import cli
from tests.contract.commands import commands

PEOPLE_NAME = ("selector", "selectors", "worker", "workers", "jobs", "words")  # arguments that one knows the values of


def offered(words: str) -> list[str]:
    """At the end of that line."""
    *before, incomplete = words.split(" ")
    found = ShellComplete(cli, {}, "cluster", "_CLUSTER_COMPLETE").get_completions(before, incomplete)
    return [item.value for item in found]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("job submit --overlap ", ["skip", "queue", "allow"]),
        ("job submit --on-dependency-fail r", ["run"]),
        ("run --notify-on ", ["end", "fail"]),
        ("run --retry-on exit,lo", ["exit,lost"]),
        ("run --check-output ", ["json", "regex:", "schema:"]),
        ("job submit --every @mid", ["@midnight"]),
        ("job list --state ru", ["running"]),
        ("help jo", ["job"]),
        ("help job su", ["submit"]),
        ("help job submit ", []),
        ("help nothing ", []),
        ("run --at ", []),
        ("job pau", ["pause"]),
    ],
)
def test_words_that_a_value_may_be_are_offered(words: str, expected: list[str]) -> None:
    assert offered(words) == expected


def test_a_cluster_that_is_not_there_offers_nothing_says_nothing_and_is_not_started(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("CLUSTER_HOME", str(home))
    assert offered("worker drain ") == []
    assert offered("job show ") == ["last"]
    assert (capfd.readouterr(), list(home.iterdir())) == (("", ""), [])


def test_whatever_names_a_job_or_a_worker_is_offered_those_that_there_are() -> None:
    without = [
        (" ".join(words), param.name)
        for words, command in commands(cli)
        for param in command.params
        if param.name in PEOPLE_NAME and isinstance(param, click.Argument) and param._custom_shell_complete is None
    ]
    assert not without, "give it shell_complete=…, of cluster/cli/tab_completion.py"
