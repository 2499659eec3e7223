"""What a gateway's certificate may name."""

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.trust.hosts import MOST_HOSTS, check_hosts, is_address


@pytest.mark.parametrize("host", ["head", "head.example", "10.0.0.1", "::1", "2001:db8::7", "a-b.c1", "X.EXAMPLE"])
def test_names_and_addresses_are_hosts(host: str) -> None:
    assert check_hosts([host]) == [host]


@pytest.mark.parametrize("host", ["", "a b", "head:5000", "[::1]", "*.example", "-a", "a..b", "a" * 254, "a/b", ":::"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput, match="is no host"):
        check_hosts([host])


@pytest.mark.parametrize(
    "host", ["scheduler.0123456789abcdef.cluster.internal", "X.Cluster.Internal", "a.cluster.internal."]
)
def test_no_gateway_gets_a_name_by_which_clusters_know_their_own(host: str) -> None:
    with pytest.raises(InvalidInput, match="no gateway's"):
        check_hosts([host])


def test_there_are_not_too_many() -> None:
    with pytest.raises(InvalidInput, match="at most"):
        check_hosts([f"h{n}" for n in range(MOST_HOSTS + 1)])


def test_addresses_are_told_from_names() -> None:
    assert [is_address(text) for text in ("10.0.0.1", "::1", "head", "1.2.3", "")] == [True, True, False, False, False]
