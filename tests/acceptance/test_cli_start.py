"""The command line starts fast because it loads only what a command needs."""

import subprocess
import sys

import click
import pytest

from cluster.cli import jobs, main
from tests.acceptance.command import Command
from tools.environments import REPOSITORY

HEAVY = {"grpc", "google.protobuf", "cryptography", "rich", "asyncio", "sqlite3"}


def loaded(*arguments: str) -> set[str]:
    """Which heavy packages a command line has loaded when it ends."""
    code = (
        "import sys\nfrom cluster.cli.main import run\n"
        f"run({list(arguments)!r})\n"
        f"print(*(name for name in {sorted(HEAVY)!r} if name in sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--version"], ["version"], [], ["--help"], ["help"], ["nonsense"]])
def test_what_needs_no_cluster_loads_nothing_heavy(arguments: list[str]) -> None:
    assert loaded(*arguments) == set()


def test_running_loads_neither_cryptography_nor_rich() -> None:
    code = (
        "import sys, cluster.cli.submit, cluster.cli.connection, cluster.cli.follow, cluster.client.scheduler_backend\n"
        f"print(*(name for name in {sorted(HEAVY)!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    assert set(done.stdout.split()) == {"asyncio", "google.protobuf"}


def test_the_version_is_one_line(command: Command) -> None:
    from cluster import __version__

    for words in ("--version", "-V", "version"):
        assert command.ok(words).text == f"cluster {__version__}\n"


def test_the_verbs_of_jobs_are_known_without_loading_them() -> None:
    verbs = set(jobs.COMMANDS) - set(main.COMMANDS)
    assert {verb: f"job {verb}" for verb in verbs}.items() <= main.MEANT.items()


def test_what_people_type_for_a_command_is_none_and_means_one() -> None:
    assert not set(main.MEANT) & set(main.COMMANDS)
    for meant in main.MEANT.values():
        command: click.Command = main.cli
        for name in meant.split():
            assert isinstance(command, click.Group)
            found = command.get_command(click.Context(command), name)
            assert found is not None, meant
            command = found


def test_help_may_be_a_word(command: Command) -> None:
    for words in ([], ["run"], ["job", "submit"], ["token", "create"]):
        assert command.ok("help", *words).text == command.ok(*words, "--help").text


def test_alone_it_shows_three_commands_to_begin_with(command: Command) -> None:
    said = command.ok().text
    assert sum(line.startswith("  cluster ") for line in said.splitlines()) == 3
    assert "--help" in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_our_variable(command: Command, shell: str) -> None:
    assert "_CLUSTER_COMPLETE" in command.ok("completion", shell).text


def test_completion_knows_commands_and_options(command: Command) -> None:
    words = {"COMP_WORDS": "cluster job ", "COMP_CWORD": "2", "_CLUSTER_COMPLETE": "bash_complete"}
    assert "plain,cancel" in command.ok(env=words).text.splitlines()
    words = {"COMP_WORDS": "cluster run --arr", "COMP_CWORD": "2", "_CLUSTER_COMPLETE": "bash_complete"}
    assert command.ok(env=words).text.splitlines() == ["plain,--array"]


def test_completion_knows_the_jobs_and_workers_of_the_cluster(cluster: Command) -> None:
    number = cluster.ok("job", "submit", "-q", "--name", "completed", "--", "true").text.strip()

    def offered(line: str) -> list[str]:
        count = str(len(line.split(" ")) - 1)
        done = cluster.ok(env={"COMP_WORDS": line, "COMP_CWORD": count, "_CLUSTER_COMPLETE": "bash_complete"})
        assert done.err == ""
        return [word.removeprefix("plain,") for word in done.text.splitlines()]

    assert {number, "completed", "last"} <= set(offered("cluster job show "))
    assert offered("cluster job submit --after 1,compl") == ["1,completed"]
    (worker,) = cluster.ok("worker", "list", "-q", "--json").json
    assert offered("cluster worker drain ") == offered("cluster run --worker ") == [worker["name"]]
    assert offered("cluster user revoke ad") == ["admin"]


def test_every_command_has_help_with_its_options(command: Command) -> None:
    for line in (["run"], ["job"], ["job", "logs"], ["worker"], ["scheduler"], ["up"], ["token", "create"], ["login"]):
        done = command.ok(*line, "--help")
        assert done.text.startswith(f"Usage: cluster {' '.join(line)}")
