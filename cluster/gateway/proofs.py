"""What a request shows of whoever makes it: a bearer token, also as the password of HTTP Basic; or a certificate."""

from base64 import b64decode
from binascii import Error as NotBase64

from starlette.requests import Request

from cluster.domain.trust.tokens import BEARER_PREFIX, VERSION
from cluster.gateway.problems import UNAUTHENTICATED, Problem
from cluster.rpc.on_behalf import Proof

MOST = 200  # characters of a token; ours have 46
MADE_BY = "`cluster token create --for http`"
CERTIFICATE = "certificate"  # in a request's state: of its connection, PEM, empty: none was shown


def proof_of(request: Request) -> Proof:
    """What the scheduler is to judge. Problem when nothing is shown, or what no cluster has made."""
    header = request.headers.get("authorization")
    if header is None:
        certificate: bytes = getattr(request.state, CERTIFICATE, b"")
        if certificate:
            return Proof(certificate=certificate)
        raise Problem(UNAUTHENTICATED, f"show a token: Authorization: Bearer TOKEN, of {MADE_BY}")
    scheme, _, value = header.strip().partition(" ")
    match scheme.lower():
        case "bearer":
            return Proof(token=_checked(value.strip()))
        case "basic":
            return Proof(token=_checked(_password(value.strip())))
    raise Problem(UNAUTHENTICATED, f"Authorization is {scheme[:20]!r}: only Bearer and Basic are known here")


def _password(value: str) -> str:
    """Of HTTP Basic; the user's name says nothing."""
    try:
        return b64decode(value, validate=True).decode().partition(":")[2]
    except (NotBase64, ValueError):
        raise Problem(UNAUTHENTICATED, "Authorization: Basic is followed by no base64 of NAME:TOKEN") from None


def _checked(token: str) -> str:
    if token.startswith(f"{VERSION}."):
        raise Problem(UNAUTHENTICATED, f"this is a join token, and one for HTTP is wanted, of {MADE_BY}")
    if not looks_like_token(token) or len(token) > MOST or not token.isascii() or not token.isprintable():
        raise Problem(UNAUTHENTICATED, "this is no token of a cluster: it was edited, or is of something else")
    return token


def looks_like_token(text: str) -> bool:
    """Whether somebody may have meant a token by it."""
    return text.startswith(BEARER_PREFIX)
