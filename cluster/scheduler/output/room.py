"""The room that output files take, and giving it back: all files of a job at once. Blocks, but for `used`."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from cluster.scheduler.room import SpaceTaken
from cluster.store.interface import Store


class FilesRoom:
    def __init__(self, directory: Path, new: Path, lasting: set[Path]) -> None:
        """`new`: what lies there is not kept, on the same file system. `lasting`: as of OutputFiles."""
        self.used = 0  # bytes; of what was there at the start as far as that was counted
        self._uncounted: set[int] = set()  # jobs of which files are there, and are to be counted
        self._directory, self._new, self._lasting = directory, new, lasting
        self._lock = Lock()

    def note(self, job: int, size: int) -> None:
        """So many bytes more are kept of the job, or less, if negative."""
        with self._lock:
            if job not in self._uncounted:
                self.used = max(0, self.used + size)

    def spaces(self, store: Store) -> Sequence[SpaceTaken]:
        """As of RoomHolder."""
        return [SpaceTaken("outputs", self.used)]

    def begin_count(self) -> list[int]:
        """All is counted again. The numbers of the jobs that have files, for `count`."""
        numbers = []
        with suppress(FileNotFoundError):
            numbers = sorted(int(name) for name in os.listdir(self._directory) if name.isdigit())
        with self._lock:
            self.used, self._uncounted = 0, set(numbers)
        return numbers

    def count(self, jobs: Sequence[int]) -> None:
        for job in jobs:
            size = self.size_of(job)
            with self._lock:
                if job in self._uncounted:  # else it was removed meanwhile
                    self._uncounted.discard(job)
                    self.used += size

    def has(self, job: int) -> bool:
        return (self._directory / str(job)).exists()

    def size_of(self, job: int) -> int:
        """Bytes of all files of the job."""
        return sum(_sizes(self._directory / str(job)))

    def remove(self, jobs: Sequence[int]) -> None:
        """All files of these jobs: from one moment to the next they are not there any more. Where a crash breaks this
        off, what is left is not kept, and the next start removes it."""
        for job in jobs:
            directory = self._directory / str(job)
            if not directory.exists():
                continue
            self._new.mkdir(mode=0o700, exist_ok=True)
            trash = Path(tempfile.mkdtemp(dir=self._new))
            with suppress(FileNotFoundError):
                directory.rename(trash / "job")
                self._lasting.discard(directory)
                self.note(job, -sum(_sizes(trash / "job")))
                with self._lock:
                    self._uncounted.discard(job)
            shutil.rmtree(trash, ignore_errors=True)


def _sizes(directory: Path) -> Iterator[int]:
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                yield entry.stat(follow_symlinks=False).st_size
