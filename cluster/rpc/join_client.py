"""The joiner's side of joining and renewing: turns a token or a certificate into a new certificate.

Joining happens in two connections. The first, which trusts nobody and sends nothing, only looks at the certificates
that the server shows: is the pinned CA among them? The second, made by gRPC, trusts that CA alone; only there, when
the server has proven its name and key, does the secret leave.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import grpc
import grpc.aio

from cluster.domain.base.errors import InvalidInput, Unreachable, Untrusted
from cluster.domain.trust.identity import Identity, IdentityKind, parse_identity, scheduler_server_name
from cluster.domain.trust.tokens import JoinToken, split_address
from cluster.rpc.channel import CONNECT_TIMEOUT, secure_channel
from cluster.rpc.errors import calling
from cluster.v1 import scheduler_pb2, scheduler_pb2_grpc

# The type of cluster.pki.peer_certificates.check_pinned_chain: takes a chain (DER, leaf first) and a pin, returns the
# CA's certificate (PEM) and the cluster id.
CheckChain = Callable[[list[bytes], str], tuple[bytes, str]]

ANSWER_TIMEOUT = 30.0  # seconds; the scheduler writes the token's use to disk first


@dataclass(frozen=True, slots=True)
class Joined:
    """What the scheduler answered. `certificate_pem` is unchecked: give it to `cluster.pki.issuer.KeyRequest`."""

    identity: Identity
    certificate_pem: bytes
    ca_pem: bytes
    scheduler_address: str
    schedulers: tuple[str, ...] = ()  # of the cluster; none: there is one


async def join_by_token(
    token: JoinToken,
    request: bytes,
    name: str,
    check_chain: CheckChain,
    kind: IdentityKind | None = None,
    previous: bytes = b"",
    hosts: Sequence[str] = (),
) -> Joined:
    """Exchange a token for a certificate for the key of a PKCS #10 request (DER).

    `name` is what the joiner would like to be called, `kind` all that it can be: a token for another is refused, and
    keeps its use. `previous` is a certificate (PEM) for the request's key, by which the joiner stays who it was.
    `hosts`: by which names and addresses a gateway is reached. Raises Unreachable, Untrusted, or the scheduler's
    refusal.
    """
    chain = await asyncio.to_thread(fetch_chain, token.address)
    ca_pem, cluster_id = check_chain(chain, token.pin)
    credentials = grpc.ssl_channel_credentials(ca_pem)
    async with secure_channel(token.address, credentials, scheduler_server_name(cluster_id)) as channel:
        message = scheduler_pb2.JoinRequest(
            secret=token.secret, csr=request, name=name, kind=kind or "", previous=previous, hosts=hosts
        )
        with calling(token.address):
            answer = await scheduler_pb2_grpc.SchedulerStub(channel).Join(message, timeout=ANSWER_TIMEOUT)
    try:
        identity = parse_identity(answer.identity)
    except InvalidInput as error:
        raise Untrusted(f"the scheduler at {token.address} answered no identity: {error}") from None
    if identity.cluster_id != cluster_id:
        raise Untrusted(f"the scheduler at {token.address} answered an identity of cluster {identity.cluster_id}")
    if kind and identity.kind is not kind:
        raise Untrusted(f"the scheduler at {token.address} made a {identity.kind} of what can only be a {kind}")
    address = _scheduler_address(answer.scheduler_address, token.address)
    return Joined(identity, answer.certificate, ca_pem, address, tuple(answer.schedulers))


async def renew(channel: grpc.aio.Channel, address: str, request: bytes, hosts: Sequence[str] = ()) -> bytes:
    """A new certificate (PEM) for the identity that the channel to `address` proves, and the key of the request.
    `hosts`: as of `join_by_token`."""
    message = scheduler_pb2.RenewRequest(csr=request, hosts=hosts)
    with calling(address):
        answer = await scheduler_pb2_grpc.SchedulerStub(channel).Renew(message, timeout=ANSWER_TIMEOUT)
    certificate: bytes = answer.certificate
    return certificate


def fetch_chain(address: str) -> list[bytes]:
    """The certificates (DER, leaf first) that a TLS server shows. Nothing is verified and nothing sent.

    Blocks for up to CONNECT_TIMEOUT. Raises Unreachable, or Untrusted for a server that does not speak TLS 1.3.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection(split_address(address), CONNECT_TIMEOUT) as connection,
            context.wrap_socket(connection) as tls,
        ):
            return _unverified_chain(tls)
    except ssl.SSLError as error:
        raise Untrusted(f"the server at {address} does not speak TLS 1.3: {error.reason or error}") from None
    except socket.gaierror:
        raise Unreachable(f"{address} cannot be reached: its host name is not known") from None
    except TimeoutError:
        raise Unreachable(f"{address} cannot be reached: nobody answered in time") from None
    except OSError as error:
        raise Unreachable(f"{address} cannot be reached: {error.strerror or error}") from None


def _unverified_chain(tls: ssl.SSLSocket) -> list[bytes]:
    if sys.version_info >= (3, 13):
        return tls.get_unverified_chain()
    # 3.11 and 3.12 have it where 3.13 made it public from. These versions get no more changes than security fixes.
    from _ssl import ENCODING_DER

    return [certificate.public_bytes(ENCODING_DER) for certificate in tls._sslobj.get_unverified_chain()]  # type: ignore[attr-defined]


def _scheduler_address(answered: str, dialled: str) -> str:
    """The address of the scheduler's main listener: an empty host in the answer stands for the one that was dialled."""
    host, _, port = answered.rpartition(":")
    return answered if host else f"{dialled.rpartition(':')[0]}:{port}"
