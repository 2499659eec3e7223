"""Scripts that change something and want no line for that say -q. (Whoever is expelled is named all the same.)"""

import click
import pytest

from cluster.cli.main import cli
from tests.contract.commands import commands

CHANGES = (
    *("job submit", "job cancel", "job pause", "job resume", "job set", "job retry", "job rerun"),
    *("queue pause", "queue resume", "worker drain", "worker resume", "worker remove", "user share"),
)


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_something_may_be_quiet(name: str) -> None:
    (command,) = [command for words, command in commands(cli) if " ".join(words) == name]
    assert any("-q" in param.opts for param in command.params if isinstance(param, click.Option))
