"""Join tokens: the line that is pasted, the record that the scheduler keeps, and who is let in by one.

    C1.<host:port>.<sha256 of the CA's public key>.<secret>

And bearer tokens: who shows one over HTTP acts as its user, until it ends or is revoked.

    H1.<secret>

The pin lets the joiner make sure of the cluster before a byte of the secret leaves; the secret lets the
cluster make sure of the joiner. Records hold only a hash of the secret: a random 192-bit value needs no slow
hash, and finding a record by its hash takes a time that tells nothing about any secret. Of a bearer token the whole
text is the secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cluster.domain.base.errors import InvalidInput, NotAuthenticated
from cluster.domain.trust.enrolments import Maker
from cluster.domain.trust.identity import IdentityKind, Role, check_name

VERSION = "C1"
SECRET_BYTES = 24  # 192 random bits, which base64url writes without padding
PIN_LENGTH = 64  # hex digits of a SHA-256
GRANTABLE = (Role.WORKER, Role.ADMIN, Role.USER, Role.VIEWER, Role.GATEWAY, Role.POOLS)
BEARER_PREFIX = "H1."
BEARER_BYTES = 32  # 256 random bits
JOIN, HTTP = PURPOSES = ("join", "http")  # what a token is for

_OF_MACHINES = (Role.WORKER, Role.GATEWAY)  # whose bearers are given a name of their own

_SECRET_LENGTH = SECRET_BYTES * 4 // 3
_HEX = frozenset("0123456789abcdef")
_BASE64URL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
_ANYWHERE = ("0.0.0.0", "::", "0")
_SHAPE = f"expected {VERSION}.<host:port>.<pin>.<secret>"
_PASTE = "paste it whole and unchanged"


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What is pasted: where to join (`host:port`, an IPv6 host in brackets), the CA's pin, and the secret."""

    address: str
    pin: str
    secret: str

    def __str__(self) -> str:
        return f"{VERSION}.{self.address}.{self.pin}.{self.secret}"

    def __repr__(self) -> str:  # the secret stays out of logs
        return f"JoinToken({self.address!r}, {self.pin!r}, …)"


def parse_join_token(text: str) -> JoinToken:
    """Read a pasted token. InvalidInput says which part is wrong, and never repeats the secret."""
    text = text.strip()
    version, _, rest = text.partition(".")
    if version != VERSION:
        raise InvalidInput(f"this is no join token: it starts with {version[:8]!r}, {_SHAPE}")
    parts = rest.rsplit(".", 2)
    if len(parts) != 3:
        raise InvalidInput(f"the join token is incomplete: {_SHAPE}; {_PASTE}")
    address, pin, secret = parts
    if len(pin) != PIN_LENGTH or not _HEX.issuperset(pin):
        raise InvalidInput(f"the pin in the join token is not {PIN_LENGTH} lower-case hex digits; {_PASTE}")
    if len(secret) != _SECRET_LENGTH:
        raise InvalidInput(f"the secret in the join token has {len(secret)} characters, not {_SECRET_LENGTH}; {_PASTE}")
    if not _BASE64URL.issuperset(secret):
        raise InvalidInput(f"the secret in the join token holds a character that no token has; {_PASTE}")
    check_address(address)
    return JoinToken(address, pin, secret)


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[IPv6]:port`; InvalidInput says what is wrong with another text."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise InvalidInput(f"the address {text!r} has no port: expected host:port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        if ":" not in host:
            raise InvalidInput(f"the address {text!r} has no IPv6 address between its brackets")
    elif ":" in host:
        raise InvalidInput(f"the address {text!r} has an IPv6 host without brackets: expected [host]:port")
    if not host or not host.isascii() or not host.isprintable() or any(c in " /[]@,?#" for c in host):
        raise InvalidInput(f"the address {text!r} has no usable host: expected host:port")
    if not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65535:
        raise InvalidInput(f"the address {text!r} has the port {port!r}: expected 1 to 65535")
    return host, int(port)


def check_address(text: str) -> str:
    """Return `text` if it is the `host:port` of somebody to connect to, else raise InvalidInput."""
    if split_address(text)[0] in _ANYWHERE:
        raise InvalidInput(
            f"{text!r} is where a server listens, on all addresses of its machine: give the name or an address of that "
            "machine; 127.0.0.1 is this one"
        )
    return text


def check_addresses(text: str) -> tuple[str, ...]:
    """The addresses in a text that may have several, with commas between: of schedulers of which one leads.
    InvalidInput for one that is none."""
    return tuple(dict.fromkeys(check_address(each.strip()) for each in text.split(",")))


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What the scheduler keeps of a token. Times are Unix seconds; `id` is what people list and revoke it by.

    With role worker its bearer becomes a new worker, with gateway a new gateway; with admin, user or viewer, the user
    that it names.
    """

    id: str
    secret_hash: str
    role: Role
    user: str
    created: float
    expires: float
    uses_left: int | None  # None: without limit
    revoked: float | None = None
    maker: Maker | None = None  # None: not known, since an older version made it
    bearer: int = 0  # of a bearer token: the enrolment of its user that came with it; 0: it is for joining

    def __post_init__(self) -> None:
        if self.role not in GRANTABLE:
            raise InvalidInput(f"a token cannot grant the role {self.role!r}: expected one of {', '.join(GRANTABLE)}")
        if self.role not in _OF_MACHINES:
            check_name(self.user)
        elif self.user:
            raise InvalidInput(f"a token for {self.role}s cannot name a user: {self.user!r}")
        elif self.bearer:
            raise InvalidInput(f"a token for HTTP is a person's: the role {self.role} has none")

    @property
    def purpose(self) -> str:
        """What it is for: JOIN or HTTP."""
        return HTTP if self.bearer else JOIN

    def is_good(self, now: float) -> bool:
        """Whether somebody could join by it, or show it."""
        return self.revoked is None and now < self.expires and self.uses_left != 0


def check_kind(record: TokenRecord, kind: str) -> None:
    """Raises InvalidInput when the token's bearer can only be a `kind` (worker, user), and the token makes another."""
    made = record.role if record.role in _OF_MACHINES else IdentityKind.USER
    if kind and kind != made:
        takes = "login" if made == IdentityKind.USER else f"{made} --join"
        whom = f"the user {record.user}" if record.user else f"a {made}"
        raise InvalidInput(f"this join token is for {whom}: `cluster {takes}` takes it")


def admit(records: Mapping[str, TokenRecord], secret_hash: str, now: float) -> TokenRecord:
    """Let the bearer of a secret in: the token's record with one use less, for the caller to keep before it answers.

    `records` maps hashes of secrets to tokens. Raises NotAuthenticated with the reason when it must stay
    out.
    """
    record = _good(records.get(secret_hash), JOIN, now)
    if record.uses_left is None:
        return record
    if record.uses_left < 1:
        raise NotAuthenticated(f"the join token {record.id} is used up; ask for a new one (cluster token create)")
    return replace(record, uses_left=record.uses_left - 1)


def borne(records: Mapping[str, TokenRecord], secret_hash: str, now: float) -> TokenRecord:
    """The bearer token that was shown. Raises NotAuthenticated with the reason when it says nothing (any more)."""
    return _good(records.get(secret_hash), HTTP, now)


def _good(record: TokenRecord | None, purpose: str, now: float) -> TokenRecord:
    what, create = ("join token", "") if purpose == JOIN else ("bearer token", " --for http")
    anew = f"ask for a new one (cluster token create{create})"
    if record is None or record.purpose != purpose:
        raise NotAuthenticated(f"this {what} is not known here: it was edited, or it is of another cluster")
    if record.revoked is not None:
        raise NotAuthenticated(f"the {what} {record.id} was revoked; {anew}")
    if now >= record.expires:
        raise NotAuthenticated(f"the {what} {record.id} has expired; {anew}")
    return record
