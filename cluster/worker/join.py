"""Becoming a worker of a cluster, and staying one: by a token, by this machine's own scheduler, or by the
certificate that the directory holds."""

import json
import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.domain.base.errors import ClusterError, NotAuthenticated, NotFound, Unreachable, Untrusted
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import IdentityKind
from cluster.domain.trust.tokens import JoinToken, parse_join_token
from cluster.pki.authority import CA_FILE, load_authority
from cluster.pki.certificates import pin_of_pem
from cluster.pki.files import check_room, load_credentials, read_private, save_credentials
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain
from cluster.rpc.join_client import join_by_token
from cluster.worker.membership import (
    CREDENTIALS_FILE,
    Membership,
    MembershipRecord,
    load_state,
    new_credentials,
    reissued,
    save_state,
)

logger = logging.getLogger(__name__)

SCHEDULER_FILE, TOKEN_FILE = "scheduler.json", "join-token"  # in the directory of a scheduler on the same machine


@dataclass(frozen=True, slots=True)
class EntryRequest:
    """How somebody would like to enter. Empty: not said."""

    directory: Path
    name: str  # wished; empty: as it was, at first `host_name`
    host_name: str
    token: str
    scheduler: str  # host:port
    local_scheduler: Path | None  # directory of a scheduler on this machine


async def enter_cluster(entry: EntryRequest, anew: bool = False) -> Membership:
    """The membership that the directory holds, or a new one: by a token, or of the scheduler on this machine.

    A certificate that has ended or is refused is replaced in the same way; with `anew` it is known to be refused.
    ClusterError says what is missing, or which two clusters do not go together.
    """
    token = parse_join_token(entry.token) if entry.token else None
    try:
        present = load_credentials(entry.directory / CREDENTIALS_FILE)
    except NotFound:
        return await _join(entry, token or _local_token(entry.local_scheduler))
    if token is not None and token.pin != pin_of_pem(present.ca_pem):
        raise Untrusted(
            f"{entry.directory} belongs to a worker of cluster {present.identity.cluster_id}, and the join token is of "
            "another cluster: use another --directory, or remove this one to leave its cluster"
        )
    membership = _membership(entry, present)
    if anew:
        await _join_again(membership, _local_token(entry.local_scheduler), KeyRequest())
    elif not present.valid_at(time.time()):
        await _replace_ended(membership, token, entry.local_scheduler)
    elif token is not None and await _is_refused(membership, _address(entry, membership.state)):
        await _join_again(membership, token, KeyRequest())  # whoever has the old key must not have the new identity
    return membership


def may_enter_anew(local_scheduler: Path | None, present: Credentials) -> bool:
    """Whether this machine's own scheduler is of this cluster and lets its machine join without any other token."""
    try:
        return _local_token(local_scheduler).pin == pin_of_pem(present.ca_pem)
    except ClusterError:
        return False


def local_address(local_scheduler: Path | None, cluster_id: str) -> str | None:
    """The address at which this machine's scheduler listens, if it is of our cluster."""
    if local_scheduler is None:
        return None
    try:
        said = json.loads((local_scheduler / SCHEDULER_FILE).read_bytes())
    except (OSError, ValueError):
        return None
    return str(said["address"]) if said.get("cluster_id") == cluster_id and said.get("address") else None


def is_stopped_here(local_scheduler: Path | None, cluster_id: str) -> bool:
    """Whether the scheduler of our cluster is on this machine and said goodbye."""
    if local_scheduler is None or (local_scheduler / SCHEDULER_FILE).exists():
        return False
    try:
        return load_authority(local_scheduler / CA_FILE).cluster_id == cluster_id
    except ClusterError:
        return False


def _address(entry: EntryRequest, state: MembershipRecord) -> str:
    return entry.scheduler or local_address(entry.local_scheduler, state.cluster_id) or state.scheduler


async def _replace_ended(membership: Membership, token: JoinToken | None, local_scheduler: Path | None) -> None:
    """Replaces a certificate that has ended, or one from the future, made by a clock that was wrong."""
    present = membership.credentials
    if fresh := reissued(present, local_scheduler):
        membership.renewed(fresh)
        logger.info("the certificate, which was not valid any more, was replaced by this machine's own scheduler")
    elif token is None:
        raise NotAuthenticated(
            f"the certificate of this worker {ended(present)}: start it once with --join TOKEN (`cluster token create` "
            "on the scheduler's machine prints one), and it goes on as it was"
        )
    else:
        await _join_again(membership, token, KeyRequest(present.key_pem), present.certificate_pem)


def ended(credentials: Credentials) -> str:
    """The time at which the certificate ended, or begins, for people."""
    past = time.time() > credentials.not_after
    moment = credentials.not_after if past else credentials.not_before
    return f"{'ended' if past else 'begins'} at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(moment))}"


async def _is_refused(membership: Membership, address: str) -> bool:
    """Whether the scheduler takes our certificate for nobody's. One that it takes is renewed at once."""
    try:
        membership.renewed(await new_credentials(membership.credentials, address))
    except (NotAuthenticated, Untrusted):
        return True
    except ClusterError as error:
        logger.warning("whether the join token is needed is not known, so it is not used: %s", error)
    return False


async def _join(entry: EntryRequest, token: JoinToken) -> Membership:
    request, name = KeyRequest(), entry.name or entry.host_name
    check_room(entry.directory)  # first: what follows spends the token
    joined = await join_by_token(token, request.request, name, check_pinned_chain, IdentityKind.WORKER)
    got = request.complete(joined.certificate_pem, joined.ca_pem, joined.identity)
    # The token is spent. Whoever is killed between these two files finds in the first all that it needs.
    credentials = replace(got, scheduler=joined.scheduler_address)
    save_credentials(entry.directory / CREDENTIALS_FILE, credentials)
    state = _new_state(credentials, name)
    save_state(entry.directory, state)
    logger.info("joined cluster %s as worker %s", state.cluster_id, state.id)
    return Membership(entry.directory, state, credentials)


async def _join_again(membership: Membership, token: JoinToken, request: KeyRequest, previous: bytes = b"") -> None:
    """Joins by a certificate that it had before, for the same key: the worker stays who it was, unless it was
    expelled."""
    before = membership.state.id
    membership.check_room()
    joined = await join_by_token(
        token, request.request, membership.state.name, check_pinned_chain, IdentityKind.WORKER, previous
    )
    membership.renewed(request.complete(joined.certificate_pem, joined.ca_pem, joined.identity))
    membership.amend(id=joined.identity.name, scheduler=joined.scheduler_address)
    who = "the worker that it was" if membership.state.id == before else f"a new worker, {membership.state.id}"
    logger.info("joined cluster %s again, as %s", membership.state.cluster_id, who)


def _membership(entry: EntryRequest, present: Credentials) -> Membership:
    """The membership that the directory holds. The certificate says who it is, since it is written first."""
    state = load_state(entry.directory) or _new_state(present, entry.host_name)
    state = replace(state, id=present.identity.name, name=entry.name or state.name)
    return Membership(entry.directory, state, present)


def _new_state(credentials: Credentials, name: str) -> MembershipRecord:
    return MembershipRecord(credentials.identity.name, name, credentials.identity.cluster_id, credentials.scheduler)


def _local_token(local_scheduler: Path | None) -> JoinToken:
    try:
        if local_scheduler is not None:
            return parse_join_token(read_private(local_scheduler / TOKEN_FILE).decode())
    except NotFound:
        if local_scheduler is not None and local_scheduler.is_dir():
            raise Unreachable(
                f"the scheduler of this machine, in {local_scheduler}, is not running: start it first; or join another "
                "cluster with --join TOKEN"
            ) from None
    raise NotFound(
        "this worker belongs to no cluster: start it once with --join TOKEN (`cluster token create` on the scheduler's "
        "machine prints one), or with --standalone"
    )
