"""Counting the fields of a message agrees with what protobuf makes of it, and takes all that may arrive."""

from typing import Any

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st

from cluster.rpc.wire import TooMuch, check_fields
from cluster.v1 import job_pb2, jobs_pb2, scheduler_pb2


def fields_of(message: Message) -> int:
    """As protobuf tells them once it has parsed."""
    total = 0
    for field, value in message.ListFields():
        several = list(value) if field.is_repeated else [value]
        packed = field.is_repeated and field.message_type is None and not isinstance(several[0], str | bytes)
        total += 1 if packed else len(several)
        total += len(several) if packed else sum(fields_of(v) for v in several if isinstance(v, Message))
    return total


def count_fields(data: bytes, message: Any, most: int) -> int | None:
    """None where it is too much."""
    try:
        return check_fields(data, message, most, longest=2**64)
    except TooMuch:
        return None


TEXTS = st.lists(st.text(max_size=5), max_size=6)
NUMBERS = st.integers(0, 2**32 - 1)
SUBMITS = st.builds(
    lambda argv, env, array, lines: jobs_pb2.SubmitRequest(
        id="x",
        spec=job_pb2.JobSpec(
            argv=argv,
            env=[job_pb2.EnvVar(name=name, value="v") for name in env],
            array=[job_pb2.ArraySegment(first=n, last=n) for n in array],
            lines=lines,
        ),
    ),
    TEXTS,
    TEXTS,
    st.lists(NUMBERS, max_size=6),
    st.binary(max_size=300),
)
HELLOS = st.lists(NUMBERS, max_size=9).map(
    lambda ns: scheduler_pb2.SessionRequest(
        hello=scheduler_pb2.Hello(
            backlog=[scheduler_pb2.Attempts(job=n, indexes=[job_pb2.IndexRange(first=n, count=1)] * 3) for n in ns]
        )
    )
)


@given(st.one_of(SUBMITS, HELLOS))
def test_fields_are_counted_as_they_are_parsed(message: Message) -> None:
    data, expected = message.SerializeToString(), fields_of(message)
    assert count_fields(data, message.DESCRIPTOR, 10_000) == expected
    assert count_fields(data, message.DESCRIPTOR, expected) == expected
    if expected:
        assert count_fields(data, message.DESCRIPTOR, expected - 1) is None


def test_entries_of_packed_fields_are_counted_without_being_looked_at() -> None:
    request = jobs_pb2.ListRequest(states=[job_pb2.TASK_STATE_READY] * 1000)
    assert count_fields(request.SerializeToString(), request.DESCRIPTOR, 10_000) == 1001
    assert count_fields(request.SerializeToString(), request.DESCRIPTOR, 1000) is None


@given(st.binary(max_size=200))
def test_anything_is_counted_without_an_error_and_never_as_less_than_it_is(data: bytes) -> None:
    count = count_fields(data, jobs_pb2.SubmitRequest.DESCRIPTOR, 10_000)
    assert count is not None
    try:
        message = jobs_pb2.SubmitRequest.FromString(data)
    except DecodeError:
        return
    assert count >= fields_of(message)


@pytest.mark.parametrize("data", [b"\x0b" * 100_000, b"\x0a", b"\xff" * 50, b"\x12\xff\xff\xff\xff\x0f" + b"\0" * 10])
def test_what_is_damaged_ends_the_count(data: bytes) -> None:
    assert count_fields(data, jobs_pb2.SubmitRequest.DESCRIPTOR, 1000) in (None, *range(12))


def test_a_text_that_is_too_long_is_named() -> None:
    longer = {"cluster.v1.JobSpec.lines": 1001}
    request = jobs_pb2.SubmitRequest(spec=job_pb2.JobSpec(argv=["x" * 1001], lines=b"x" * 1001))
    with pytest.raises(TooMuch, match="a text of 1001 bytes in argv; the limit is 1000"):
        check_fields(request.SerializeToString(), request.DESCRIPTOR, 100, 1000, longer)
    request.spec.argv[0] = "x" * 1000
    assert check_fields(request.SerializeToString(), request.DESCRIPTOR, 100, 1000, longer) == 3
    with pytest.raises(TooMuch, match="in an unknown field"):
        check_fields(b"\xfa\x07\xe9\x07" + bytes(1001), request.DESCRIPTOR, 100, 1000)
