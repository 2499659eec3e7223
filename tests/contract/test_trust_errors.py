"""Every error of the tree arrives as what it was; and gRPC's own failures become one of the tree."""

import asyncio

import grpc
import grpc.aio
import pytest
from grpc.aio import Metadata

from cluster.domain.base import errors
from cluster.domain.base.errors import ClusterError, Exhausted, Internal, NotOffered, NotReached, Unreachable, Untrusted
from cluster.rpc.errors import HEADER, MAX_DETAILS, abort, error_of

ADDRESS = "box:50000"
# All but NotReached: no server can say of a call that it answers that it never happened.
TREE = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ClusterError) and kind is not NotReached
]


class FakeContext:
    """Turns what a server aborts with into what a client catches."""

    async def abort(self, code: grpc.StatusCode, details: str, trailing: tuple[tuple[str, str], ...]) -> None:
        raise failure(code, details, trailing)


def failure(code: grpc.StatusCode, details: str, trailing: tuple[tuple[str, str], ...] = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, Metadata(), Metadata(*trailing), details)


def sent_and_received(error: ClusterError) -> ClusterError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        asyncio.run(abort(FakeContext(), error))  # type: ignore[arg-type]
    return error_of(caught.value, ADDRESS)


@pytest.mark.parametrize("kind", TREE)
def test_an_error_arrives_as_what_it_was(kind: type[ClusterError]) -> None:
    received = sent_and_received(kind("job 5: ümlaut, 100 %"))
    assert type(received) is kind
    assert str(received) == "job 5: ümlaut, 100 %"


def test_a_subclass_arrives_as_the_parent_that_both_sides_know() -> None:
    class NoSuchJob(errors.NotFound):
        pass

    assert type(sent_and_received(NoSuchJob("no job 5"))) is errors.NotFound
    assert type(sent_and_received(NotReached("worker 7"))) is Unreachable


def test_a_message_without_end_is_cut() -> None:
    assert len(str(sent_and_received(errors.InvalidInput("x" * 100_000)))) == MAX_DETAILS


@pytest.mark.parametrize(
    ("code", "details", "kind", "said"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:5: Failed to connect "
         "to remote host: Connection refused", NotReached, "cannot be reached: Connection refused"),
        ("UNAVAILABLE", "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:1.2.3.4:5: Handshake read "
         "failed (Endpoint closing)", NotReached, "nobody answered in time"),
        ("UNAVAILABLE", "Socket closed", Unreachable, "the connection broke"),
        ("UNAVAILABLE", "failed to connect to all addresses; last error: UNAVAILABLE: ipv4:1.2.3.4:5: Socket closed",
         Untrusted, "does not accept our certificate"),
        ("INTERNAL", "Internal error from Core", Unreachable, "the connection broke"),
        ("INTERNAL", "Received RST_STREAM with error code 2", Internal, "RST_STREAM"),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", Unreachable, "did not answer in time"),
        ("CANCELLED", "", Unreachable, "was cut off"),
        ("UNIMPLEMENTED", "Method not found!", NotOffered, "does not offer this"),
        ("RESOURCE_EXHAUSTED", "Received message larger than max (5 vs. 4)", Exhausted, "larger than max"),
        ("UNKNOWN", "Stream removed", Internal, "UNKNOWN: Stream removed"),
    ],
)  # fmt: skip
def test_grpcs_own_failures_are_told_in_words(code: str, details: str, kind: type[ClusterError], said: str) -> None:
    error = error_of(failure(grpc.StatusCode[code], details), ADDRESS)
    assert type(error) is kind
    assert ADDRESS in str(error)
    assert said in str(error)


def test_a_class_that_we_do_not_know_is_not_made_up() -> None:
    error = error_of(failure(grpc.StatusCode.NOT_FOUND, "gone", ((HEADER, "SystemExit"),)), ADDRESS)
    assert type(error) is Internal
