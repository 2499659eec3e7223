"""The scheduler's side of joining and renewing: who gets which certificate. Knows nothing of gRPC.

Its counterpart on the joiner's side is `Enrolment` here (key and request) with `cluster.rpc.join` (the
wire).
"""

import hashlib
import secrets
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cryptography import x509

from cluster.domain.credentials import Credentials
from cluster.domain.errors import InvalidInput, Untrusted
from cluster.domain.identity import Identity, Kind, Role
from cluster.domain.tokens import SECRET_BYTES, JoinToken, TokenRecord
from cluster.pki import certificates
from cluster.pki.authority import Authority

TOKEN_ID_BYTES = 4


def hash_secret(secret: str) -> str:
    """What is kept of a token's secret (SHA-256, hex). A random 192-bit value needs no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def new_token(
    address: str, pin: str, role: Role, now: float, life: float, uses: int | None = None, user: str = ""
) -> tuple[JoinToken, TokenRecord]:
    """Make a join token and the record of it. `life` in seconds; `uses` None: without limit."""
    if life <= 0:
        raise InvalidInput(f"a token cannot live for {life:g} seconds: expected more than 0")
    if uses is not None and uses < 1:
        raise InvalidInput(f"a token cannot be good for {uses} uses: expected 1 or more")
    secret = secrets.token_urlsafe(SECRET_BYTES)
    token_id = secrets.token_hex(TOKEN_ID_BYTES)
    record = TokenRecord(token_id, hash_secret(secret), role, user, now, now + life, uses)
    return JoinToken(address, pin, secret), record


@dataclass(frozen=True, slots=True)
class Issued:
    """What a joiner is given: who it is from now on, and its certificate (PEM)."""

    identity: Identity
    certificate_pem: bytes


async def join(
    authority: Authority,
    secret: str,
    request: bytes,
    admit: Callable[[str], Awaitable[TokenRecord]],
    now: float,
) -> Issued:
    """Turn a token's secret and a PKCS #10 request into an identity and its certificate.

    `admit` takes the secret's hash, spends one use (on disk before it returns) and answers the token's
    record, or raises NotAuthenticated. The request is read first, so that a bad one costs no use. A worker
    gets a fresh UUID.
    """
    certificates.requested_key(request)
    record = await admit(hash_secret(secret))
    if record.role is Role.WORKER:
        identity = authority.identity(Kind.WORKER, str(uuid.uuid4()))
    else:
        identity = authority.identity(Kind.USER, record.user)
    return Issued(identity, authority.certify(identity, request, now))


def renew(authority: Authority, caller: Identity, request: bytes, now: float) -> Issued:
    """A new certificate for the identity that calls; the key may be a new one."""
    return Issued(caller, authority.certify(caller, request, now))


class KeyRequest:
    """The joiner's or renewer's side: a fresh key that never leaves this machine, and the request for it."""

    def __init__(self) -> None:
        self._key = certificates.new_key()
        self.request = certificates.new_request(self._key)  # PKCS #10, DER

    def complete(self, certificate_pem: bytes, ca_pem: bytes, identity: Identity) -> Credentials:
        """Put key and answer together, after checking that they belong together; Untrusted if they do not."""
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
