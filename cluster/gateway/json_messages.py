"""Messages as JSON, and back: the protobuf JSON mapping, strictly.

Names are those of the .proto files, 64-bit integers are texts, bytes are base64. A spec is written with what was said
alone, every other message with all of its fields. (The library's own json_format takes [] for a message and anything
for base64, does not say at which place a value is wrong, and is five times slower.)
"""

import json
import math
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from cluster.gateway.problems import MALFORMED, Problem, WrongPlace, invalid

MOST_NAMED = 6  # members that an error names
MOST_ERRORS = 20  # that one answer tells
DEEPEST = 20  # levels; no message of ours has as many
_AS_SAID = {"cluster.v1.JobSpec"}  # of these only what was said is written

_Type = FieldDescriptor
RANGES = {
    **dict.fromkeys((_Type.TYPE_INT32, _Type.TYPE_SINT32, _Type.TYPE_SFIXED32), (-(1 << 31), (1 << 31) - 1)),
    **dict.fromkeys((_Type.TYPE_UINT32, _Type.TYPE_FIXED32), (0, (1 << 32) - 1)),
    **dict.fromkeys((_Type.TYPE_INT64, _Type.TYPE_SINT64, _Type.TYPE_SFIXED64), (-(1 << 63), (1 << 63) - 1)),
    **dict.fromkeys((_Type.TYPE_UINT64, _Type.TYPE_FIXED64), (0, (1 << 64) - 1)),
}
LONG = {kind for kind, (_, highest) in RANGES.items() if highest > 1 << 32}  # written as texts

Encode = Callable[[Any], Any]
Decode = Callable[[Any, str, list[WrongPlace]], Any]


class _Member(NamedTuple):
    """How one field of a message is written."""

    name: str
    encode: Encode | None  # of one value; None: as it is
    is_list: bool
    is_map: bool
    may_be_absent: bool


def is_map(field: FieldDescriptor) -> bool:
    """Whether the field is a map, which is an object in JSON."""
    return bool(field.message_type is not None and field.message_type.GetOptions().map_entry)


def value_of_map(field: FieldDescriptor) -> FieldDescriptor:
    """The field that the values of a map are."""
    assert field.message_type is not None, "maps are messages to protobuf"
    return field.message_type.fields_by_name["value"]


@cache
def numbers_of(descriptor: EnumDescriptor) -> Mapping[str, int]:
    """What each name of an enum stands for: TASK_STATE_FAILED, as answers have it, and `failed`, as people type it."""
    words = {word: descriptor.values_by_name[name].number for name, word in words_of(descriptor).items()}
    return {**{value.name: value.number for value in descriptor.values}, **words}


def words_of(descriptor: EnumDescriptor) -> Mapping[str, str]:
    """The names of all values but that of nothing said, and what people type for each."""
    begin = re.sub("(?<=[a-z])(?=[A-Z])", "_", descriptor.name).upper() + "_"
    return {value.name: value.name.removeprefix(begin).lower() for value in descriptor.values if value.number}


def one_of(descriptor: EnumDescriptor) -> str:
    """What is wanted where neither kind of name was given."""
    return f"one of {', '.join(words_of(descriptor).values())}, or their names in answers"


# ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def to_json(message: Any) -> dict[str, Any]:
    """The message as what json.dumps takes."""
    return encoder(message.DESCRIPTOR)(message)


@cache
def encoder(descriptor: Descriptor, whole: bool = True) -> Callable[[Any], dict[str, Any]]:
    """Writes messages of that type: the whole of them, or what was said alone."""
    whole = whole and descriptor.full_name not in _AS_SAID
    members = [
        _Member(field.name, _encode_of(field, whole), field.is_repeated, is_map(field), field.has_presence)
        for field in descriptor.fields
    ]

    def encode(message: Any) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, encode_one, is_list, is_map, may_be_absent in members:
            if may_be_absent:
                if message.HasField(name):
                    value = getattr(message, name)
                    out[name] = value if encode_one is None else encode_one(value)
                continue
            value = getattr(message, name)
            if not (value or whole):
                continue
            if is_map:
                out[name] = {str(key): item if encode_one is None else encode_one(item) for key, item in value.items()}
            elif is_list:
                out[name] = list(value) if encode_one is None else list(map(encode_one, value))
            else:
                out[name] = value if encode_one is None else encode_one(value)
        return out

    return encode


def _encode_of(field: FieldDescriptor, whole: bool) -> Encode | None:
    if is_map(field):
        return _encode_of(value_of_map(field), whole)
    if field.message_type is not None:
        return _encode_nested(field.message_type, whole)
    if field.enum_type is not None:
        names = {value.number: value.name for value in field.enum_type.values}
        return lambda number: names.get(number, number)
    if field.type == _Type.TYPE_BYTES:
        return lambda value: b64encode(value).decode()
    if field.type in LONG:
        return str
    if field.type in (_Type.TYPE_DOUBLE, _Type.TYPE_FLOAT):
        return lambda value: value if math.isfinite(value) else str(value)
    return None


def _encode_nested(descriptor: Descriptor, whole: bool) -> Encode:
    """Asks for the encoder when it is needed: messages may hold their own kind."""

    def encode(message: Any) -> Any:
        return encoder(descriptor, whole)(message)

    return encode


# ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────────


def parse_json(text: bytes) -> Any:
    """What a body says. Problem with line and column where it is not JSON (RFC 8259), or names a member twice."""
    try:
        return json.loads(text.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        place = {"line": error.lineno, "column": error.colno}
        words = f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        raise Problem(MALFORMED, words, more=place) from None
    except UnicodeDecodeError as error:
        raise Problem(MALFORMED, f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        words = "too many levels" if isinstance(error, RecursionError) else str(error)
        raise Problem(MALFORMED, f"the body is not JSON: {words}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the member {twice[:60]!r} comes twice in one object")
    return found


def _constant(text: str) -> None:
    raise ValueError(f"{text} is no number in JSON")


def from_json(value: Any, descriptor: Descriptor, pointer: str = "") -> Any:
    """The message that the value stands for. Problem names each place that is wrong."""
    wrong: list[WrongPlace] = []
    message = _message(descriptor)(value, pointer, wrong)
    if wrong:
        raise invalid(wrong[:MOST_ERRORS])
    return message


@cache
def _message(descriptor: Descriptor) -> Decode:
    decoders = {field.name: _decoder(field) for field in descriptor.fields}
    make = GetMessageClass(descriptor)

    def decode(value: Any, pointer: str, wrong: list[WrongPlace]) -> Any:
        if not isinstance(value, dict):
            return _refuse(wrong, pointer, value, "an object")
        if pointer.count("/") > DEEPEST:
            return _refuse(wrong, pointer, value, f"at most {DEEPEST} levels")
        found = {}
        for name, item in value.items():
            if len(wrong) >= MOST_ERRORS:
                break
            place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in decoders:
                wrong.append(WrongPlace(f"there is no such member; {_nearly(name, decoders)}", place))
            else:
                found[name] = decoders[name](item, place, wrong)
        return None if wrong else make(**found)

    return decode


def _nearly(name: str, known: Mapping[str, Any]) -> str:
    from difflib import get_close_matches

    if near := get_close_matches(name[:60], known, 1):
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(known)}" if len(known) <= MOST_NAMED else "/v1/docs tells which there are"


def _decoder(field: FieldDescriptor) -> Decode:
    """Of the whole field."""
    if is_map(field):
        return _map(_one(value_of_map(field)))
    one = _one(field)
    if not field.is_repeated:
        return one

    def several(value: Any, pointer: str, wrong: list[WrongPlace]) -> Any:
        if not isinstance(value, list):
            return _refuse(wrong, pointer, value, f"a list{_of_objects(field)}")
        return [one(item, f"{pointer}/{place}", wrong) for place, item in enumerate(value) if len(wrong) < MOST_ERRORS]

    return several


def _of_objects(field: FieldDescriptor) -> str:
    """What is in a list of these, where they have a few members."""
    if field.message_type is None or len(field.message_type.fields) > MOST_NAMED:
        return ""
    return f" of objects with {', '.join(each.name for each in field.message_type.fields)}"


def _map(one: Decode) -> Decode:
    def decode(value: Any, pointer: str, wrong: list[WrongPlace]) -> Any:
        if not isinstance(value, dict):
            return _refuse(wrong, pointer, value, "an object")
        return {key: one(item, f"{pointer}/{key}", wrong) for key, item in value.items() if _text(key, pointer, wrong)}

    return decode


def _one(field: FieldDescriptor) -> Decode:
    """Of one value of the field."""
    if field.message_type is not None:
        return _nested(field.message_type)
    if field.enum_type is not None:
        return _enum(field.enum_type)
    if field.type in RANGES:
        return _integer(*RANGES[field.type], as_text=field.type in LONG)
    return {
        _Type.TYPE_STRING: _text,
        _Type.TYPE_BYTES: _bytes,
        _Type.TYPE_BOOL: _bool,
        _Type.TYPE_DOUBLE: _number,
        _Type.TYPE_FLOAT: _number,
    }[field.type]


def _nested(descriptor: Descriptor) -> Decode:
    """Asks for the decoder when it is needed, as `_encode_nested`."""

    def decode(value: Any, pointer: str, wrong: list[WrongPlace]) -> Any:
        return _message(descriptor)(value, pointer, wrong)

    return decode


def _enum(descriptor: EnumDescriptor) -> Decode:
    numbers = numbers_of(descriptor)

    def decode(value: Any, pointer: str, wrong: list[WrongPlace]) -> Any:
        if isinstance(value, str) and value in numbers:
            return numbers[value]
        return _refuse(wrong, pointer, value, one_of(descriptor))

    return decode


def _integer(lowest: int, highest: int, as_text: bool) -> Decode:
    expected = f"an integer, {lowest} to {highest}"

    def decode(value: Any, pointer: str, wrong: list[WrongPlace]) -> Any:
        if as_text and isinstance(value, str) and len(value) < 30 and value.removeprefix("-").isdecimal():
            value = int(value) if value.isascii() else None
        if isinstance(value, float) and value.is_integer():  # JSON has but one kind of number
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            return _refuse(wrong, pointer, value, expected)
        return value

    return decode


def _number(value: Any, pointer: str, wrong: list[WrongPlace]) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        return _refuse(wrong, pointer, value, "a number")
    return float(value)


def _bool(value: Any, pointer: str, wrong: list[WrongPlace]) -> Any:
    return value if isinstance(value, bool) else _refuse(wrong, pointer, value, "true or false")


def _text(value: Any, pointer: str, wrong: list[WrongPlace]) -> Any:
    if not isinstance(value, str):
        return _refuse(wrong, pointer, value, "a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        wrong.append(WrongPlace("half of a surrogate pair is no character", pointer))
        return None
    return value


def _bytes(value: Any, pointer: str, wrong: list[WrongPlace]) -> Any:
    try:
        return b64decode(value, validate=True) if isinstance(value, str) else _refuse(wrong, pointer, value, "base64")
    except (NotBase64, ValueError):
        return _refuse(wrong, pointer, value, "base64")


def _refuse(wrong: list[WrongPlace], pointer: str, value: Any, expected: str) -> None:
    shown = json.dumps(value)[:60] if isinstance(value, str | int | float | bool | None) else _kind(value)
    wrong.append(WrongPlace(f"{shown} is not {expected}", pointer))


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else "an object"
