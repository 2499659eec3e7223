"""Rows as Redis keeps them: JSON of all columns by JSON of those of the key. Bytes are base64 in an object."""

import json
from base64 import b64decode, b64encode
from typing import Any

from cluster.store.sqlite.schema import Row


def _bytes(value: bytes) -> dict[str, str]:
    return {"b": b64encode(value).decode()}


# Made once: each row of each commit goes through one of them.
_encode = json.JSONEncoder(default=_bytes, ensure_ascii=False, separators=(",", ":")).encode
_decode = json.JSONDecoder(object_hook=lambda found: b64decode(found["b"])).decode


def pack(values: Row) -> bytes:
    return _encode(values).encode()


def unpack(data: bytes) -> list[Any]:
    """ValueError for what `pack` has not made."""
    return list(_decode(data.decode()))
