"""Messages as JSON and back: the same message, every field of every message; and what is no such JSON is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from cluster.gateway import job_requests, json_messages
from cluster.gateway.json_messages import encoder, from_json, is_map, parse_json, to_json, value_of_map
from cluster.gateway.problems import Problem
from cluster.gateway.routes import ROUTES
from cluster.v1 import job_pb2, jobs_pb2

MESSAGES = sorted(
    {kind.DESCRIPTOR for route in ROUTES for kind in (route.method.request, route.method.response)},
    key=lambda descriptor: descriptor.full_name,
)


SPEC: Any = job_pb2.JobSpec.DESCRIPTOR
RAISED: Any = job_pb2.RaisedException.DESCRIPTOR


def value_of(field: FieldDescriptor, depth: int) -> Any:
    """Some value that is not the default."""
    if field.message_type is not None:
        return filled(field.message_type, depth - 1)
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    return {
        FieldDescriptor.TYPE_STRING: 'an "ä" \\ \u2028\n',
        FieldDescriptor.TYPE_BYTES: b"\x00\xff<",
        FieldDescriptor.TYPE_BOOL: True,
        FieldDescriptor.TYPE_DOUBLE: 0.1,
        FieldDescriptor.TYPE_UINT32: (1 << 32) - 1,
        FieldDescriptor.TYPE_UINT64: (1 << 64) - 1,
        FieldDescriptor.TYPE_INT32: -(1 << 31),
        FieldDescriptor.TYPE_SINT32: -5,
    }[field.type]


def filled(descriptor: Descriptor, depth: int = 3) -> Any:
    """A message of which every field says something, down to that many levels."""
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if is_map(field):
            getattr(message, field.name)["k/~"] = value_of(value_of_map(field), depth)
        elif field.message_type is not None and depth == 0:
            continue
        elif field.is_repeated and field.message_type is not None:
            getattr(message, field.name).append(value_of(field, depth))
        elif field.is_repeated:
            getattr(message, field.name).extend([value_of(field, depth)] * 2)
        elif field.message_type is not None:
            getattr(message, field.name).CopyFrom(value_of(field, depth))
        else:
            setattr(message, field.name, value_of(field, depth))
    return message


@pytest.mark.parametrize("descriptor", MESSAGES, ids=lambda descriptor: descriptor.name)
def test_every_message_comes_back_as_it_was(descriptor: Descriptor) -> None:
    for message in (filled(descriptor), GetMessageClass(descriptor)()):
        text = json.dumps(to_json(message)).encode()
        assert from_json(parse_json(text), descriptor) == message


@pytest.mark.parametrize("descriptor", MESSAGES, ids=lambda descriptor: descriptor.name)
def test_it_is_the_mapping_that_protobuf_defines(descriptor: Descriptor) -> None:
    for message in (filled(descriptor), GetMessageClass(descriptor)()):
        whole = json_format.MessageToDict(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        assert to_json(message) == as_said(whole)


def as_said(document: Any) -> Any:
    """Of a spec only what was said."""
    if isinstance(document, list):
        return [as_said(item) for item in document]
    if not isinstance(document, dict):
        return document
    found = {key: as_said(item) for key, item in document.items()}
    if "spec" in found:
        known = json_format.ParseDict(found["spec"], job_pb2.JobSpec())
        found["spec"] = json_format.MessageToDict(known, preserving_proto_field_name=True)
    return found


def test_a_spec_is_written_with_what_was_said_alone() -> None:
    spec = job_pb2.JobSpec(argv=["true"], grace=0.0)
    assert encoder(spec.DESCRIPTOR)(spec) == {"argv": ["true"], "grace": 0.0}


def wrong_values() -> Iterator[tuple[Any, str]]:
    """(a spec, the pointer to what is wrong in it)."""
    yield 5, ""
    yield None, ""
    yield {"argv": "true"}, "/argv"
    yield {"argv": [None]}, "/argv/0"
    yield {"argv": {"0": "a"}}, "/argv"
    yield {"name": "\ud800"}, "/name"
    yield {"millicpus": True}, "/millicpus"
    yield {"millicpus": -1}, "/millicpus"
    yield {"millicpus": 1 << 32}, "/millicpus"
    yield {"millicpus": "1"}, "/millicpus"
    yield {"memory": "1e3"}, "/memory"
    yield {"memory": "٣"}, "/memory"
    yield {"memory": str(1 << 64)}, "/memory"
    yield {"priority": 1.5}, "/priority"
    yield {"grace": "1"}, "/grace"
    yield {"grace": 1e400}, "/grace"
    yield {"hold": 1}, "/hold"
    yield {"lines": "a"}, "/lines"
    yield {"lines": "YQ==\n"}, "/lines"
    yield {"env": [{"name": "A"}, {"nome": "B"}]}, "/env/1/nome"
    yield {"a/b~": 1}, "/a~1b~0"
    yield {"array": [[]]}, "/array/0"


@pytest.mark.parametrize(("spec", "pointer"), list(wrong_values()), ids=repr)
def test_what_is_wrong_is_named_by_its_place(spec: Any, pointer: str) -> None:
    with pytest.raises(Problem) as caught:
        from_json(spec, SPEC)
    assert [place.pointer for place in caught.value.errors] == [pointer]


def test_many_wrong_places_are_told_up_to_a_limit() -> None:
    with pytest.raises(Problem) as caught:
        from_json({f"x{n}": 1 for n in range(1000)}, SPEC)
    assert len(caught.value.errors) == 20


def test_messages_within_messages_of_their_own_kind_are_read_to_a_depth() -> None:
    document: dict[str, Any] = {}
    for _ in range(100):
        document = {"cause": document}
    with pytest.raises(Problem, match="at most 20 levels"):
        from_json(document, RAISED)


def test_whole_numbers_may_be_written_as_any_json_number() -> None:
    spec = {"millicpus": 1e3, "memory": 5}
    assert from_json(spec, SPEC) == job_pb2.JobSpec(millicpus=1000, memory=5)
    assert to_json(jobs_pb2.Position(task_number=5))["task_number"] == "5"


def test_many_wrong_members_cost_no_more_than_those_that_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else one body would keep the gateway busy for minutes: each is compared with all names that there are."""
    looked: list[str] = []

    def nearly(name: str, known: object) -> str:
        looked.append(name)
        return "none"

    monkeypatch.setattr(json_messages, "_nearly", nearly)
    with pytest.raises(Problem) as told:
        from_json({f"argv{n}": 1 for n in range(1000)}, SPEC)
    assert len(told.value.errors) == len(looked) == json_messages.MOST_ERRORS


def test_braces_that_are_left_out_are_found_in_one_pass() -> None:
    """A text without its end is looked at once, not once from each of its quotes: this would take hours."""
    endless = '{"commands": ["exec": ["a' + '\\"' * 1_000_000
    assert job_requests._with_braces(endless) == endless
    assert job_requests._with_braces(endless + '"]]}') == endless.replace('["exec', '[{"exec') + '"]}]}'
