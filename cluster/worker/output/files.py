"""The files that attempts write into: `<jobs>/<job>/<index>.<attempt>.out` and `.err`, and their own directories.

The launcher makes them, and removes a file that stayed empty. From the end of the attempt they are the agent's: small
ones ride along with the report, large ones are pushed (`cluster.worker.output.pushing`). Then a thread removes them,
because nobody waits for that.
"""

import errno
import logging
import os
import re
import subprocess
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.records import SmallOutput
from cluster.domain.worker.messages import OWN
from cluster.domain.worker.report_making import SMALL_OUTPUT
from cluster.domain.worker.trimming import LEAST_GAIN
from cluster.launcher.views import LEFT
from cluster.worker.output.job_file import StreamFile
from cluster.worker.output.lanes import Lanes

logger = logging.getLogger(__name__)

STREAMS = (".out", ".err")
PATIENCE = 60.0  # seconds for what is still to be removed when the worker ends
AT_ONCE = 100  # directories for one `rm`: Linux starts no process with more than 2 MB of arguments, or even fewer
_FILE = re.compile(r"(\d+)\.(\d+)\.(?:out|err)")
_GOING = "going-"  # before the name of a directory that is just being removed
_DIRECTORY = re.compile(r"(\d+)\.(\d+)")
_KEPT = ".kept"


def kept_name(job: int) -> str:
    """What the directory is called, beside those of other jobs, in which a job's attempts have theirs if what they
    leave there is wanted: so an agent that is started anew knows which they are."""
    return f"{job}{_KEPT}"


class Left(NamedTuple):
    """What was found on disk: attempts with output files, with directories that they ran in, and jobs with any."""

    files: tuple[AttemptKey, ...] = ()
    work: tuple[AttemptKey, ...] = ()
    kept: tuple[AttemptKey, ...] = ()  # with directories in which there are results
    jobs: frozenset[int] = frozenset()


class Outputs:
    """All output files of one worker, and the directories `<work>/<job>/<index>.<attempt>` that attempts ran in."""

    def __init__(self, jobs: Path, work: Path) -> None:
        self._jobs = self.top = str(jobs)
        self._work = self.work = str(work)
        self._opening: dict[object, set[AttemptKey]] = {}  # by whoever opens files: which have begun to go meanwhile
        self._going: set[AttemptKey] = set()  # the files of these are to be removed, or some of them are already
        self._chores = Lanes(threads=2)

    def path(self, key: AttemptKey, suffix: str) -> str:
        """The path of one stream; `suffix` is one of STREAMS."""
        return f"{self._jobs}/{key.job}/{key.index}.{key.attempt}{suffix}"

    def exist(self, key: AttemptKey) -> bool:
        """Whether there is any output of it that is to stay for now."""
        return not self.are_going(key) and any(os.path.exists(self.path(key, suffix)) for suffix in STREAMS)

    def are_going(self, key: AttemptKey) -> bool:
        """Whether its files are just being removed: what is there may be one stream of two."""
        return key in self._going

    @contextmanager
    def opening(self) -> Iterator[set[AttemptKey]]:
        """The attempts whose files have begun to be removed within the block."""
        removed: set[AttemptKey] = set()
        me = object()
        self._opening[me] = removed
        try:
            yield removed
        finally:
            del self._opening[me]

    def settle(self, key: AttemptKey) -> tuple[int, int]:
        """How much (stdout, stderr) an attempt has written whose launcher died. As that would have, removes a file
        that stayed empty. Blocks."""
        sizes = (_size(self.path(key, ".out")), _size(self.path(key, ".err")))
        for suffix, size in zip(STREAMS, sizes, strict=True):
            if not size:
                _unlink(self.path(key, suffix))
        return sizes

    def read_small(self, key: AttemptKey) -> SmallOutput:
        """The whole output of an attempt that is known to be small. OSError when it cannot be read just now."""
        return SmallOutput(*key, *(_contents(self.path(key, suffix)) for suffix in STREAMS))

    def sync(self, key: AttemptKey) -> None:
        """Makes what an attempt wrote survive a power cut, as far as it can be read. Blocks."""
        for suffix in STREAMS:
            file = StreamFile(self.path(key, suffix))
            try:
                if file.open():
                    _give_back(file)
                    os.fdatasync(file.fd)
            except OSError as error:
                logger.warning("%s may not survive a power cut: %s", file.path, error.strerror)
            finally:
                file.close()

    def sync_directory(self, job: int) -> None:
        """The same for the names of a job's files."""
        with suppress(OSError):  # `sync` says it
            fd = os.open(f"{self._jobs}/{job}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def remove(self, keys: tuple[AttemptKey, ...]) -> None:
        """The files of these, in the background."""
        self._going.update(keys)
        for removed in self._opening.values():
            removed.update(keys)
        for job, some in _by_job(keys):
            self._chores.post(("files", job), partial(_without_fail, partial(self._remove, some)))

    def remove_work(self, keys: list[AttemptKey]) -> None:
        """The directories that these ran in, with all that is in them, in the background."""
        for job, some in _by_job(keys):  # what a job has left there may hang, and is in its own way alone
            self._chores.post(("work", job), partial(_without_fail, partial(self._remove_work, some)))

    def kept_directory(self, key: AttemptKey) -> str:
        """Where an attempt has run whose results are wanted."""
        return f"{self._work}/{kept_name(key.job)}/{key.index}.{key.attempt}"

    def remove_kept(self, keys: Iterable[AttemptKey]) -> None:
        """The directories of these, whose results are where they belong, in the background."""
        for job, some in _by_job(keys):
            self._chores.post(("kept", job), partial(_without_fail, partial(self._remove_kept, job, some)))

    def remove_left(self, job: int) -> None:
        """What attempts of that job have left of its upload for the next ones, in the background."""
        self._chores.post(("work", job), partial(_without_fail, partial(self._remove_left, job)))

    def remove_job(self, job: int) -> None:
        """The job's directories, if they are empty, in the background."""
        self._chores.post(("files", job), partial(self._remove_job, job))

    def look_back(self) -> "Left":
        """What there is of attempts before anything is started. Blocks."""
        files, work = tuple(_found(self._jobs, _FILE)), tuple(_found(self._work, _DIRECTORY))
        return Left(files, work, tuple(_found(self._work, _DIRECTORY, _KEPT)), frozenset(self._numbers()))

    def ended_before(self, left: "Left", held: Collection[AttemptKey]) -> list[AttemptKey]:
        """What an earlier agent left of attempts of the cluster that nobody holds: their output files are still to be
        kept, so these keys are answered. The directories they ran in are removed, and empty ones of jobs."""
        if work := [key for key in left.work if key not in held]:
            self.remove_work(work)
        for job in left.jobs:
            self.remove_left(job)
        for job in left.jobs - {key.job for key in held}:
            self.remove_job(job)
        return sorted({key for key in left.files if key.job and key not in held})

    def close(self) -> None:
        """Finishes what there is to do, but for what hangs, and leaves no empty directory. Jobs of the own API keep
        theirs: one may still wait in the launcher's backlog."""
        for job in self._numbers():
            self.remove_left(job)
        if not self._chores.finish(PATIENCE):
            logger.warning("some of what jobs left cannot be removed now: it takes space until the next start")
        for job in self._numbers() - {OWN}:
            self._remove_job(job)
        with suppress(OSError):
            os.rmdir(self._work)

    def _numbers(self) -> set[int]:
        """The jobs that have a directory, be it an empty one that a killed agent has left."""
        names = (name.removesuffix(_KEPT) for top in (self._jobs, self._work) for name in _entries(top))
        return {int(name) for name in names if name.isdigit()}

    def _remove_job(self, job: int) -> None:
        for path in (f"{self._jobs}/{job}", f"{self._work}/{job}", f"{self._work}/{kept_name(job)}"):
            with suppress(OSError):  # not empty: something of it is still to be pushed
                os.rmdir(path)

    def _remove_left(self, job: int) -> None:
        """Each is moved first: a slot may be about to give it to another attempt, and only one of us can."""
        top = f"{self._work}/{job}"
        for name in _entries(f"{top}/{LEFT}"):
            with suppress(OSError):
                os.rename(f"{top}/{LEFT}/{name}", f"{top}/{_GOING}{name}")
        if going := [f"{top}/{name}" for name in _entries(top) if name.startswith(_GOING)]:
            _remove_trees(going)
        for path in (f"{top}/{LEFT}", top):
            with suppress(OSError):  # not empty: something of it runs, or there is nothing
                os.rmdir(path)

    def _remove(self, keys: Iterable[AttemptKey]) -> None:
        for key in keys:
            for suffix in STREAMS:
                _unlink(self.path(key, suffix))
            self._going.discard(key)

    def _remove_work(self, keys: Iterable[AttemptKey]) -> None:
        _remove_directories(f"{self._work}/{key.job}/{key.index}.{key.attempt}" for key in keys)

    def _remove_kept(self, job: int, keys: Iterable[AttemptKey]) -> None:
        _remove_directories(map(self.kept_directory, keys))
        with suppress(OSError):  # not empty: there are others
            os.rmdir(f"{self._work}/{kept_name(job)}")


def _by_job(keys: Iterable[AttemptKey]) -> Iterable[tuple[int, list[AttemptKey]]]:
    jobs: dict[int, list[AttemptKey]] = {}
    for key in keys:
        jobs.setdefault(key.job, []).append(key)
    return jobs.items()


def _without_fail(chore: Callable[[], None]) -> None:
    try:
        chore()
    except Exception as error:  # whatever one chore meets, the next ones are still to be done
        logger.warning("cannot tidy up, so it takes space until the next start: %s", error)


def _remove_directories(paths: Iterable[str]) -> None:
    full = []
    for path in paths:
        try:
            os.rmdir(path)  # most jobs leave nothing behind
        except FileNotFoundError:
            continue
        except OSError:
            full.append(path)
    for first in range(0, len(full), AT_ONCE):
        _remove_trees(full[first : first + AT_ONCE])


def _remove_trees(paths: list[str]) -> None:
    # Not shutil: it opens a descriptor for each level, and jobs may nest directories deeper than we may open.
    _quietly("rm", "-rf", "--", *paths)
    if left := [path for path in paths if os.path.lexists(path)]:  # directories that even their owner may not write
        _quietly("chmod", "-R", "u+rwX", "--", *left)
        _quietly("rm", "-rf", "--", *left)


def _quietly(*words: str) -> None:
    subprocess.run(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def _found(top: str, pattern: re.Pattern[str], suffix: str = "") -> Iterator[AttemptKey]:
    """In directories that are called as a job with that suffix."""
    for directory in _entries(top):
        job = directory.removesuffix(suffix)
        if not job.isdigit() or directory != f"{job}{suffix}":
            continue
        for name in _entries(f"{top}/{directory}"):
            if match := pattern.fullmatch(name):
                yield AttemptKey(int(job), int(match[1]), int(match[2]))


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _contents(path: str) -> bytes:
    """Nothing for a file that is not there: one that stayed empty has been removed. Jobs may do as they like with their
    files: what they made unreadable is nothing, and what somebody has added since the end is left out. OSError when it
    is we who lack something: the output is still there."""
    file = StreamFile(path)
    try:
        if not file.open():
            return b""
        _give_back(file)
        return os.pread(file.fd, SMALL_OUTPUT, 0)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        logger.warning("%s cannot be read, and counts as empty: %s", path, error.strerror)
        return b""
    finally:
        file.close()


def _give_back(file: StreamFile) -> None:
    """What its job had reserved beyond its end, and nobody writes any more."""
    status = os.fstat(file.fd)
    if status.st_blocks * 512 > status.st_size + LEAST_GAIN:
        with suppress(OSError):
            os.truncate(f"/proc/self/fd/{file.fd}", status.st_size)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except IsADirectoryError:  # a job has put it there
        _remove_trees([path])
