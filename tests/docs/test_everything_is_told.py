"""Every command and option stands in a page of documentation."""

from collections.abc import Iterator

import click
import pytest

from cluster.cli.main import cli
from tools.environments import REPOSITORY

SUBJECTS = (
    "jobs",
    "inputs",
    "placement",
    "workflows",
    "job-file",
    "order",
    "times",
    "retries",
    "history",
    "events",
    "top",
    "metrics",
    "http",
    "ui",
    "execute",
    "files",
    "results",
    "uploads",
    "operations",
    "security",
    "reliability",
    "retention",
    "backup",
    "ui",
    "redis",
    "standby",
    "ecs",
    "pools",
    "kubernetes",
)
PAGES = ("README.md", *(f"docs/{subject}.md" for subject in SUBJECTS))


def _all(command: click.Command, words: str) -> Iterator[tuple[str, str]]:
    """(command, what people type) of all commands below it, and of their options."""
    for param in command.params:
        if isinstance(param, click.Option) and not param.hidden:
            yield from ((words, flag) for flag in param.opts if flag.startswith("--"))
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=words)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, name
            yield words, f"{words} {name}"
            yield from _all(below, f"{words} {name}")


@pytest.fixture(scope="module")
def told() -> str:
    return "\n".join((REPOSITORY / page).read_text() for page in PAGES)


def test_every_command_and_option_is_told(told: str) -> None:
    missing = [(command, typed) for command, typed in _all(cli, "cluster") if typed not in told]
    assert missing == [("cluster", "--version")]  # cluster version is told
