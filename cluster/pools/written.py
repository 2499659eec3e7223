"""The file that says which machines were asked for: a `cluster pools` that is started anew counts them all."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput


class AskedFor(NamedTuple):
    """`began`: Unix seconds."""

    pool: str
    began: float


class MachinesFile:
    """Replaced as a whole, and on the disk when a method returns. OSError where it cannot be."""

    def __init__(self, path: Path) -> None:
        """InvalidInput for a file that is none of these; one that is not there yet has nothing."""
        self._path = path
        self._machines: dict[str, AskedFor] = {}
        try:
            self._machines = {name: AskedFor(str(pool), float(began)) for name, (pool, began) in _read(path).items()}
        except FileNotFoundError:
            pass
        except (ValueError, TypeError, AttributeError):
            raise InvalidInput(
                f"{path} is damaged: remove it when `list` of each pool's provider tells all that was started"
            ) from None

    @property
    def machines(self) -> Mapping[str, AskedFor]:
        """By name."""
        return self._machines

    def add(self, machines: Mapping[str, AskedFor]) -> None:
        self._machines.update(machines)
        self._write()

    def remove(self, names: list[str]) -> None:
        if not names:
            return
        for name in names:
            self._machines.pop(name, None)
        self._write()

    def _write(self) -> None:
        new = self._path.with_suffix(".new")
        with open(new, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            json.dump(self._machines, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _read(path: Path) -> dict[str, tuple[str, float]]:
    read: dict[str, tuple[str, float]] = json.loads(path.read_text())
    return read
