"""The role table speaks to people in their own words."""

import click
import pytest

from cluster.cli.main import cli
from cluster.domain.trust.identity import Role
from cluster.rpc.roles import ROLES, VERBS, refusal

PEOPLE = {Role.ADMIN, Role.USER, Role.VIEWER}


def test_every_call_that_some_person_may_not_make_has_a_verb() -> None:
    assert {method for method, roles in ROLES.items() if 0 < len(PEOPLE & roles) < len(PEOPLE)} == set(VERBS)


@pytest.mark.parametrize("method", VERBS)
def test_a_refusal_names_a_command_that_there_is(method: str) -> None:
    command: click.Command | None = cli
    for word in VERBS[method].split():
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None
    assert refusal(method, Role.VIEWER) == f"has the role viewer, which may not use `cluster {VERBS[method]}`"
