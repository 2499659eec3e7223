"""Who keeps the pools: its key and certificate, got by a join token of role pools, renewed by itself.

keeper.pem   in its directory
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cluster.domain.base.errors import ClusterError, NotAuthenticated, NotFound, NotPermitted
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import IdentityKind, scheduler_server_name
from cluster.domain.trust.tokens import parse_join_token
from cluster.pki.files import check_room, load_credentials, save_credentials
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain
from cluster.rpc.channel import dial
from cluster.rpc.join_client import join_by_token, renew

logger = logging.getLogger(__name__)

FILE = "keeper.pem"
_JOIN = "start it once with --join TOKEN (`cluster token create --role pools --user NAME` prints one)"


class KeeperMembership:
    """The keeper's credentials, kept in its directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = directory / FILE

    async def enter(self, token: str, try_out: Callable[[Credentials], Awaitable[None]]) -> Credentials:
        """What the directory holds; else what the token gives. Only those are kept that `try_out` takes. ClusterError
        says what is missing."""
        try:
            present = load_credentials(self._file)
        except NotFound:
            if not token:
                raise NotFound(f"this keeper of pools belongs to no cluster: {_JOIN}") from None
        else:
            if present.valid_at(time.time()):
                return present
            if not token:
                raise NotAuthenticated(f"the certificate of this keeper of pools is not valid any more: {_JOIN}")
        return await self._join(token, try_out)

    async def renewed(self, present: Credentials, address: str) -> Credentials:
        """By the scheduler at that address, with a new key, and kept. ClusterError."""
        request = KeyRequest()
        async with dial(address, present, scheduler_server_name(present.identity.cluster_id)) as channel:
            certificate = await renew(channel, address, request.request)
        fresh = request.complete(certificate, present.ca_pem, present.identity)
        return self._kept(replace(fresh, scheduler=load_credentials(self._file).scheduler))

    def told(self, schedulers: Sequence[str]) -> None:
        """The schedulers are there from now on: kept for the next start. What a full disk does not keep is told
        again."""
        try:
            self._kept(replace(load_credentials(self._file), scheduler=",".join(schedulers)))
        except ClusterError as error:
            logger.error("where the schedulers are is not kept over a restart: %s", error)

    async def _join(self, token: str, try_out: Callable[[Credentials], Awaitable[None]]) -> Credentials:
        parsed = parse_join_token(token)
        check_room(self._directory)  # first: what follows spends the token
        request = KeyRequest()
        joined = await join_by_token(parsed, request.request, "", check_pinned_chain, IdentityKind.USER)
        got = request.complete(joined.certificate_pem, joined.ca_pem, joined.identity)
        places = dict.fromkeys([joined.scheduler_address, *joined.schedulers])  # any of which may lead later
        got = replace(got, scheduler=",".join(places))
        try:
            await try_out(got)
        except NotPermitted as error:
            raise NotPermitted(f"this token is not for keeping pools ({error}): {_JOIN}") from None
        return self._kept(got)

    def _kept(self, credentials: Credentials) -> Credentials:
        save_credentials(self._file, credentials)
        return credentials
