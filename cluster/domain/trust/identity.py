"""Who is who: identities, the roles they act in, and what a certificate says about its holder.

An identity is one URI, `spiffe://<cluster id>/<kind>/<name>`, in the certificate's subject alternative name,
and nothing else: neither the subject nor the address of a connection plays a part. Pure values; certificates
themselves are read by `cluster.pki`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.ids import AttemptKey

CLUSTER_ID_LENGTH = 16  # hex digits: 64 random bits tell clusters apart; they are no secret
SCHEDULER_NAME = "main"
ADMIN_NAME = "admin"  # the user made on first run
MAX_NAME_LENGTH = 48  # with its kind before it a name fits the 64 characters of a certificate's common name

_SCHEME = "spiffe://"
_HEX = frozenset("0123456789abcdef")
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ALPHANUMERIC = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_NAME = _ALPHANUMERIC | frozenset("._-")
_DOMAIN = "cluster.internal"  # .internal is reserved for private use and never resolves in public


class IdentityKind(StrEnum):
    """What an identity is. It never changes, because it is written in the certificate."""

    SCHEDULER = "scheduler"
    WORKER = "worker"
    USER = "user"
    GATEWAY = "gateway"


class Role(StrEnum):
    """What a caller may do; `cluster.rpc.roles` says which methods that opens."""

    ADMIN = "admin"
    USER = "user"
    VIEWER = "viewer"
    WORKER = "worker"
    ATTEMPT = "attempt"
    SCHEDULER = "scheduler"
    GATEWAY = "gateway"
    POOLS = "pools"


@dataclass(frozen=True, slots=True)
class Identity:
    """One party of one cluster.

    A worker's name is its UUID. Building a malformed one raises InvalidInput.
    """

    cluster_id: str
    kind: IdentityKind
    name: str

    def __post_init__(self) -> None:
        check_cluster_id(self.cluster_id)
        check_name(self.name)
        if self.kind is IdentityKind.WORKER and not is_uuid(self.name):
            raise InvalidInput(f"the name {self.name!r} of a worker's identity is no lower-case UUID")

    @property
    def uri(self) -> str:
        """The URI that stands in the certificate."""
        return f"{_SCHEME}{self.cluster_id}/{self.kind}/{self.name}"

    @property
    def server_name(self) -> str | None:
        """The DNS name in the certificate of one that serves; None for users, who never do.

        gRPC compares DNS names and not URIs, so a client asks for this name, whatever address it dials. It
        is unlike for every kind and worker: no worker's certificate can pass for the scheduler's or for
        another worker's.
        """
        match self.kind:
            case IdentityKind.SCHEDULER:
                return scheduler_server_name(self.cluster_id)
            case IdentityKind.WORKER:
                return f"{self.name}.worker.{self.cluster_id}.{_DOMAIN}"
            case IdentityKind.GATEWAY:
                return f"gateway.{self.cluster_id}.{_DOMAIN}"
            case IdentityKind.USER:
                return None

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Vouched(NamedTuple):
    """Who calls is something that an attempt has started. The worker says so that holds the attempt."""

    attempt: AttemptKey
    worker_id: str
    owner: str  # of its job, by the user's id
    root: int  # of its job: what it may see comes of the same


@dataclass(frozen=True, slots=True)
class Peer:
    """What a verified certificate says, or a token that is shown in its place.

    Times are Unix seconds; both ends belong to the validity (RFC 5280 4.1.2.5).
    """

    identity: Identity
    serial: int
    not_before: int
    not_after: int
    enrolment: int = 0  # which its serial number tells (cluster.domain.trust.enrolments)
    vouched: Vouched | None = None  # instead of a certificate: the identity is that of the job's owner
    token: str = ""  # instead of a certificate: the id of a bearer token
    gateway: "Peer | None" = None  # whose call it is, of one that a gateway makes for somebody

    @property
    def proof(self) -> str:
        """What was shown, for people."""
        return f"token {self.token}" if self.token else "certificate"


class Standing(NamedTuple):
    """What a cluster knows of somebody who shows a good certificate."""

    role: Role
    user_id: str = ""  # of a user: UserRecord.id, by which it owns jobs


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes the present call, and in what right."""

    identity: Identity
    role: Role
    enrolment: int = 0  # of the certificate that was shown (cluster.domain.trust.enrolments)
    user_id: str = ""  # as in Standing
    vouched: Vouched | None = None

    @property
    def called(self) -> str:
        """The name that others are told."""
        name = self.identity.name
        return f"{name}, by job {self.vouched.attempt.job}" if self.vouched else name

    @property
    def is_admin(self) -> bool:
        """Of what an admin has done, some is no user's to take back."""
        return self.role is Role.ADMIN

    @property
    def keeps_pools(self) -> bool:
        """Of what it may call, it reaches the workers of pools alone."""
        return self.role is Role.POOLS


def parse_identity(uri: str) -> Identity:
    """Read an identity's URI. Only the exact form that `Identity.uri` writes is taken; else InvalidInput."""
    parts = uri.removeprefix(_SCHEME).split("/")
    if not uri.startswith(_SCHEME) or len(parts) != 3:
        raise InvalidInput(f"{uri!r} is no identity: expected spiffe://<cluster id>/<kind>/<name>")
    cluster_id, kind, name = parts
    if kind not in list(IdentityKind):
        raise InvalidInput(f"{uri!r} is no identity: kind {kind!r} is none of {', '.join(IdentityKind)}")
    return Identity(cluster_id, IdentityKind(kind), name)


def cluster_uri(cluster_id: str) -> str:
    """The URI of a cluster itself; it stands in the certificate of its CA."""
    return _SCHEME + check_cluster_id(cluster_id)


def parse_cluster_uri(uri: str) -> str:
    """The cluster id in the URI of a CA; InvalidInput when it is not one."""
    if not uri.startswith(_SCHEME):
        raise InvalidInput(f"{uri!r} names no cluster: expected spiffe://<cluster id>")
    return check_cluster_id(uri.removeprefix(_SCHEME))


def scheduler_server_name(cluster_id: str) -> str:
    """The DNS name that every scheduler of a cluster proves."""
    return f"scheduler.{check_cluster_id(cluster_id)}.{_DOMAIN}"


def is_of_clusters(host: str) -> bool:
    """Whether a DNS name is one of those by which the parties of clusters prove themselves to each other."""
    return host.lower().rstrip(".").endswith(f".{_DOMAIN}")


def check_cluster_id(text: str) -> str:
    """Return `text` if it can be a cluster id, else raise InvalidInput."""
    if len(text) != CLUSTER_ID_LENGTH or not _HEX.issuperset(text):
        raise InvalidInput(f"{text!r} is no cluster id: expected {CLUSTER_ID_LENGTH} lower-case hex digits")
    return text


def check_name(text: str) -> str:
    """Return `text` if it can be the name in an identity, else raise InvalidInput."""
    if not text:
        raise InvalidInput("a name must not be empty")
    if len(text) > MAX_NAME_LENGTH:
        raise InvalidInput(f"the name {text!r} is too long: at most {MAX_NAME_LENGTH} characters")
    if text[0] not in _ALPHANUMERIC or not _NAME.issuperset(text):
        raise InvalidInput(
            f"the name {text!r} may hold only letters, digits, '.', '_' and '-', and starts with one of the first two"
        )
    return text


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID in its canonical lower-case form (RFC 9562 section 4)."""
    return _UUID.fullmatch(text) is not None
