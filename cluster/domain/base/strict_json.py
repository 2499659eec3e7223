"""JSON as RFC 8259 has it. Python's own reader takes NaN and Infinity too."""

import json
from collections.abc import Callable
from typing import Any, NoReturn


class NoJson(ValueError):
    """Python would read it, and JSON does not have it."""


def parse_json(
    text: str | bytes,
    number: Callable[[str], Any] | None = None,
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """The value of a JSON text; `number` makes those of its numbers (None: Python's own, of 4,300 digits at most), and
    `pairs` those of its objects (None: dicts). NoJson; JSONDecodeError, which knows the place; or another
    ValueError."""
    return json.loads(
        text, parse_int=number, parse_float=number, parse_constant=_refuse_constant, object_pairs_hook=pairs
    )


def _refuse_constant(name: str) -> NoReturn:
    raise NoJson(f"{name} is no number of JSON")
