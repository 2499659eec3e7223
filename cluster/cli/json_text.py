"""JSON on its way out."""

import json
from typing import Any


def json_text(value: Any, *, seen: bool, indent: int | None = None) -> str:
    """A JSON document, or a line of them. `seen`: it goes to a terminal, on which many characters beyond ASCII
    would act (more controls, others that turn the direction of writing): they are escaped."""
    return json.dumps(value, ensure_ascii=seen, indent=indent)
