"""Finding out how much a protobuf message holds without parsing it: for the bounds of `cluster.rpc.bounds`."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4 begin and end a group, by a tag alone
_LONG = 0x80  # a byte from this on is not all of a number
_LENGTHS = {_FIXED64: 8, _FIXED32: 4}
_ENTRY_BYTES = {FieldDescriptor.TYPE_DOUBLE: 8, FieldDescriptor.TYPE_FIXED64: 8, FieldDescriptor.TYPE_SFIXED64: 8} | {
    FieldDescriptor.TYPE_FLOAT: 4,
    FieldDescriptor.TYPE_FIXED32: 4,
    FieldDescriptor.TYPE_SFIXED32: 4,
}


_NONE: Mapping[str, int] = MappingProxyType({})


class TooMuch(ValueError):
    """The message has more than it may. The text says of what."""


def check_fields(data: bytes, message: Any, most: int, longest: int, longer: Mapping[str, int] = _NONE) -> int:
    """How many fields a message with this descriptor has, those of messages within it and the entries of packed ones
    included. TooMuch for more than `most`, and for a text of more than `longest` bytes, or than `longer` says of its
    field (by full name). Takes some 0.3 µs for each field. What is damaged is counted up to there: the parser will
    refuse it.
    """
    count = 0
    pending = [(0, len(data), message)]
    try:
        while pending:
            at, end, kind = pending.pop()
            inner = _inner(kind)
            while at < end:
                count += 1
                if count > most:
                    break
                tag, at = (data[at], at + 1) if data[at] < _LONG else _varint(data, at)
                wire = tag & 7
                if wire == _BYTES:
                    length, at = (data[at], at + 1) if data[at] < _LONG else _varint(data, at)
                    found = inner.get(tag >> 3)
                    if isinstance(found, Descriptor):
                        pending.append((at, min(at + length, end), found))
                    elif isinstance(found, int):  # bytes of an entry, of a packed field
                        count += length // found
                    elif length > (limit := longer.get(found or "", longest)):
                        raise TooMuch(f"a text of {length} bytes in {_named(found)}; the limit is {limit}")
                    at += length
                elif wire == _VARINT:
                    _, at = _varint(data, at)
                else:
                    at += _LENGTHS.get(wire, 0)
    except IndexError:
        pass
    if count > most:
        raise TooMuch(f"more than {most} fields")
    return count


def _named(field: str | None) -> str:
    return "an unknown field" if field is None else field.rpartition(".")[2]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and the offset behind it. IndexError at the end of the data."""
    byte = data[at]
    at += 1
    if byte < _LONG:
        return byte, at
    value, shift = byte & 0x7F, 7
    while byte >= _LONG and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
    return value, at


@cache
def _inner(message: Any) -> dict[int, Any]:
    """What a message's fields hold, by field number: the message within; for a packed field the least bytes of an
    entry; for others the full name."""
    found: dict[int, Any] = {}
    for field in message.fields:
        if field.message_type is not None:
            found[field.number] = field.message_type
        elif field.is_repeated and field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            found[field.number] = _ENTRY_BYTES.get(field.type, 1)
        else:
            found[field.number] = field.full_name
    return found
