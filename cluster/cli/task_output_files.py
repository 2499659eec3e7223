"""`--out-dir`: what each task writes, in files of its own, beside what is shown."""

import os
from pathlib import Path
from typing import IO

from cluster.client.types import Output
from cluster.domain.base.errors import unusable


class TaskOutputFiles:
    """DIR/17.out and DIR/17.err of task 17; of a job with one task DIR/JOB.out. Output comes task by task: a file has
    its name when all of its task has come, and is called …part before. What wrote nothing has none. `close` it in any
    case."""

    def __init__(self, directory: str) -> None:
        """Unusable where there can be no such directory."""
        self._directory = Path(directory)
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unusable(f"--out-dir {directory} cannot be made", error) from None
        self._task: tuple[int, int] | None = None  # job, number
        self._files: dict[bool, IO[bytes]] = {}

    def write(self, piece: Output) -> None:
        """Unusable where it cannot be written."""
        task = (piece.job, piece.task)
        if task != self._task:
            self.end()
            self._task = task
        if not piece.data:
            return
        try:
            if piece.stderr not in self._files:
                self._files[piece.stderr] = open(f"{self._path(piece.stderr)}.part", "wb", buffering=0)  # noqa: SIM115
            rest = memoryview(piece.data)
            while rest:
                rest = rest[self._files[piece.stderr].write(rest) :]
        except OSError as error:
            raise unusable(f"{self._path(piece.stderr)} cannot be written", error) from None

    def end(self) -> None:
        """All of the task has come."""
        for stderr, file in self._files.items():
            file.close()
            try:
                os.replace(f"{self._path(stderr)}.part", self._path(stderr))
            except OSError as error:
                raise unusable(f"{self._path(stderr)} cannot be written", error) from None
        self._files = {}

    def close(self) -> None:
        """What has not come whole keeps its other name."""
        for file in self._files.values():
            file.close()
        self._files = {}

    def _path(self, stderr: bool) -> Path:
        assert self._task is not None
        job, number = self._task
        return self._directory / f"{number or job}.{'err' if stderr else 'out'}"
