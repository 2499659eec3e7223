"""Finding what is to be uploaded: the entries of a tree, and where on this machine each of its files lies.

No link is followed on the way. What is neither file, directory nor link is skipped, and told.
"""

import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from cluster.client.files.ignoring import Ignored, ignored_from_above
from cluster.domain.base.errors import InvalidInput
from cluster.domain.files.tree import MAX_ENTRIES, Entry, EntryKind, order_of, shown, wrong_target

_KINDS = {stat.S_IFSOCK: "a socket", stat.S_IFIFO: "a fifo", stat.S_IFBLK: "a device", stat.S_IFCHR: "a device"}


class FileState(NamedTuple):
    """What tells that a file has not changed."""

    device: int
    inode: int
    size: int
    modified: int  # nanoseconds since the Unix epoch
    changed: int  # the same, of its inode


class FoundFile(NamedTuple):
    """A file that is to be uploaded."""

    path: bytes  # on this machine
    state: FileState


class Finding:
    """What was found: `entries` by their paths in the tree, those of files without digest yet."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.files: dict[bytes, FoundFile] = {}  # by their paths in the tree
        self.notes: list[str] = []  # what was skipped, for people
        self._beside: set[bytes] = set()  # directories that are there only for what is below

    def sorted(self) -> list[Entry]:
        """The entries in the order of a tree."""
        return [self.entries[path] for path in sorted(self.entries, key=order_of)]

    def add_path(self, given: str, base: bytes) -> None:
        """Finds what `given` names, relative to the directory `base`. What lies below base has its place in the tree as
        there; all else has its own name. InvalidInput."""
        path = os.path.normpath(os.path.join(base, os.fsencode(given)))
        try:
            found = os.lstat(path)
            if given.endswith("/") and stat.S_ISLNK(found.st_mode):
                found = os.stat(path)  # a link with / behind it is what it leads to, as in shells
        except OSError as error:
            raise InvalidInput(f"--upload {given}: {error.strerror}") from None
        place = _place_of(path, base)
        if stat.S_ISDIR(found.st_mode):
            if place:
                self._add_above(path, place)
                self._add(place, _directory(place, found))
            self._walk(path, place, Ignored(path, ignored_from_above(path)))
        else:
            self._add_above(path, place)
            self._add_other(path, place, found, given)

    def _add_above(self, path: bytes, place: bytes) -> None:
        """The directories of the tree above that place."""
        while place := os.path.dirname(place):
            path = os.path.dirname(path)
            if place not in self.entries:
                self.entries[place] = _directory(place, os.stat(path))
                self._beside.add(place)

    def _walk(self, top: bytes, place: bytes, rules: Ignored) -> None:
        waiting = [(top, place, rules)]
        while waiting:
            directory, place, rules = waiting.pop()
            try:
                with os.scandir(directory) as several:
                    each = list(several)
            except OSError as error:
                raise InvalidInput(f"--upload: {shown(directory)} cannot be read: {error.strerror}") from None
            for one in each:
                is_directory = one.is_dir(follow_symlinks=False)
                if rules.leaves_out(one.path, is_directory=is_directory):
                    continue
                inside = place + b"/" + one.name if place else one.name
                try:
                    found = one.stat(follow_symlinks=False)
                    if is_directory:
                        self._add(inside, _directory(inside, found))
                        waiting.append((one.path, inside, Ignored(one.path, rules)))
                    else:
                        self._add_other(one.path, inside, found)
                except OSError as error:
                    raise vanished(one.path, error) from None

    def _add_other(self, path: bytes, place: bytes, found: os.stat_result, given: str = "") -> None:
        if stat.S_ISREG(found.st_mode):
            entry = Entry(place, EntryKind.FILE, stat.S_IMODE(found.st_mode) & 0o777, found.st_size)
            if self.files.setdefault(place, FoundFile(path, state_of(found))).path != path:
                raise _same_place(place)
            self._add(place, entry)
        elif stat.S_ISLNK(found.st_mode):
            target = os.readlink(path)
            if wrong := wrong_target(place, target):
                what = "leave it out by .clusterignore, or put what it leads to in its place"
                if given:
                    what = f"{given}/ names what it leads to"
                raise InvalidInput(f"--upload: {shown(path)} is {wrong}: {what}")
            self._add(place, Entry(place, EntryKind.LINK, target=target))
        else:
            kind = _KINDS.get(stat.S_IFMT(found.st_mode), "no file")
            if given:
                raise InvalidInput(f"--upload {given}: it is {kind}: name a file or a directory")
            self.notes.append(f"{shown(path)} is {kind}, and was left out")

    def _add(self, place: bytes, entry: Entry) -> None:
        """InvalidInput where something else has that place."""
        known = self.entries.get(place)
        if known is not None and known != entry and place not in self._beside:
            raise _same_place(place)
        self._beside.discard(place)
        self.entries[place] = entry
        if len(self.entries) > MAX_ENTRIES:
            raise InvalidInput(f"--upload: more than {MAX_ENTRIES} files: leave some out by .clusterignore")


def find(paths: Sequence[str], base: str) -> Finding:
    """What these paths name, relative to the directory `base`. InvalidInput."""
    finding = Finding()
    for path in paths:
        finding.add_path(path, os.fsencode(base))
    return finding


def state_of(found: os.stat_result) -> FileState:
    return FileState(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def vanished(path: bytes, error: OSError) -> InvalidInput:
    """What to raise for a file that cannot be read any more, or never could."""
    if isinstance(error, FileNotFoundError):
        return InvalidInput(f"{shown(path)} has vanished while it was looked at: try again when all is still")
    return InvalidInput(f"{shown(path)} cannot be read: {error.strerror}")


def _same_place(place: bytes) -> InvalidInput:
    return InvalidInput(f"--upload: two things would be called {shown(place)}: upload the directory above both")


def _place_of(path: bytes, base: bytes) -> bytes:
    """Of what is named, in the tree; empty: it is the tree itself."""
    if path == base:
        return b""
    below = base.rstrip(b"/") + b"/"
    return path.removeprefix(below) if path.startswith(below) else os.path.basename(path)


def _directory(place: bytes, found: os.stat_result) -> Entry:
    return Entry(place, EntryKind.DIRECTORY, stat.S_IMODE(found.st_mode) & 0o777)
