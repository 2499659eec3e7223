"""The secret by which receivers of notices know that these are from this scheduler."""

import secrets
from pathlib import Path

from cluster.domain.base.errors import NotFound
from cluster.pki.files import read_private, write_private

NAME = "notify-secret"  # in the scheduler's directory; the operator may put one of their own there


def notice_secret(directory: Path) -> bytes:
    """What is in the file, made where there is none: its text, which receivers have, too."""
    path = directory / NAME
    try:
        return read_private(path).strip()
    except NotFound:
        made = secrets.token_hex(32).encode()
        write_private(path, made + b"\n")
        return made
