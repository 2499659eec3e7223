"""Who types a word of another program's, or of another place, is told the command."""

import click
import pytest

from cluster.cli import jobs, main
from cluster.cli.main import cli, run


@pytest.mark.parametrize(
    ("words", "meant"),
    [("ps", "job list"), ("job kill 5", "job cancel"), ("job ls", "job list"), ("job status 5", "job show")],
)
def test_it_names_the_command_that_is_meant(words: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) == 2
    assert f"did you mean `cluster {meant}`?" in capsys.readouterr().err


@pytest.mark.parametrize("meant", sorted({*main.MEANT.values(), *jobs.MEANT.values()}))
def test_there_is_such_a_command(meant: str) -> None:
    found: click.Command | None = cli
    for word in meant.removesuffix(" -f").split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), word)
        assert found is not None, word


def test_no_command_is_hidden_by_it() -> None:
    assert not jobs.MEANT.keys() & jobs.COMMANDS.keys()
    assert not main.MEANT.keys() & main.COMMANDS.keys()
