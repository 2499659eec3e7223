"""Workers that stand alone on this machine: each leaves a note below the state directory while it runs, so that
`--direct` finds the credentials that it takes, and a machine that has nothing else needs no `--direct`.

alone/<port>   the path of its admin.pem
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.domain.trust.tokens import split_address
from cluster.pki.files import private_directory, write_private

DIRECTORY = "alone"
LOOPBACK = "127.0.0.1"


def notes(root: Path) -> dict[int, Path]:
    """By port: the file with the credentials for the worker that listens there."""
    found = {}
    for note in sorted((root / DIRECTORY).glob("[0-9]*")):
        path = Path(note.read_text())
        if note.name.isdigit() and path.exists():
            found[int(note.name)] = path
    return found


def credentials_at(root: Path, address: str) -> Path | None:
    """The file with the credentials for the worker at `address`; None where no lone worker of this machine is there."""
    host, port = split_address(address)
    here = host == "localhost" or host == "::1" or host.startswith("127.") or host == socket.gethostname()
    return notes(root).get(port) if here else None


@contextmanager
def noted(root: Path, address: str, credentials: Path) -> Iterator[None]:
    """Keeps a note that a worker listens at `address`, until the body ends."""
    note = private_directory(root / DIRECTORY) / str(split_address(address)[1])
    write_private(note, str(credentials).encode())
    try:
        yield
    finally:
        note.unlink(missing_ok=True)
