"""An option whose value is empty is refused, wherever it stands: `--at "$WHEN"` must not run at once without WHEN.
So is a group of commands of which none is named."""

import click
import pytest

from cluster.cli import submit
from cluster.cli.job_inputs import TYPED
from cluster.cli.main import cli, run
from cluster.cli.quick.options import of_job
from cluster.client.local import Elsewhere
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.job_tables import WrongTable, key_of, specs_of
from cluster.domain.job.kinds import SWITCH, VARIABLES
from cluster.domain.job.options import Option
from cluster.domain.job.script_lines import options_in
from tests.contract.commands import commands

EMPTY = "it is empty: give a value, or leave the option out"
WITH_VALUE = [each for each in TYPED if each.kind not in (SWITCH, VARIABLES)]


def test_every_option_of_every_command_refuses_nothing() -> None:
    seen = 0
    for words, command in commands(cli):
        for param in command.params:
            if not isinstance(param, click.Option) or param.is_flag:
                continue
            with pytest.raises(click.BadParameter) as raised:
                command.make_context(" ".join(words) or "cluster", [param.opts[0], ""], obj={})
            assert raised.value.param is param, words
            seen += 1
    assert seen > 100


@pytest.fixture(scope="module")
def of_the_command_line() -> click.Command:
    """`job submit` as the whole command line has it, which teaches its commands to refuse nothing."""
    return next(command for words, command in commands(cli) if words == ("job", "submit"))


@pytest.mark.parametrize("option", WITH_VALUE, ids=lambda option: option.name)
def test_so_does_every_option_of_a_job_wherever_it_stands(option: Option, of_the_command_line: click.Command) -> None:
    with pytest.raises(click.BadParameter, match=EMPTY):
        of_the_command_line.make_context("submit", [option.flag, "", "--", "true"], obj={})
    with pytest.raises((Elsewhere, InvalidInput)):  # which the whole command line meets again
        of_job([option.flag, "", "--", "true"], {})
    with pytest.raises(InvalidInput, match=rf"column \d+: {EMPTY}"):
        options_in(f"#!/bin/sh\n#CLUSTER {option.flag} ''\n".encode(), "a.sh", TYPED)
    if option.field != "name":
        with pytest.raises(WrongTable, match=f"{key_of(option)} = '': {EMPTY}"):
            specs_of({"jobs": {"a": {"command": ["true"], key_of(option): ""}}}, lambda path: b"x")


@pytest.mark.parametrize("words", ["job state", "token", "user", "config"])
def test_a_group_without_a_command_names_those_that_there_are(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words.split()) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"cluster: `cluster {words}` needs a command: ")
    assert said.endswith(f"; see `cluster {words} --help`\n")
    assert len(said) < 120


def test_a_variable_of_an_option_that_is_empty_is_as_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLUSTER_JOB_SUBMIT_AT", "")
    monkeypatch.setenv("CLUSTER_JOB_SUBMIT_MEM", "")
    context = submit.submit.make_context("submit", ["--", "true"], obj={}, auto_envvar_prefix="CLUSTER_JOB_SUBMIT")
    assert submit.spec_of(context.params, submit.typed_in(context)).at == ""


def test_who_is_in_no_job_names_the_one_whose_state_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["job", "state", "get"]) == 2
    assert capsys.readouterr().err.startswith("cluster: Missing argument 'JOB'. inside a job it may be left out; see ")
