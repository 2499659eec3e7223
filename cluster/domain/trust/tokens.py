"""Join tokens: the line that is pasted, the record that the scheduler keeps, and who is let in by one.

    C1.<host:port>.<sha256 of the CA's public key>.<secret>

The pin lets the joiner make sure of the cluster before a byte of the secret leaves; the secret lets the
cluster make sure of the joiner. Records hold only a hash of the secret: a random 192-bit value needs no slow
hash, and finding a record by its hash takes a time that tells nothing about any secret.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from cluster.domain.base.errors import InvalidInput, NotAuthenticated
from cluster.domain.trust.enrolments import Maker
from cluster.domain.trust.identity import IdentityKind, Role, check_name

VERSION = "C1"
SECRET_BYTES = 24  # 192 random bits, which base64url writes without padding
PIN_LENGTH = 64  # hex digits of a SHA-256
GRANTABLE = (Role.WORKER, Role.ADMIN, Role.USER, Role.VIEWER)

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


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What the scheduler keeps of a token. Times are Unix seconds; `id` is what people list and revoke it by.

    With role worker its bearer becomes a new worker; with admin, user or viewer, the user that it names.
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

    def __post_init__(self) -> None:
        if self.role not in GRANTABLE:
            raise InvalidInput(f"a token cannot grant the role {self.role!r}: expected one of {', '.join(GRANTABLE)}")
        if self.role is not Role.WORKER:
            check_name(self.user)
        elif self.user:
            raise InvalidInput(f"a token for workers cannot name a user: {self.user!r}")

    def is_good(self, now: float) -> bool:
        """Whether somebody could join by it."""
        return self.revoked is None and now < self.expires and self.uses_left != 0


def check_kind(record: TokenRecord, kind: str) -> None:
    """Raises InvalidInput when the token's bearer can only be a `kind` (worker, user), and the token makes another."""
    if kind == IdentityKind.WORKER and record.role is not Role.WORKER:
        raise InvalidInput(f"this join token is for the user {record.user}: `cluster login` takes it")
    if kind == IdentityKind.USER and record.role is Role.WORKER:
        raise InvalidInput("this join token is for a worker: `cluster worker --join` takes it")


def admit(records: Mapping[str, TokenRecord], secret_hash: str, now: float) -> TokenRecord:
    """Let the bearer of a secret in: the token's record with one use less, for the caller to keep before it answers.

    `records` maps hashes of secrets to tokens. Raises NotAuthenticated with the reason when it must stay
    out.
    """
    record = records.get(secret_hash)
    if record is None:
        raise NotAuthenticated("this join token is not known here: it was edited, or it is of another cluster")
    if record.revoked is not None:
        raise NotAuthenticated(f"the join token {record.id} was revoked; ask for a new one (cluster token create)")
    if now >= record.expires:
        raise NotAuthenticated(f"the join token {record.id} has expired; ask for a new one (cluster token create)")
    if record.uses_left is None:
        return record
    if record.uses_left < 1:
        raise NotAuthenticated(f"the join token {record.id} is used up; ask for a new one (cluster token create)")
    return replace(record, uses_left=record.uses_left - 1)
