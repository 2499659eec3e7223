"""What a gateway brings of the caller whose call it passes on: a bearer token, or the certificate that was shown to it.

It comes in the metadata of a call on the gateway's own connection. The scheduler judges it, at each call: so a gateway
that is broken into can do no more than those whose tokens and certificates have passed through it. On any other
connection this metadata says nothing.
"""

from typing import Any, NamedTuple, NoReturn

from cluster.domain.base.errors import NotAuthenticated

TOKEN, CERTIFICATE = "cluster-token", "cluster-certificate-bin"


class Proof(NamedTuple):
    """One of both."""

    token: str = ""  # its whole text
    certificate: bytes = b""  # PEM. Whoever showed it has proved to the gateway that it has the key

    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """As the gateway's calls bring it."""
        return ((TOKEN, self.token),) if self.token else ((CERTIFICATE, self.certificate),)

    def __repr__(self) -> str:  # the secret stays out of logs
        return "Proof(…)"


def proof_in(context: Any) -> Proof | None:
    """What the call on a gateway's connection brings; None: it is the gateway's own. NotAuthenticated for two things at
    once."""
    found = [(key, value) for key, value in context.invocation_metadata() or () if key in (TOKEN, CERTIFICATE)]
    if not found:
        return None
    key, value = found[0]
    if len(found) > 1 or not value:
        raise NotAuthenticated("a gateway brings one token or one certificate")
    return Proof(token=value) if key == TOKEN else Proof(certificate=value)


def nobody(shown: Proof) -> NoReturn:
    """For whoever does not take the calls of gateways."""
    raise NotAuthenticated("no gateway makes calls here")
