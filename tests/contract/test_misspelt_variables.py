"""A variable whose name is nearly that of an option is told, and what is no variable of ours costs nothing."""

import click
import pytest

from cluster.cli.lazy import LazyGroup
from cluster.cli.main import cli
from cluster.cli.variables import of_options


@pytest.fixture
def group() -> LazyGroup:
    """Only `run` can be loaded: to look at another command is an error."""
    there = {"run": ("cluster.cli.submit:run", ""), "worker": ("cluster.no_such_module:worker", "")}
    return LazyGroup("cluster", commands_at=there)


@pytest.mark.parametrize("word", ["RUN_CPU", "RN_CPUS", "RUNCPUS", "RUN__CPUS", "URN_CPUS"])
def test_only_the_command_that_it_may_be_meant_for_is_loaded(word: str, group: LazyGroup) -> None:
    assert "RUN_CPUS" in of_options(group, click.Context(group), "", word)


@pytest.mark.parametrize("word", ["NAME", "K8S_NAMESPACE", "X"])
def test_of_another_programs_variable_nothing_is_loaded(word: str, group: LazyGroup) -> None:
    assert list(of_options(group, click.Context(group), "", word)) == []


def test_each_is_found_that_lacks_a_letter() -> None:
    for name in of_options(cli, click.Context(cli), ""):
        for at in {0, len(name) // 2, len(name) - 1}:
            lacking = name[:at] + name[at + 1 :]
            assert name in of_options(cli, click.Context(cli), "", lacking), lacking
