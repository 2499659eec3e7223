"""Looking through what an attempt has left, for the files that its job wants to keep. All of it blocks.

Whoever ran there may have left anything: links that lead out, pipes, files of terabytes without a byte in them, names
with line ends, a million files, another's file by a second name. So each name is opened below the directory that it was
read from and never through a link; only regular files are read, and of these only what the job's own user may read; and
there is a limit to everything, past which the rest is left out and said to be.
"""

import errno
import os
import stat
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from typing import NamedTuple

from cluster.domain.base.quantities import format_size
from cluster.domain.files.patterns import Patterns, Places
from cluster.domain.files.tree import MAX_PATH, Entry, EntryKind, encode, order_of, shown, wrong_target
from cluster.domain.job.results import MAX_NOTE, MAX_NOTES, VANISHED, WantedResults

MOST_LOOKED_AT = 1_000_000  # names in one attempt's directories
MOST_LEVELS = 100  # of directories within each other: each costs a descriptor while it is looked through
_PIECE = 1 << 20  # bytes read at once
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
# What we lack, or have to wait for. Whatever else keeps us from a file is its job's doing, and the file is left out.
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO)


class Collected(NamedTuple):
    """What was found: the tree of it, and where its contents are, by digest."""

    entries: list[Entry]
    paths: dict[bytes, tuple[bytes, int]]  # digest: path below the attempt's directory, bytes
    notes: tuple[str, ...]

    @property
    def files(self) -> int:
        return sum(entry.kind is not EntryKind.DIRECTORY for entry in self.entries)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)

    def tree(self) -> bytes:
        """As it is encoded; empty: there is nothing."""
        return b"".join(encode(self.entries))


NOTHING = Collected([], {}, ())
HAS_VANISHED = Collected([], {}, (VANISHED,))


def collect(directory: str, wanted: WantedResults, owner: int | None) -> Collected:
    """What is wanted of that directory; where there is none, nothing, and a note that it has vanished. `owner`: the
    user id of the job, where that is not ours. OSError where we lack something: later it may go better."""
    try:
        top = os.open(directory, _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return HAS_VANISHED
    try:
        walk = _Walk(wanted, owner, os.fstat(top).st_dev)
        walk.through(top)
        return walk.found()
    finally:
        os.close(top)


def open_below(directory: str, path: bytes) -> int:
    """A descriptor of that file below the directory, by no link on the way. OSError."""
    *parents, name = path.split(b"/")
    at = os.open(directory, _DIRECTORY)
    try:
        for parent in parents:
            below = os.open(parent, _DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        return os.open(name, _FILE, dir_fd=at)
    finally:
        os.close(at)


class _Level(NamedTuple):
    """A directory that is being looked through."""

    fd: int
    path: bytes
    names: Iterator[tuple[bytes, Places]]  # what may match, or has something in it that may
    is_wanted: bool  # with all that is in it


class _Walk:
    def __init__(self, wanted: WantedResults, owner: int | None, device: int) -> None:
        self._patterns = Patterns(wanted.patterns)
        self._wanted, self._owner, self._device = wanted, owner, device
        self._entries: dict[bytes, Entry] = {}
        self._above: dict[bytes, int] = {}  # directories that were entered: their modes
        self._paths: dict[bytes, tuple[bytes, int]] = {}
        self._bytes = self._looked_at = 0
        self._matched: set[int] = set()
        self._notes: list[str] = []
        self._left_out = self._over = 0
        self._is_cut = False

    def through(self, top: int) -> None:
        """Looks through the directory that is open there."""
        start = self._patterns.start
        self._matched |= (matched := self._patterns.matched(start))
        levels = [self._level(os.dup(top), b"", start, bool(matched))]
        try:
            while levels:
                level = levels[-1]
                name, places = next(level.names, (b"", start))
                if not name:
                    os.close(levels.pop().fd)
                elif below := self._look_at(level, name, places, len(levels)):
                    levels.append(below)
        finally:
            for level in levels:
                os.close(level.fd)

    def found(self) -> Collected:
        entries = dict(self._entries)
        for path in self._entries:
            while path := path.rpartition(b"/")[0]:
                entries.setdefault(path, Entry(path, EntryKind.DIRECTORY, self._above[path]))
        return Collected([entries[path] for path in sorted(entries, key=order_of)], self._paths, self._said())

    def _said(self) -> tuple[str, ...]:
        texts = self._patterns.texts
        said = [f"{text} matched nothing" for number, text in enumerate(texts) if number not in self._matched]
        wanted = self._wanted
        if self._is_cut:
            what = f"--max-files {wanted.max_files}"
            said.append(f"more is left out: there is more than {what} lets be kept, or {MOST_LOOKED_AT} names to see")
        if self._over:
            left_out = f"{self._over} file{'' if self._over == 1 else 's'} left out"
            said.append(f"{left_out}: with them it is more than --max-results {format_size(wanted.max_bytes)}")
        said += self._notes
        if more := self._left_out - len(self._notes):
            said.append(f"and {more} more left out")
        return tuple(each[:MAX_NOTE] for each in said[:MAX_NOTES])

    def _level(self, fd: int, path: bytes, places: Places, is_wanted: bool) -> _Level:
        if path:
            self._above[path] = stat.S_IMODE(os.fstat(fd).st_mode) & 0o777
        return _Level(fd, path, iter(self._names(fd, places, is_wanted)), is_wanted)

    def _names(self, fd: int, places: Places, is_wanted: bool) -> list[tuple[bytes, Places]]:
        """Those that may match, in order; no more than may be kept."""
        found: list[tuple[bytes, Places]] = []
        most = self._wanted.max_files - len(self._entries) + 1
        with os.scandir(fd) as entries:
            for entry in islice(entries, max(0, MOST_LOOKED_AT - self._looked_at)):
                self._looked_at += 1
                name = os.fsencode(entry.name)
                below = self._patterns.below(places, name)
                if below or is_wanted:
                    found.append((name, below))
                    if len(found) > most:
                        break
        return sorted(found)

    def _look_at(self, level: _Level, name: bytes, places: Places, depth: int) -> _Level | None:
        """Takes what has that name. Of a directory the level that it makes."""
        path = level.path + b"/" + name if level.path else name
        matched = self._patterns.matched(places)
        self._matched |= matched
        is_wanted = level.is_wanted or bool(matched)
        if self._looked_at >= MOST_LOOKED_AT or len(self._entries) >= self._wanted.max_files:
            self._is_cut = self._is_cut or is_wanted
            return None
        try:
            status = os.stat(name, dir_fd=level.fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                return self._enter(level, name, path, status, places, is_wanted, depth)
            if is_wanted:
                self._take(level, name, path, status)
        except FileNotFoundError:
            pass  # it has gone since it was seen
        except OSError as error:
            if error.errno in _PASSING:
                raise
            if is_wanted:
                self._leave_out(path, f"it cannot be read: {error.strerror}")
        return None

    def _enter(
        self,
        level: _Level,
        name: bytes,
        path: bytes,
        status: os.stat_result,
        places: Places,
        is_wanted: bool,
        depth: int,
    ) -> _Level | None:
        if status.st_dev != self._device or depth >= MOST_LEVELS or len(path) > MAX_PATH - 256:
            if is_wanted:
                other = status.st_dev != self._device
                self._leave_out(path, "it is another file system" if other else "it is too deep")
            return None
        fd = os.open(name, _DIRECTORY, dir_fd=level.fd)
        try:
            below = self._level(fd, path, places, is_wanted)
        except OSError:
            os.close(fd)
            raise
        if is_wanted:
            self._entries[path] = Entry(path, EntryKind.DIRECTORY, self._above[path])
        return below

    def _take(self, level: _Level, name: bytes, path: bytes, status: os.stat_result) -> None:
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(name, dir_fd=level.fd)
            if wrong := wrong_target(path, target):
                self._leave_out(path, wrong)
            else:
                self._entries[path] = Entry(path, EntryKind.LINK, target=target)
        elif not stat.S_ISREG(status.st_mode):
            self._leave_out(path, "it is no file: a pipe, a socket or a device")
        elif status.st_size > self._wanted.max_bytes - self._bytes:
            self._over += 1
        else:
            fd = os.open(name, _FILE, dir_fd=level.fd)
            try:
                self._take_file(fd, path)
            finally:
                os.close(fd)

    def _take_file(self, fd: int, path: bytes) -> None:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            self._leave_out(path, "it has become something else than a file")
            return
        if self._owner not in (None, status.st_uid) and not status.st_mode & stat.S_IROTH:
            self._leave_out(path, "it is another user's")  # by a second name, which anybody may make
            return
        digest, size = _hashed(fd, min(status.st_size, self._wanted.max_bytes - self._bytes))
        self._bytes += size
        self._entries[path] = Entry(path, EntryKind.FILE, stat.S_IMODE(status.st_mode) & 0o777, size, digest)
        self._paths.setdefault(digest, (path, size))

    def _leave_out(self, path: bytes, why: str) -> None:
        self._left_out += 1
        if len(self._notes) < MAX_NOTES // 2:
            self._notes.append(f"{shown(path)} is left out: {why}")


def _hashed(fd: int, most: int) -> tuple[bytes, int]:
    """The digest of its first bytes, and how many these are: what somebody adds meanwhile does not count."""
    digest, left = sha256(), most
    while left and (piece := os.read(fd, min(left, _PIECE))):
        digest.update(piece)
        left -= len(piece)
    return digest.digest(), most - left
