"""Requests that nobody means well, made from the descriptors: for each method and each field, by kind and size."""

import random
import struct
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from cluster.rpc.roles import ROLES
from cluster.v1 import admin_pb2, job_pb2, jobs_pb2, scheduler_pb2, worker_pb2

JOIN = "/cluster.v1.Scheduler/Join"
HUGE = 19_000_000  # bytes: near the largest message that is taken in at all
MANY = 4_000_000  # bytes of the smallest fields that there are
DEEP = 100_000  # messages, one within the other
SMALL = 3000  # messages of a stream

_SERVICES = {
    service.full_name: service
    for file in (jobs_pb2, scheduler_pb2, admin_pb2, worker_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
}
_INTEGERS = {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_ENUM} | {
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_UINT64,
}
_ODD = {  # by name: what a field of numbers is given
    "greatest": 2**64 - 1,
    "negative": 2**64 - 2**31,
    "large": 2**32 - 1,
}
_ODD_DOUBLES = {"infinite": float("inf"), "no number": float("nan"), "negative": -1.0, "beyond clocks": 1e300}


@dataclass(frozen=True)
class Attack:
    method: str  # /package.Service/Method
    name: str
    make: Callable[[], tuple[bytes, ...]]  # its messages, which are large: they are made where they are sent

    def __str__(self) -> str:
        return f"{self.method.rpartition('.')[2]}: {self.name}"


def methods() -> list[str]:
    """All that are offered; joining by nobody in particular."""
    return [
        f"/{name}/{method.name}"
        for name, service in _SERVICES.items()
        for method in service.methods
        if ROLES[f"/{name}/{method.name}"] or f"/{name}/{method.name}" == JOIN
    ]


def is_stream(method: str) -> bool:
    return bool(_descriptor(method).client_streaming)


def goes_on(method: str) -> bool:
    """Whether its answer may be long in coming, or never end."""
    return bool(_descriptor(method).server_streaming) or method.endswith("/WaitJob")


def attacks(method: str) -> Iterator[Attack]:
    """All on one method: about the message as a whole, and about each of its fields."""
    for name, messages in _on_the_whole(method):
        yield Attack(method, name, messages)
    for path in _paths(_descriptor(method).input_type):
        where = ".".join(field.name for field in path)
        for kind, payload in _on_a_field(path[-1]):
            yield Attack(method, f"{kind} in {where}", partial(_with_a_field, method, path[:-1], payload))


def _with_a_field(method: str, path: tuple[Any, ...], payload: Callable[[], bytes]) -> tuple[bytes, ...]:
    return (_base(method) + _within(path, payload()),)


def _descriptor(method: str) -> Any:
    _, service, name = method.split("/")
    return _SERVICES[service].methods_by_name[name]


def _on_the_whole(method: str) -> Iterator[tuple[str, Callable[[], tuple[bytes, ...]]]]:
    base, noise = _base(method), random.Random(method)
    yield "nothing", lambda: ()
    yield "an empty message", lambda: (b"",)
    yield "half a message", lambda: (base[: len(base) // 2 + 1],)
    yield "noise", lambda: (noise.randbytes(100_000),)
    yield "unknown fields", lambda: (base + b"\xf8\x07\x01" * (MANY // 3),)
    yield "one unknown field", lambda: (base + _bytes(99, bytes(HUGE)),)
    yield "groups", lambda: (base + b"\xfb\x07" * (MANY // 2),)
    yield "deep messages", lambda: (base + _deep() * (MANY // len(_deep())),)
    yield "a length beyond the end", lambda: (base + _tag(1, 2) + _varint(2**31),)
    if is_stream(method):
        yield "many small messages", lambda: (base,) * SMALL
        yield "many empty messages", lambda: (base, *(b"",) * SMALL)


def _deep() -> bytes:
    """Messages, one within the other."""
    deep = b""
    for _ in range(200):
        deep = _bytes(15, deep)
    return deep


def _on_a_field(field: Any) -> Iterator[tuple[str, Callable[[], bytes]]]:
    number = field.number
    if field.type == FieldDescriptor.TYPE_STRING:
        yield "a huge text", lambda: _bytes(number, b"x" * HUGE)
        yield "a long text", lambda: _bytes(number, b"\x01" * 1_000_000)
        yield "no UTF-8", lambda: _bytes(number, b"\xff\xfe" * 50)
        yield "a NUL", lambda: _bytes(number, b"a\0b")
    elif field.type == FieldDescriptor.TYPE_BYTES:
        yield "huge bytes", lambda: _bytes(number, bytes(HUGE))
        yield "line ends", lambda: _bytes(number, b"\n" * HUGE)
    elif field.cpp_type in _INTEGERS:
        for name, value in _ODD.items():
            yield f"the {name} number", partial(bytes, _tag(number, 0) + _varint(value))
    elif field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        for name, time in _ODD_DOUBLES.items():
            yield f"a time that is {name}", partial(bytes, _tag(number, 1) + struct.pack("<d", time))
    if field.message_type is not None:
        yield "a broken message", lambda: _bytes(number, b"\x0a\xff\xff\xff\x7f")
    if field.is_repeated and field.cpp_type in _INTEGERS:
        yield "a packed crowd", lambda: _bytes(number, b"\x01" * HUGE)
    elif field.is_repeated:
        yield "a crowd", lambda: _bytes(number, b"") * (MANY // 2)
        yield "as many as are let in", lambda: _bytes(number, b"\x0a\x01x" if field.message_type else b"x") * 30_000


def _paths(message: Any, seen: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """All fields, those of messages within as well."""
    for field in message.fields:
        yield (*seen, field)
        if field.message_type is not None:
            yield from _paths(field.message_type, (*seen, field))


def _base(method: str) -> bytes:
    """A request that passes the first checks, so that more is looked at. What is added to it overrides it."""
    selector = jobs_pb2.Selector(text="1")
    spec = job_pb2.JobSpec(argv=["true"], millicpus=2**31)  # nobody can run that
    request: Any = {
        "Submit": lambda: jobs_pb2.SubmitRequest(id=str(uuid.uuid4()), spec=spec),
        "List": lambda: jobs_pb2.ListRequest(selectors=[selector]),
        "Get": lambda: jobs_pb2.GetRequest(selector=selector, max_tasks=100),
        "Wait": lambda: jobs_pb2.WaitRequest(selectors=[selector]),
        "Cancel": lambda: jobs_pb2.CancelRequest(selectors=[selector]),
        "ReadOutput": lambda: jobs_pb2.ReadOutputRequest(selector=selector, stdout=True),
        "CreateToken": lambda: admin_pb2.CreateTokenRequest(role="viewer", life=60, user="eve"),
        "Register": lambda: scheduler_pb2.RegisterRequest(name="evil", capacity_millicpus=1000),
        "Join": lambda: scheduler_pb2.JoinRequest(secret="A" * 32, csr=b"none", name="evil"),
        "Session": lambda: scheduler_pb2.SessionRequest(hello=_hello()),
        "PushOutput": lambda: scheduler_pb2.PushOutputRequest(job=1, index=0, attempt=1),
        "StartJob": lambda: worker_pb2.StartJobRequest(id=str(uuid.uuid4()), spec=spec),
        "StopJob": lambda: worker_pb2.StopJobRequest(selector=selector),
        "GetJobs": lambda: worker_pb2.GetJobsRequest(selector=selector),
        "WaitJob": lambda: worker_pb2.WaitJobRequest(selector=selector),
        "ReadJobOutput": lambda: worker_pb2.ReadJobOutputRequest(selector=selector, stdout=True),
    }.get(method.rpartition("/")[2])
    return b"" if request is None else request().SerializeToString()


def _hello() -> scheduler_pb2.Hello:
    return scheduler_pb2.Hello(incarnation="one", capacity_millicpus=1000)


def _within(path: tuple[Any, ...], payload: bytes) -> bytes:
    for field in reversed(path):
        payload = _bytes(field.number, payload)
    return payload


def _bytes(number: int, data: bytes) -> bytes:
    return _tag(number, 2) + _varint(len(data)) + data


def _tag(number: int, wire: int) -> bytes:
    return _varint(number << 3 | wire)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def legal() -> Iterator[Attack]:
    """What is within all bounds, and as much of it as they let pass."""

    def submit(what: str, **fields: Any) -> Attack:
        spec = job_pb2.JobSpec(**{"argv": ["true"], "millicpus": 2**31, **fields})
        request = jobs_pb2.SubmitRequest(id=str(uuid.uuid4()), spec=spec)
        return Attack("/cluster.v1.Jobs/Submit", what, lambda: (request.SerializeToString(),))

    def ask(method: str, name: str, *texts: str, **fields: Any) -> Attack:
        kind: Any = {"List": jobs_pb2.ListRequest, "Wait": jobs_pb2.WaitRequest, "Cancel": jobs_pb2.CancelRequest}[
            method
        ]
        request = kind(selectors=[jobs_pb2.Selector(text=text) for text in texts], **fields)
        return Attack(f"/cluster.v1.Jobs/{method}", name, lambda: (request.SerializeToString(),))

    yield submit("two million lines", lines=b"x" + b"\n" * 1_999_999)
    yield submit("16 MiB of lines", lines=b"\n".join([b"x" * 100_000] * 167))
    yield submit("32,768 words", argv=["x"] * 32_768)
    yield submit("4,096 variables", env=[job_pb2.EnvVar(name=f"V{n}", value="x") for n in range(4096)])
    segments = [job_pb2.ArraySegment(first=n, last=n + 1, step=1) for n in range(0, 40_000, 4)]
    yield submit("10,000 segments", array=segments, name="fragments")
    yield submit(
        "a hundred million tasks", array=[job_pb2.ArraySegment(first=1, last=100_000_000, step=1)], name="wide"
    )
    get = jobs_pb2.GetRequest(selector=jobs_pb2.Selector(text="last.1-100000000"), max_tasks=10_000)
    yield Attack("/cluster.v1.Jobs/Get", "ten thousand tasks", lambda: (get.SerializeToString(),))
    yield ask("List", "10,000 numbers", *(str(n) for n in range(1, 10_000)))
    yield ask("List", "10,000 times a job", *(["1", "last"] * 5000))
    yield ask("List", "a hundred of every other task", *(f"last.{n}-99999:2" for n in range(1, 201, 2)))
    yield ask("List", "a selector of 200,000 parts", "last." + ",".join(str(n) for n in range(1, 150_000)))
    yield ask("List", "every task of every fourth", "last.1-99999:4")
    yield ask("Cancel", "25,000 single tasks", "last.1-49999:2")
    yield ask("Cancel", "those between", "last.2-49998:2")
    yield ask("Cancel", "all the rest", "last")
    yield ask("List", "everything")
    yield ask("Cancel", "everything", "all")
