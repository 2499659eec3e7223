"""Identities are written and read in one exact form."""

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.trust.identity import Identity, IdentityKind, cluster_uri, parse_cluster_uri, parse_identity

CLUSTER = "0123456789abcdef"
WORKER = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11"


@pytest.mark.parametrize(
    "identity",
    [
        Identity(CLUSTER, IdentityKind.SCHEDULER, "main"),
        Identity(CLUSTER, IdentityKind.WORKER, WORKER),
        Identity(CLUSTER, IdentityKind.USER, "j.doe-2_x"),
    ],
)
def test_an_identity_survives_writing_and_reading(identity: Identity) -> None:
    assert parse_identity(identity.uri) == identity


@pytest.mark.parametrize(
    "uri",
    [
        "",
        f"spiffe://{CLUSTER}/user",
        f"spiffe://{CLUSTER}/user/",
        f"spiffe://{CLUSTER}/user/a/b",
        f"spiffe://{CLUSTER}/user/a%62",
        f"spiffe://{CLUSTER}/user/.hidden",
        f"spiffe://{CLUSTER}/user/" + "a" * 49,
        f"spiffe://{CLUSTER}/User/a",
        f"spiffe://{CLUSTER}/root/a",
        f"SPIFFE://{CLUSTER}/user/a",
        f"https://{CLUSTER}/user/a",
        f"spiffe://{CLUSTER.upper()}/user/a",
        f"spiffe://{CLUSTER}0/user/a",
        f"spiffe://{CLUSTER}/worker/box1",
        f"spiffe://{CLUSTER}/worker/{WORKER.upper()}",
        f"spiffe://{CLUSTER}/user/a\n",
        f"spiffe://{CLUSTER}/user/ä",
    ],
)
def test_another_form_is_no_identity(uri: str) -> None:
    with pytest.raises(InvalidInput):
        parse_identity(uri)


def test_no_two_kinds_of_server_prove_the_same_name() -> None:
    scheduler = Identity(CLUSTER, IdentityKind.SCHEDULER, "main").server_name
    worker = Identity(CLUSTER, IdentityKind.WORKER, WORKER).server_name
    assert scheduler == f"scheduler.{CLUSTER}.cluster.internal"
    assert worker == f"{WORKER}.worker.{CLUSTER}.cluster.internal"
    assert Identity(CLUSTER, IdentityKind.USER, "scheduler").server_name is None


def test_a_cluster_has_a_uri_of_its_own() -> None:
    assert parse_cluster_uri(cluster_uri(CLUSTER)) == CLUSTER
    with pytest.raises(InvalidInput):
        parse_cluster_uri(f"spiffe://{CLUSTER}/user/a")
