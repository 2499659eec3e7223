"""What a process has open."""

import os
from contextlib import suppress
from pathlib import Path


def open_files(pid: int) -> list[str]:
    """As /proc names them: a path, or such as `socket:[123]`. What is closed at this very moment is left out."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(link))
    return found
