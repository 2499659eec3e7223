"""The scheduler's side of joining and renewing: who gets which certificate. Knows nothing of gRPC.

Its counterpart on the joiner's side is `Enrolment` here (key and request) with `cluster.rpc.join_client` (the
wire).
"""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from cryptography import x509

from cluster.domain.base.errors import InvalidInput, Untrusted
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.enrolments import ID_BITS, Enrolment, Maker
from cluster.domain.trust.hosts import check_hosts
from cluster.domain.trust.identity import SCHEDULER_NAME, Caller, Identity, IdentityKind, Peer, Role
from cluster.domain.trust.tokens import BEARER_BYTES, BEARER_PREFIX, SECRET_BYTES, JoinToken, TokenRecord
from cluster.pki import certificates
from cluster.pki.authority import Authority

TOKEN_ID_BYTES = 4
THE_SCHEDULER = Maker(IdentityKind.SCHEDULER, SCHEDULER_NAME)


def hash_secret(secret: str) -> str:
    """What is kept of a token's secret (SHA-256, hex). A random 192-bit value needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_token(
    address: str,
    pin: str,
    role: Role,
    now: float,
    life: float,
    uses: int | None = None,
    user: str = "",
    maker: Maker = THE_SCHEDULER,
) -> tuple[JoinToken, TokenRecord]:
    """Make a join token and the record of it. `life` in seconds; `uses` None: without limit."""
    if life <= 0:
        raise InvalidInput(f"a token cannot live for {life:g} seconds: expected more than 0")
    if uses is not None and uses < 1:
        raise InvalidInput(f"a token cannot be good for {uses} uses: expected 1 or more")
    secret = secrets.token_urlsafe(SECRET_BYTES)
    token_id = secrets.token_hex(TOKEN_ID_BYTES)
    record = TokenRecord(token_id, hash_secret(secret), role, user, now, now + life, uses, maker=maker)
    return JoinToken(address, pin, secret), record


def new_bearer(role: Role, now: float, life: float, user: str, maker: Maker) -> tuple[str, TokenRecord]:
    """Make a bearer token, for HTTP, and the record of it. `life` in seconds; `user` empty: one of its own."""
    if life <= 0:
        raise InvalidInput(f"a token cannot live for {life:g} seconds: expected more than 0")
    text = BEARER_PREFIX + secrets.token_urlsafe(BEARER_BYTES)
    token_id = secrets.token_hex(TOKEN_ID_BYTES)
    name, enrolment = user or f"http-{token_id}", new_enrolment_id()
    return text, TokenRecord(token_id, hash_secret(text), role, name, now, now + life, None, None, maker, enrolment)


@dataclass(frozen=True, slots=True)
class Issued:
    """What a joiner is given: who it is from now on, and its certificate (PEM)."""

    identity: Identity
    certificate_pem: bytes


async def join(
    authority: Authority,
    secret: str,
    request: bytes,
    admit: Callable[[str, Peer | None], Awaitable[Enrolment]],
    now: float,
    previous: bytes = b"",
    hosts: Sequence[str] = (),
) -> Issued:
    """Turn a token's secret and a PKCS #10 request into an identity and its certificate.

    `admit` takes the secret's hash and who the joiner was before, spends one use (on disk before it returns) and
    answers who joins, or raises NotAuthenticated. `previous` is a certificate (PEM) that the joiner had, valid or not:
    it says who it was if we have issued it, and for the request's own key. The request is read first, so that a bad
    one costs no use. `hosts`: of a gateway, by which names and addresses it is reached.
    """
    check_hosts(hosts)
    certificates.requested_key(request)
    before = authority.recognise(previous, request) if previous else None
    enrolment = await admit(hash_secret(secret), before)
    identity = authority.identity(enrolment.kind, enrolment.name)
    names = hosts if enrolment.kind is IdentityKind.GATEWAY else ()
    return Issued(identity, authority.certify(identity, request, now, enrolment.id, names))


def renew(authority: Authority, caller: Caller, request: bytes, now: float, hosts: Sequence[str] = ()) -> Issued:
    """A new certificate for the caller's identity and the request's key, which may be a new one; so may a gateway's
    `hosts`."""
    return Issued(caller.identity, authority.certify(caller.identity, request, now, caller.enrolment, hosts))


def new_enrolment_id() -> int:
    """A random number for an enrolment, so that no counter has to be kept."""
    return secrets.randbelow((1 << ID_BITS) - 1) + 1


class KeyRequest:
    """The side of whoever joins or renews: a key that never leaves this machine, and the request for its certificate.

    The key is new, unless `key_pem` brings the key of an earlier certificate, by which the joiner is recognised.
    """

    def __init__(self, key_pem: bytes | None = None) -> None:
        self._key = certificates.new_key() if key_pem is None else certificates.key_of_pem(key_pem)
        self.request = certificates.new_request(self._key)  # PKCS #10, DER

    def complete(self, certificate_pem: bytes, ca_pem: bytes, identity: Identity) -> Credentials:
        """The credentials made of the key and the answer; Untrusted when they do not belong together."""
        try:
            leaf = x509.load_pem_x509_certificate(certificate_pem)
            ca = x509.load_pem_x509_certificate(ca_pem)
            uris = certificates.uris_of(leaf)
        except (ValueError, x509.DuplicateExtension) as error:
            raise Untrusted(f"the scheduler's answer holds no certificate: {error}") from None
        if (
            leaf.public_key() != self._key.public_key()
            or uris != [identity.uri]
            or not certificates.issued_by(leaf, ca)
        ):
            raise Untrusted("the scheduler's answer is not the certificate that was asked for")
        return certificates.credentials_of(identity, self._key, leaf, ca)
