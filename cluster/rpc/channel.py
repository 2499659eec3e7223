"""Dialling a server and knowing for certain who answers."""

from collections.abc import Iterator, Sequence

import grpc
import grpc.aio

from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.tokens import check_addresses
from cluster.rpc.addresses import resolved
from cluster.rpc.credentials import client_credentials
from cluster.rpc.process_limits import check_room

# A job brings the lines of its `--each-line` file in one message, and a report all ends since the last: far more than
# gRPC's 4 MiB. The bound is there so that one message cannot fill a server's memory.
MAX_MESSAGE = 64 * 1024 * 1024

CONNECT_TIMEOUT = 5.0  # seconds for TCP and TLS together; gRPC's own is 20 s, an age at a prompt

_OPTIONS: list[tuple[str, int]] = [
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    # By this name gRPC means the least time for one attempt to connect.
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_TIMEOUT * 1000)),
    # A server that comes back is found again within seconds: the first retry comes soon.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.http2.max_pings_without_data", 0),
    # Who dials a second time, because the first hangs, wants another connection.
    ("grpc.use_local_subchannel_pool", 1),
    # A proxy for the web that is set in the environment is not the way to the machine next door.
    ("grpc.enable_http_proxy", 0),
]

# A follower of output hears nothing for hours, and must notice when the other machine has vanished without a word, or
# its process is stopped: so it is asked for a sign, while a call is open. Of several servers another may have taken
# over by then, so it is asked more often; servers allow it every 2 s (cluster.rpc.server).
_SIGN_AFTER, _SIGN_WITHIN = 20_000, 10_000  # milliseconds
_SIGN_AFTER_OF_SEVERAL, _SIGN_WITHIN_OF_SEVERAL = 3_000, 3_000


# The longest pause between two tries, in milliseconds. Of several servers another takes over at some moment, which
# nobody is to find much later.
_RETRY_WITHIN, _RETRY_WITHIN_OF_SEVERAL = 5_000, 1_000


def dial(address: str, credentials: Credentials, server_name: str) -> grpc.aio.Channel:
    """A channel to the server at `address` (host:port) that proves `server_name` (`Identity.server_name`). Of several
    addresses (with commas between) it goes to one that answers, and on to another when that ends.

    Connects with the first call. Wrap calls in `cluster.rpc.errors.calling(address)`: to a dead address they fail at
    once (Unreachable), to somebody else with Untrusted. InvalidInput for a malformed address, NotAuthenticated when
    our own certificate has expired, Exhausted when this process may have too little. Close the channel after use.
    """
    return secure_channel(address, client_credentials(credentials), server_name)


def secure_channel(address: str, credentials: grpc.ChannelCredentials, server_name: str) -> grpc.aio.Channel:
    """Does what `dial` does, for credentials that were made already."""
    check_room()
    name = ("grpc.ssl_target_name_override", server_name)
    addresses = check_addresses(address)
    return grpc.aio.secure_channel(_target(addresses), credentials, options=[*_OPTIONS, *_options_of(addresses), name])


def _target(addresses: Sequence[str]) -> str:
    """As gRPC has it, which knows names one at a time alone."""
    return f"dns:///{addresses[0]}" if len(addresses) == 1 else resolved(addresses)


def _options_of(addresses: Sequence[str]) -> Iterator[tuple[str, int]]:
    is_one = len(addresses) == 1
    yield "grpc.max_reconnect_backoff_ms", _RETRY_WITHIN if is_one else _RETRY_WITHIN_OF_SEVERAL
    within = _SIGN_WITHIN if is_one else _SIGN_WITHIN_OF_SEVERAL
    yield "grpc.keepalive_time_ms", _SIGN_AFTER if is_one else _SIGN_AFTER_OF_SEVERAL
    yield "grpc.keepalive_timeout_ms", within
    yield "grpc.http2.ping_timeout_ms", within  # gRPC waits for this one, a minute unless told, and not for the other
