"""The names and addresses by which browsers and the like reach a gateway: they stand in its certificate."""

import re
from collections.abc import Sequence
from ipaddress import ip_address

from cluster.domain.base.errors import InvalidInput
from cluster.domain.trust.identity import is_of_clusters

MOST_HOSTS = 100
MOST_LENGTH = 253  # RFC 1035, of a name as people write it

_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*", re.IGNORECASE)


def check_hosts(hosts: Sequence[str]) -> Sequence[str]:
    """Return them if a gateway may be certified for them, else raise InvalidInput.

    None may be a name by which the parties of clusters know each other: who has such a certificate could pass for one.
    """
    if len(hosts) > MOST_HOSTS:
        raise InvalidInput(f"{len(hosts)} names for one gateway: at most {MOST_HOSTS}")
    for host in hosts:
        if is_of_clusters(host):
            raise InvalidInput(f"{host!r} is a name by which clusters know their own, and no gateway's")
        if not is_host(host):
            raise InvalidInput(f"{host[:MOST_LENGTH]!r} is no host: give a name or an address alone, without a port")
    return hosts


def is_host(text: str) -> bool:
    """Whether it has the form of a DNS name or of an IP address, without brackets."""
    return is_address(text) or (len(text) <= MOST_LENGTH and bool(_NAME.fullmatch(text)))


def is_address(text: str) -> bool:
    """Whether it is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
