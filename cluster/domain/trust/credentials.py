"""What one party of a cluster holds to prove itself: key, certificate, CA, and whom they are for, as one text.

All of it is one file, so that replacing key and certificate together is one rename. The lines before the
first PEM block (RFC 7468 allows explanatory text there) repeat what the certificate says, so that a client
which only dials need not load a library that reads certificates (130 ms). They decide nothing: who edits
them meets a failing handshake.

    Identity: spiffe://0123456789abcdef/user/admin
    Not-Before: 1790000000
    Not-After: 1792592000
    -----BEGIN PRIVATE KEY----- …
    -----BEGIN CERTIFICATE----- …   (its own)
    -----BEGIN CERTIFICATE----- …   (the CA's)
"""

from dataclasses import dataclass

from cluster.domain.base.errors import InvalidInput
from cluster.domain.trust.identity import Identity, parse_identity

_BEGIN, _END = "-----BEGIN ", "-----END "
_BLOCKS = ["PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key with its certificate and the CA that vouches for it, PEM encoded. Times are Unix seconds."""

    identity: Identity
    not_before: int
    not_after: int
    key_pem: bytes
    certificate_pem: bytes
    ca_pem: bytes
    scheduler: str = ""  # host:port, as it was when they were got by joining

    def valid_at(self, now: float) -> bool:
        """Whether the certificate counts at this time (Unix seconds)."""
        return self.not_before <= now <= self.not_after

    def __repr__(self) -> str:  # a key must not get into a log by way of somebody's %r
        return f"Credentials({self.identity.uri}, not_after={self.not_after})"


def format_credentials(credentials: Credentials) -> bytes:
    """The text of the file."""
    head = (
        f"Identity: {credentials.identity.uri}\n"
        f"Not-Before: {credentials.not_before}\n"
        f"Not-After: {credentials.not_after}\n"
    )
    if credentials.scheduler:
        head += f"Scheduler: {credentials.scheduler}\n"
    return head.encode() + credentials.key_pem + credentials.certificate_pem + credentials.ca_pem


def looks_like_credentials(data: bytes) -> bool:
    """Whether it is credentials or what is left of some."""
    return data.startswith(b"Identity: ")


def parse_credentials(data: bytes) -> Credentials:
    """Read what `format_credentials` wrote; anything else raises InvalidInput."""
    try:
        text = data.decode("ascii")
        head, _, rest = text.partition(_BEGIN)
        fields = dict(line.split(": ", 1) for line in head.splitlines())
        blocks = split_pem(_BEGIN + rest)
        if [label for label, _ in blocks] != _BLOCKS:
            raise ValueError("the blocks are not a key and two certificates")
        key, certificate, ca = (block for _, block in blocks)
        return Credentials(
            parse_identity(fields["Identity"]),
            int(fields["Not-Before"]),
            int(fields["Not-After"]),
            key,
            certificate,
            ca,
            fields.get("Scheduler", ""),
        )
    except (KeyError, ValueError) as error:
        raise InvalidInput(f"no credentials: {error}") from None


def split_pem(text: str) -> list[tuple[str, bytes]]:
    """The PEM blocks in a text, each with its label. A block without an end raises ValueError."""
    blocks: list[tuple[str, bytes]] = []
    label, lines = "", list[str]()
    for line in text.splitlines():
        if line.startswith(_BEGIN):
            label, lines = line.removeprefix(_BEGIN).removesuffix("-----"), []
        if label:
            lines.append(line)
        if label and line == f"{_END}{label}-----":
            blocks.append((label, ("\n".join(lines) + "\n").encode("ascii")))
            label = ""
    if label:
        raise ValueError(f"the block {label!r} has no end")
    return blocks
