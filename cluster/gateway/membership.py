"""Who this gateway is: its key and certificate, by which it knows the scheduler and browsers know it.

    gateway.pem   in its directory

A scheduler on the same machine makes it, or a join token of role gateway; it renews itself. The certificate names what
this machine is called: so it is made anew when that has changed.
"""

import asyncio
import logging
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cluster.domain.base.errors import ClusterError, InvalidInput, NotAuthenticated, NotFound
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.hosts import check_hosts, is_host
from cluster.domain.trust.identity import IdentityKind, scheduler_server_name
from cluster.domain.trust.tokens import parse_join_token
from cluster.pki.authority import CA_FILE, load_authority
from cluster.pki.certificates import hosts_of
from cluster.pki.files import check_room, load_credentials, save_credentials
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain
from cluster.rpc.addresses import own_addresses
from cluster.rpc.channel import dial
from cluster.rpc.join_client import join_by_token, renew

logger = logging.getLogger(__name__)

FILE = "gateway.pem"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class GatewayMembership:
    """The gateway's credentials, kept in its directory."""

    def __init__(self, directory: Path, hosts: Sequence[str], authority: Path | None = None) -> None:
        """`hosts`: what its certificate is to name. `authority`: the directory of a scheduler on this machine, whose CA
        we may use."""
        self.file = directory / FILE
        self._directory = directory
        self._hosts = list(hosts)
        self._authority = authority / CA_FILE if authority is not None and (authority / CA_FILE).exists() else None

    async def enter(self, token: str, scheduler: str) -> Credentials:
        """What the directory holds; else a new one, by the token or by the scheduler on this machine. It names the
        hosts. `scheduler`: its host:port, empty: as when it joined. ClusterError says what is missing."""
        try:
            present = load_credentials(self.file)
        except NotFound:
            return await self._join(token) if token else self._issue()
        if present.valid_at(time.time()):
            same = set(hosts_of(present.certificate_pem)) == set(hosts_of_names(self._hosts))
            return present if same else await self._with_hosts(present, scheduler)
        if self._authority is not None:
            return self._issue(present)
        if not token:
            raise NotAuthenticated(
                "the certificate of this gateway is not valid any more: start it once with --join TOKEN (`cluster "
                "token create --role gateway` prints one)"
            )
        return await self._join(token, present)

    async def renewed(self, present: Credentials, address: str) -> Credentials:
        """Renewed by the scheduler at that address, with a new key, and kept."""
        request = KeyRequest()
        async with dial(address, present, scheduler_server_name(present.identity.cluster_id)) as channel:
            certificate = await renew(channel, address, request.request, self._hosts)
        fresh = request.complete(certificate, present.ca_pem, present.identity)
        return self._kept(replace(fresh, scheduler=present.scheduler))

    async def reissued(self, present: Credentials) -> Credentials:
        """Renewed by the CA on this machine, and kept. ClusterError where that cannot be."""
        return await asyncio.to_thread(self._issue, present)

    async def _with_hosts(self, present: Credentials, scheduler: str) -> Credentials:
        """For what this machine is called now. While that cannot be had, it is good for the names before."""
        try:
            if self._authority is not None:
                return await self.reissued(present)
            return await self.renewed(present, scheduler or present.scheduler)
        except ClusterError as error:
            logger.warning("the certificate does not name all that this machine is called now: %s", error)
            return present

    async def _join(self, token: str, present: Credentials | None = None) -> Credentials:
        parsed = parse_join_token(token)
        check_room(self._directory)  # first: what follows spends the token
        request = KeyRequest(present.key_pem if present else None)
        previous = present.certificate_pem if present else b""
        joined = await join_by_token(
            parsed, request.request, "", check_pinned_chain, IdentityKind.GATEWAY, previous, self._hosts
        )
        got = request.complete(joined.certificate_pem, joined.ca_pem, joined.identity)
        return self._kept(replace(got, scheduler=joined.scheduler_address))

    def _issue(self, present: Credentials | None = None) -> Credentials:
        """By whoever may read the CA of this machine's own scheduler. NotFound where there is none."""
        if self._authority is None:
            raise NotFound(
                "this gateway belongs to no cluster: start it once with --join TOKEN (`cluster token create --role "
                "gateway` on the scheduler's machine prints one)"
            )
        authority = load_authority(self._authority)
        peer = authority.recognise(present.certificate_pem) if present else None
        identity = peer.identity if peer else authority.identity(IdentityKind.GATEWAY, str(uuid.uuid4()))
        enrolment = peer.enrolment if peer else 0
        return self._kept(authority.issue(identity, time.time(), enrolment=enrolment, hosts=self._hosts))

    def _kept(self, credentials: Credentials) -> Credentials:
        save_credentials(self.file, credentials)
        return credentials


def hosts_of_names(hosts: Sequence[str]) -> list[str]:
    """As a certificate has them."""
    from ipaddress import ip_address

    def written(host: str) -> str:
        try:
            return str(ip_address(host))
        except ValueError:
            return host

    return [written(host) for host in hosts]


def names_of_this_machine(listen_host: str, more: Sequence[str]) -> list[str]:
    """All by which somebody may reach us, those that were given first. InvalidInput for what is none."""
    for host in more:
        if not is_host(host):
            raise InvalidInput(f"--host {host!r} is no host: give a name or an address alone, without a port")
    here = [socket.gethostname(), *own_addresses(), *own_addresses(v6=True), *LOOPBACK, listen_host]
    usual = [host for host in here if is_host(host) and host not in ("0.0.0.0", "::")]
    return list(check_hosts(list(dict.fromkeys([*more, *usual]))[:100]))
