"""Errors over the wire: `cluster.domain.base.errors` on one side, gRPC status codes on the other.

The class travels in a trailing header, the message as the status details, so that the client raises what the server
raised. A status without that header comes from gRPC itself: the connection failed, and the text says how.
"""

import asyncio
import logging
import secrets
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
import grpc.aio

from cluster.domain.base import errors
from cluster.domain.base.errors import (
    ClusterError,
    Exhausted,
    Internal,
    NotAuthenticated,
    NotOffered,
    NotReached,
    Unreachable,
    Untrusted,
)

logger = logging.getLogger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]

HEADER = "cluster-error"  # holds the name of the class
MAX_DETAILS = 2000  # characters; gRPC refuses more than 8 KiB of headers in total

# Codes are for clients in other languages; ours go by the class. A class that is not here answers as its parent.
_CODES: dict[type[ClusterError], grpc.StatusCode] = {
    ClusterError: grpc.StatusCode.UNKNOWN,
    errors.InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.Unusable: grpc.StatusCode.INTERNAL,
    errors.NoAccess: grpc.StatusCode.INTERNAL,
    errors.Conflict: grpc.StatusCode.FAILED_PRECONDITION,
    errors.MissingContents: grpc.StatusCode.FAILED_PRECONDITION,
    Exhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    NotAuthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.Revoked: grpc.StatusCode.UNAUTHENTICATED,
    errors.NotPermitted: grpc.StatusCode.PERMISSION_DENIED,
    errors.IdentityInUse: grpc.StatusCode.PERMISSION_DENIED,
    Unreachable: grpc.StatusCode.UNAVAILABLE,
    NotOffered: grpc.StatusCode.UNIMPLEMENTED,
    Untrusted: grpc.StatusCode.UNAUTHENTICATED,
    Internal: grpc.StatusCode.INTERNAL,
}
_CLASSES = {kind.__name__: kind for kind in _CODES}

# gRPC 1.85's texts for connections that were never made, and what each means. The first that is found counts.
_HANDSHAKES = {
    "Hostname Verification Check failed": "is not who it should be: its certificate names somebody else",
    "CERTIFICATE_VERIFY_FAILED: certificate has expired": "shows a certificate that has expired",
    "CERTIFICATE_VERIFY_FAILED: certificate is not yet valid": "shows a certificate of the future; compare the clocks",
    "CERTIFICATE_VERIFY_FAILED": "is of another cluster: its certificate is not from the CA that we trust",
    "WRONG_VERSION_NUMBER": "does not speak TLS; it is something else than cluster",
    "handshake failed": "does not agree with us on TLS; it is something else than cluster",
    # With TLS 1.3 the client has finished its part before the server looks at its certificate.
    ": Socket closed": "closed the connection: it does not accept our certificate (of another cluster, or expired)",
}
_REASONS = {
    "lookup": "its host name is not known",
    "Handshake read failed (Endpoint closing)": "nobody answered in time",  # we closed, at the time limit
    "tcp handshaker shutdown": "nobody answered in time",
    "Handshake read failed": "it closed the connection at once, as a server of another kind does",
    "Socket closed": "the connection broke",
}
_NO_CONNECTION = "failed to connect to all addresses"
_CUT_OFF = "Internal error from Core"  # grpc.aio's own words, of a stream whose connection breaks while it begins


@asynccontextmanager
async def answering_errors(context: Context, method: str) -> AsyncIterator[None]:
    """Run a handler's body; what it raises becomes the call's status. A bug is logged and answered by a short id."""
    try:
        yield
    except ClusterError as error:
        _forget_frames(error)
        await abort(context, error)
    except (grpc.aio.AbortError, grpc.aio.UsageError):
        raise  # the status was sent already, or the client has hung up
    except grpc.aio.InternalError as error:
        # Reading from or writing to the client failed because it hung up, which is not an error of ours.
        logger.debug("%s: the client has gone: %s", method, error)
        raise asyncio.CancelledError from None
    except Exception:
        number = secrets.token_hex(4)
        logger.exception("%s failed by a fault of ours; the caller was told the id %s", method, number)
        await abort(context, Internal(f"internal error {number}; the server's log says more under this id"))


def _forget_frames(error: BaseException) -> None:
    """Drops the frames that led to the error. They hold the request, and contextlib's own frames make a cycle of them
    and the error: so it would stay in memory until the next full collection, which looks at counts of objects and not
    at megabytes."""
    here: BaseException | None = error
    while here is not None:
        traceback.clear_frames(here.__traceback__)
        here = here.__context__


async def abort(context: Context, error: ClusterError) -> None:
    """End the call with this error. Always raises, as gRPC's own `abort` does."""
    kind = next(kind for kind in type(error).__mro__ if kind in _CODES)
    await context.abort(_CODES[kind], str(error)[:MAX_DETAILS], ((HEADER, kind.__name__),))


@contextmanager
def calling(address: str) -> Iterator[None]:
    """Make calls to a server in the body of this; a failed one raises the ClusterError that it stands for."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise error_of(error, address) from None


def error_of(error: grpc.aio.AioRpcError, address: str) -> ClusterError:
    """What a failed call to `address` stands for: the server's own error, or one about the connection."""
    details = error.details() or ""
    for key, value in error.trailing_metadata() or ():
        if key == HEADER and isinstance(value, str) and value in _CLASSES:
            return _CLASSES[value](details)
    return _connection_error(error.code(), details, address)


def error_named(name: str, details: str) -> ClusterError:
    """An error of that class, as HEADER names it."""
    return _CLASSES.get(name, ClusterError)(details)


def _connection_error(code: grpc.StatusCode, details: str, address: str) -> ClusterError:
    if code is grpc.StatusCode.UNAVAILABLE and _NO_CONNECTION in details:
        for sign, meaning in _HANDSHAKES.items():
            if sign in details:
                return Untrusted(f"the server at {address} {meaning}")
    match code:
        case grpc.StatusCode.UNAVAILABLE:
            kind = NotReached if _NO_CONNECTION in details else Unreachable
            return kind(f"{address} cannot be reached: {_reason(details)}")
        case grpc.StatusCode.INTERNAL if details == _CUT_OFF:
            return Unreachable(f"{address} cannot be reached: the connection broke")
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return Unreachable(f"{address} did not answer in time")
        case grpc.StatusCode.CANCELLED:
            return Unreachable(f"the call to {address} was cut off")
        case grpc.StatusCode.UNIMPLEMENTED:
            return NotOffered(
                f"the server at {address} does not offer this; it may be of another version, or another port"
            )
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return Exhausted(f"the call to {address} went beyond a limit: {details}")
        case _:
            return Internal(f"the call to {address} failed: {code.name}: {details}")


def _reason(details: str) -> str:
    """Words for people; gRPC's chain of causes ends with the system's."""
    return next((words for sign, words in _REASONS.items() if sign in details), details.rpartition(": ")[2])
