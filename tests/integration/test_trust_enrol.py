"""Both sides of joining and renewing, without the wire."""

import asyncio
from pathlib import Path

import pytest

from cluster.domain.base.errors import InvalidInput, NotAuthenticated, Untrusted
from cluster.domain.trust.enrolments import BY_HAND, Enrolment
from cluster.domain.trust.identity import Caller, Identity, IdentityKind, Peer, Role
from cluster.domain.trust.tokens import TokenRecord, admit
from cluster.pki.authority import Authority, create_authority, open_authority
from cluster.pki.issuer import KeyRequest, hash_secret, join, new_token, renew
from tests.integration.trust import enrolment_by

NOW = 1_790_000_000.0
WORKER = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return open_authority(tmp_path / "scheduler", NOW)


def joined(authority: Authority, record: TokenRecord, secret: str, request: bytes, now: float = NOW) -> Identity:
    records = {record.secret_hash: record}

    async def spend(secret_hash: str, before: Peer | None) -> Enrolment:
        records[secret_hash] = admit(records, secret_hash, now)
        return enrolment_by(records[secret_hash])

    return asyncio.run(join(authority, secret, request, spend, now)).identity


def test_a_worker_gets_a_uuid_and_a_user_the_name_in_the_token(authority: Authority) -> None:  # S2.6
    token, record = new_token("box:1", authority.pin, Role.WORKER, NOW, 60)
    first = joined(authority, record, token.secret, KeyRequest().request)
    second = joined(authority, record, token.secret, KeyRequest().request)
    assert first.kind is second.kind is IdentityKind.WORKER
    assert first != second
    token, record = new_token("box:1", authority.pin, Role.VIEWER, NOW, 60, user="ann")
    assert joined(authority, record, token.secret, KeyRequest().request) == authority.identity(IdentityKind.USER, "ann")


def test_a_token_is_kept_hashed_and_works_until_it_expires(authority: Authority) -> None:
    token, record = new_token("box:1", authority.pin, Role.WORKER, NOW, 60, uses=1)
    assert token.secret not in repr(record)
    assert record.secret_hash == hash_secret(token.secret)
    with pytest.raises(NotAuthenticated, match="expired"):
        joined(authority, record, token.secret, KeyRequest().request, NOW + 60)
    with pytest.raises(NotAuthenticated, match="not known"):
        joined(authority, record, token.secret[::-1], KeyRequest().request)


def test_a_bad_request_costs_no_use(authority: Authority) -> None:
    async def spend(_: str, before: Peer | None) -> Enrolment:
        raise AssertionError("spent")

    with pytest.raises(InvalidInput):
        asyncio.run(join(authority, "secret", b"hello", spend, NOW))


@pytest.mark.parametrize(("life", "uses"), [(0, None), (-1, 1), (60, 0)])
def test_a_token_that_could_never_work_is_not_made(authority: Authority, life: float, uses: int | None) -> None:
    with pytest.raises(InvalidInput, match="token cannot"):
        new_token("box:1", authority.pin, Role.WORKER, NOW, life, uses)


def test_renewing_keeps_the_identity_and_may_change_the_key(authority: Authority) -> None:
    caller = Caller(authority.identity(IdentityKind.WORKER, WORKER), Role.WORKER, enrolment=77)
    request = KeyRequest()
    issued = renew(authority, caller, request.request, NOW + 5)
    credentials = request.complete(issued.certificate_pem, authority.ca_pem, caller.identity)
    assert (credentials.identity, credentials.not_after) == (caller.identity, NOW + 5 + 7 * 86400)
    peer = authority.recognise(credentials.certificate_pem)
    assert peer is not None
    assert peer.enrolment == 77


def test_an_answer_for_another_key_or_identity_is_not_taken(tmp_path: Path, authority: Authority) -> None:
    identity = authority.identity(IdentityKind.USER, "ann")
    request = KeyRequest()
    answer = authority.certify(identity, request.request, NOW, BY_HAND)
    other = create_authority(tmp_path / "other.pem", authority.cluster_id, NOW)
    for certificate, ca, expected in [
        (authority.certify(identity, KeyRequest().request, NOW, BY_HAND), authority.ca_pem, identity),
        (answer, authority.ca_pem, authority.identity(IdentityKind.USER, "bob")),
        (answer, other.ca_pem, identity),
        (b"hello", authority.ca_pem, identity),
    ]:
        with pytest.raises(Untrusted):
            request.complete(certificate, ca, expected)
