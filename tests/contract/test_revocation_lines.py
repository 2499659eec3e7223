"""What `user revoke` and `token revoke` say has happened."""

import pytest

from cluster.cli.revocation_lines import print_revoked
from cluster.client.types import Member, RevocationResult

ADMIN, EVE = Member("user", "admin", "admin"), Member("user", "eve", "eve")


def said(capsys: pytest.CaptureFixture[str], what: str, *expelled: Member) -> list[str]:
    print_revoked(what, RevocationResult(expelled, (), (), 0, (), 0))
    return capsys.readouterr().out.splitlines()


def test_the_first_user_who_cannot_be_expelled_for_good_is_said_to_stay(capsys: pytest.CaptureFixture[str]) -> None:
    """Else `user admin revoked` looked as if the cluster had no admin any more, and nothing had changed."""
    stays = "user admin stays by a new certificate, beside the scheduler's keys; every other is refused"
    assert said(capsys, "user admin", ADMIN) == ["user admin revoked", stays]
    assert said(capsys, "token 5", EVE, ADMIN)[1:] == ["user eve expelled", "user admin expelled", stays]
    assert said(capsys, "user eve", EVE) == ["user eve revoked"]
