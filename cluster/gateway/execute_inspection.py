"""Looking at an exception where it is raised: the source runs under a few lines of ours, which write what they find
to stderr, behind a mark. For debugging alone: who only runs code gets it as Python runs it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INSPECTOR = Path(__file__).with_name("inspector.py").read_text()


def split(stderr: bytearray, mark: str) -> tuple[bytearray, Mapping[str, Any] | None]:
    """What the source itself wrote, and what was found; None: nothing, as it raised nothing."""
    own, found, rest = stderr.partition(f"\n{mark}".encode())
    if not found:
        return stderr, None
    try:
        document = json.loads(rest)
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return stderr, None  # the source has written behind it, or named something by what no answer can have
    return own, document if isinstance(document, dict) else None
