"""What attempts find of an upload: each gets a directory of its own, a **view** of the tree, which it may change as it
likes.

Files are copies, or share blocks with the cache where the file system can (`unpacking`). So that a thousand tasks over
a large upload do not copy it a thousand times, a view that an attempt has left is made new for the next one of its job
in this slot: a walk compares inode and times of each entry with what was made, and restores what differs. The time of
the last change (ctime) nobody can set. The kernel notes it by ticks of some milliseconds, so an attempt begins in a
later one than that in which the last entry of its view was made.

All is done with the rights of the jobs' user, below a directory that is open: whatever another attempt of that user
does meanwhile, nothing comes of it that this user could not do by itself. Only links to the one copy (`upload_shared`)
take more: the kernel lets nobody link to a file that another user owns. They are made in directories of the user's.

A view that was left lies in LEFT beside the others, from where the agent takes it when the job has nothing here any
more (`cluster.worker.output.files`); whoever moves it first has it.
"""

import errno
import os
import shutil
import stat
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress

from cluster.domain.base.errors import InvalidInput
from cluster.domain.files.tree import Entry, EntryKind, part_of, shown, together
from cluster.domain.launcher.template import Template
from cluster.launcher.blanks import has_attributes, with_parent
from cluster.launcher.unpacking import Unpacker, content_path, entries_of, is_directory, set_modes

LEFT = "left"
SHORTEST_TICK, LONGEST_TICK = 0.001, 0.020  # seconds, of the clock by which the kernel notes changes
SECOND = 10**9  # ns: some file systems note no more than whole ones
_COARSE = 5  # CLOCK_REALTIME_COARSE of linux/time.h
MOST_KEPT = 50_000  # entries of a tree that are kept in memory between two attempts; longer ones are read again
_EXECUTABLE = 0o111
_NOT_LINKED = (errno.EMLINK, errno.EXDEV, errno.EPERM)
_FIELDS = 3  # that are known of each entry: inode, change and modification in ns


class Views:
    """The views of one slot's attempts, one after another. `as_user`: has the rights of the jobs' user within it;
    `owner` (uid, gid): whose that is, None: ours."""

    def __init__(self, owner: tuple[int, int] | None, as_user: Callable[[], AbstractContextManager[None]]) -> None:
        self._owner, self._as_user = owner, as_user
        self._template: Template | None = None
        self._entries: list[Entry] | None = None  # of the template's tree, where they are few
        self._fd = -1  # of the last attempt's directory
        self._made: _Made | None = None  # what was made there, once it is whole
        self._left = ""  # where that lies by now, when its attempt has ended
        self.whole = self.restored = 0  # how many were made whole, and how many of what was left

    def enter(self, path: str, template: Template, file: bytes) -> int:
        """Make a view, of that file alone where each task finds one, and go there; a descriptor of it. Raises OSError,
        ContentMissing, InvalidInput; then a part of it may be there."""
        if self._template is None or _upload_of(template) != _upload_of(self._template):
            self.let_go()
            self._entries = None
        self._template = template
        if not (self._left and self._again(path)):
            self._make(path, template, file)
        os.fchdir(self._fd)
        return self._fd

    def ended(self, path: str) -> None:
        """The attempt is over. What it has left is for the next one, or for others to remove."""
        template, made = self._template, self._made
        if made is None or template is None or template.upload_each or self._links(template):
            self.let_go()
            return
        left = f"{os.path.dirname(path)}/{LEFT}"
        try:
            with suppress(FileExistsError):
                os.mkdir(left, 0o711)
            self._left = f"{left}/{os.path.basename(path)}"
            os.rename(path, self._left)
        except OSError:
            self.let_go()

    def let_go(self) -> None:
        """The next attempt gets another one."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._made, self._left = -1, None, ""

    def _links(self, template: Template) -> bool:
        """Whether files are links to one copy: only where jobs, being another user, can never write to that."""
        return template.upload_shared and self._owner is not None and self._owner[0] > 0

    def _found(self, template: Template) -> Iterable[Entry]:
        if self._entries is None:
            entries: list[Entry] = []
            for entry in (everything := entries_of(template.contents, template.upload)):
                entries.append(entry)
                if len(entries) > MOST_KEPT:
                    return _both(entries, everything)
            self._entries = entries
        return self._entries

    def _make(self, path: str, template: Template, file: bytes) -> None:
        self.let_go()
        with_parent(path, lambda path: os.mkdir(path, 0o700), 0o711)
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        if self._owner is not None:
            os.fchown(self._fd, *self._owner)
        entries = self._found(template)
        if template.upload_each and not (entries := part_of(entries, file)):
            raise InvalidInput(f"there is no file {shown(file)!r} in it, which its row names")
        if template.upload_beside:
            entries = together(entries, entries_of(template.contents, template.upload_beside))
        unpacker, before = Unpacker(template.contents), os.umask(0)
        try:
            with self._as_user():
                made = _Made(unpacker)
                linked = made.make(self._fd, entries, links=self._links(template))
            linked = self._link(linked, template.contents)
            with self._as_user():
                made.complete(self._fd, linked)
        finally:
            os.umask(before)
        self._made = made
        self.whole += 1

    def _link(self, entries: list[Entry], contents: str) -> list[Entry]:
        """Links to the one copy. Answers those that cannot be links."""
        left, parent, directory = [], b"", -1
        try:
            for entry in entries:
                above, _, name = entry.path.rpartition(b"/")
                if directory < 0 or above != parent:
                    if directory >= 0:
                        os.close(directory)
                    parent, directory = above, self._open_theirs(above)
                try:
                    os.link(content_path(contents, entry.digest.hex()), name, dst_dir_fd=directory)
                except OSError as error:
                    if error.errno not in _NOT_LINKED:
                        raise
                    left.append(entry)
        finally:
            if directory >= 0:
                os.close(directory)
        return left

    def _open_theirs(self, path: bytes) -> int:
        """A directory below the view, which must be the jobs' user's: somebody may have put another one there."""
        fd = os.open(path or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self._fd)
        if self._owner is None or os.fstat(fd).st_uid != self._owner[0]:
            os.close(fd)
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return fd

    def _again(self, path: str) -> bool:
        """Make the view that was left new, under that name. False: it is not what it was, and another one is needed."""
        left, made, template = self._left, self._made, self._template
        assert made is not None
        assert template is not None
        try:
            os.rename(left, path)
        except OSError:
            return False  # the agent has taken it
        before = os.umask(0)
        try:
            with self._as_user():
                is_restored = made.restore(self._fd, self._found(template))
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO):
                raise
            is_restored = False  # it is not as we have made it
        finally:
            os.umask(before)
        if not is_restored:
            os.rename(path, left)  # there the agent finds it
            return False
        self._left = ""
        self.restored += 1
        return True


class _Made:
    """What was made of a tree in one directory, and what is known of each entry since."""

    def __init__(self, unpacker: Unpacker) -> None:
        self._unpacker = unpacker
        self._known = array("q")  # of the root, then of each entry
        self._mtime = time.time_ns()  # of all files: so none is newer than another, for whoever compares them

    def make(self, root: int, entries: Iterable[Entry], *, links: bool) -> list[Entry]:
        """All of it; with `links` but for the files that can be links, which are answered."""
        linked, directories = [], []
        self._note(None)
        for entry in entries:
            if is_directory(entry):
                self._unpacker.directory(root, entry)
                directories.append((len(self._known) // _FIELDS, entry))
                self._note(None)
            elif links and entry.size and not entry.mode & _EXECUTABLE:
                linked.append(entry)
            else:
                self._note(self._create(root, entry))
        self._directories = directories
        return linked

    def complete(self, root: int, files: Iterable[Entry]) -> None:
        """These files too; then directories get their modes."""
        for entry in files:
            self._create(root, entry)
        set_modes(root, (entry for _, entry in self._directories))
        self._look(root, 0, b"")
        for place, entry in self._directories:
            self._look(root, place, entry.path)
        del self._directories
        self._outwait_tick()

    def restore(self, root: int, entries: Iterable[Entry]) -> bool:
        """Make it as it was. False where a directory is not the one that was made. Raises OSError, ContentMissing."""
        directories = {b"": 0}  # with their places
        changed: dict[bytes, set[bytes]] = {}  # those in which something came or went: the names that belong there
        wrong: list[tuple[int, Entry]] = []
        if not self._is_same_directory(root, 0, b"", 0o700, changed):
            return False
        for place, entry in enumerate(entries, start=1):
            above, _, name = entry.path.rpartition(b"/")
            if above in changed:
                changed[above].add(name)
            if is_directory(entry):
                directories[entry.path] = place
                if not self._is_same_directory(root, place, entry.path, entry.mode, changed):
                    return False
            elif not self._is_as_made(root, place, entry):
                wrong.append((place, entry))
        for path, names in changed.items():
            _remove_others(root, path, names)
        for place, entry in wrong:
            _remove(root, entry.path)
            self._set(place, self._create(root, entry))
        for path in {*changed, *(entry.path.rpartition(b"/")[0] for _, entry in wrong)}:
            self._look(root, directories[path], path)
        self._outwait_tick()
        return True

    def _is_same_directory(
        self, root: int, place: int, path: bytes, mode: int, changed: dict[bytes, set[bytes]]
    ) -> bool:
        """Also notes whether anything in it came or went."""
        status = os.lstat(path or b".", dir_fd=root)
        inode, ctime, _ = self._of(place)
        if status.st_ctime_ns != ctime:
            changed[path] = set()
        return status.st_ino == inode and status.st_mode == stat.S_IFDIR | mode

    def _is_as_made(self, root: int, place: int, entry: Entry) -> bool:
        try:
            status = os.lstat(entry.path, dir_fd=root)
        except FileNotFoundError:
            return False
        return (status.st_ino, status.st_ctime_ns, status.st_mtime_ns) == self._of(place)

    def _create(self, root: int, entry: Entry) -> os.stat_result:
        if entry.kind is EntryKind.LINK:
            return self._unpacker.link(root, entry)
        return self._unpacker.file(root, entry, self._mtime)

    def _look(self, root: int, place: int, path: bytes) -> None:
        self._set(place, os.lstat(path or b".", dir_fd=root))

    def _of(self, place: int) -> tuple[int, ...]:
        return tuple(self._known[place * _FIELDS : (place + 1) * _FIELDS])

    def _note(self, status: os.stat_result | None) -> None:
        self._known.extend((0, 0, 0))
        if status is not None:
            self._set(len(self._known) // _FIELDS - 1, status)

    def _set(self, place: int, status: os.stat_result) -> None:
        fields = (status.st_ino, status.st_ctime_ns, status.st_mtime_ns)
        self._known[place * _FIELDS : (place + 1) * _FIELDS] = array("q", fields)

    def _outwait_tick(self) -> None:
        """Until whatever is changed from now on shows another time than what is known. Where that cannot be, what shows
        the present time is restored whatever it shows."""
        self._known[1] = 0  # of the root, which changes when it is given another name: it is always looked through
        newest, until = max(self._known[1::_FIELDS]), time.monotonic() + LONGEST_TICK
        while (now := tick()) <= newest and time.monotonic() < until:
            time.sleep(SHORTEST_TICK)
        if newest < now and newest % SECOND:
            return
        for at in range(1, len(self._known), _FIELDS):
            if self._known[at] >= now or not newest % SECOND:
                self._known[at] = 0


def tick() -> int:
    """The time that the kernel gives what is changed now, in ns: it moves by some milliseconds at once."""
    return time.clock_gettime_ns(_COARSE)


def _upload_of(template: Template) -> tuple[object, ...]:
    """What must be the same for two attempts to find the same: their job, too."""
    uploads = (template.upload, template.upload_each, template.upload_beside, template.upload_shared)
    return template.cwd, template.contents, *uploads


def _both(entries: list[Entry], rest: Iterator[Entry]) -> Iterator[Entry]:
    yield from entries
    yield from rest


def _remove_others(root: int, path: bytes, names: set[bytes]) -> None:
    """All that is in that directory and has none of these names."""
    fd = os.open(path or b".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    try:
        if has_attributes(fd):  # such as a list of who may do what in it
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        others = [name for name in map(os.fsencode, os.listdir(fd)) if name not in names]
        for name in others:
            _remove(fd, name)
    finally:
        os.close(fd)


def _remove(directory: int, name: bytes) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        shutil.rmtree(name, dir_fd=directory)
