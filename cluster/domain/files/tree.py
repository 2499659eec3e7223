"""What a directory is: its **entries**, each a file, a directory or a link, in one canonical form.

A tree is written as one record for each entry, of five fields that a NUL byte ends each:

    path    kind (f, d or l)    mode (three octal digits)    size (of a file, bytes)    digest (hex), or a link's target

No name contains a NUL, so all others are kept as they are. Records come sorted by their paths' parts, so that what is
below a directory follows it. The bytes of all records are a content: its digest names the tree with all that is in it.

Whoever makes a directory of an accepted tree writes nothing outside of it: paths are relative and made of names, what
has entries below it is a directory of the tree itself, and a link leads to somewhere inside.
"""

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_size

DIGEST_BYTES = 32  # SHA-256
MAX_ENTRIES = 500_000
MAX_PATH = 4096  # bytes, of a path as of a link's target
MAX_NAME = 255  # bytes: what file systems take
MAX_TREE = 128 * 1024 * 1024  # bytes of all records
MAX_SIZE = 1 << 46  # bytes of a file: more than file systems hold
_FIELDS = 5
_MAX_RECORD = 2 * MAX_PATH + 128
_SHOWN = 100  # characters of a path in an error


class EntryKind(Enum):
    FILE = b"f"
    DIRECTORY = b"d"
    LINK = b"l"


_KINDS = {kind.value: kind for kind in EntryKind}


class Entry(NamedTuple):
    """One entry of a tree. What does not belong to its kind is empty."""

    path: bytes  # relative, with /
    kind: EntryKind
    mode: int = 0  # permission bits, 0o777 at most; of a link none
    size: int = 0  # of a file, bytes
    digest: bytes = b""  # of a file
    target: bytes = b""  # of a link

    @property
    def name(self) -> str:
        """Its path for people."""
        return shown(self.path)


class TreeSize(NamedTuple):
    """What a tree comes to."""

    files: int  # links included
    directories: int
    bytes: int  # of all files


def shown(path: bytes) -> str:
    """A path for people: in one line, with what cannot be seen escaped."""
    text = path.decode(errors="backslashreplace")
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def order_of(path: bytes) -> bytes:
    """What paths are sorted by: part for part, so what is below a directory comes right after it."""
    return path.replace(b"/", b"\0")


def encode(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The records of a tree. InvalidInput for entries that make none, or come in another order."""
    for entry in checked(entries):
        last = entry.target if entry.kind is EntryKind.LINK else entry.digest.hex().encode()
        fields = (entry.path, entry.kind.value, b"%03o" % entry.mode, b"%d" % entry.size, last)
        yield b"".join(field + b"\0" for field in fields)


def decode(pieces: Iterable[bytes]) -> Iterator[Entry]:
    """The entries of a tree, which may come in pieces of any size. InvalidInput for what is no tree."""
    return checked(_records(pieces))


def _records(pieces: Iterable[bytes]) -> Iterator[Entry]:
    rest, total = b"", 0
    for piece in pieces:
        total += len(piece)
        if total > MAX_TREE:
            raise InvalidInput(f"the tree has more than {format_size(MAX_TREE)} of names: pack some files into one")
        *fields, rest = (rest + piece).split(b"\0")
        whole = len(fields) - len(fields) % _FIELDS
        for at in range(0, whole, _FIELDS):
            yield _entry(*fields[at : at + _FIELDS])
        rest = b"".join(field + b"\0" for field in fields[whole:]) + rest
        if len(rest) > _MAX_RECORD:
            raise InvalidInput(f"no tree: a record of more than {_MAX_RECORD} bytes")
    if rest:
        raise InvalidInput(f"no tree: its last record, of {shown(rest.partition(bytes(1))[0])}, is cut")


def _entry(path: bytes, letter: bytes, mode: bytes, size: bytes, last: bytes) -> Entry:
    """InvalidInput for fields that `encode` does not write so."""
    kind = _KINDS.get(letter)
    if kind is None:
        raise InvalidInput(f"no tree: {shown(path)} is of a kind {shown(letter)!r}")
    if not (len(mode) == 3 and mode.translate(None, b"01234567") == b""):
        raise InvalidInput(f"no tree: {shown(path)} has a mode {shown(mode)!r}")
    if not (size.isdigit() and len(size) < 16 and (size == b"0" or size[:1] != b"0")):
        raise InvalidInput(f"no tree: {shown(path)} has a size {shown(size)!r}")
    if kind is EntryKind.LINK:
        return Entry(path, kind, int(mode, 8), int(size), target=last)
    if last.translate(None, b"0123456789abcdef"):
        raise InvalidInput(f"no tree: {shown(path)} has a digest {shown(last)!r}")
    return Entry(path, kind, int(mode, 8), int(size), bytes.fromhex(last.decode()) if len(last) % 2 == 0 else last)


def checked(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same entries. InvalidInput at the first that makes them no tree."""
    above: list[bytes] = []  # the directories that the last entry is in, and itself where it is one
    last = b""
    for count, entry in enumerate(entries, start=1):
        if count > MAX_ENTRIES:
            raise InvalidInput(f"the tree has more than {MAX_ENTRIES} entries: pack some files into one")
        if wrong := _wrong_path(entry.path) or _wrong_values(entry):
            raise InvalidInput(f"{entry.name}: {wrong}")
        if order_of(entry.path) <= order_of(last):
            what = "comes twice" if entry.path == last else f"comes after {shown(last)}, which is no order"
            raise InvalidInput(f"{entry.name}: it {what}")
        parent = entry.path.rpartition(b"/")[0]
        while above and above[-1] != parent:
            above.pop()
        if parent and not above:
            raise InvalidInput(f"{entry.name}: {shown(parent)} is no directory of the tree")
        if entry.kind is EntryKind.DIRECTORY:
            above.append(entry.path)
        last = entry.path
        yield entry


def _wrong_path(path: bytes) -> str:
    """What keeps it from being a path of an entry; empty: nothing."""
    if not path or len(path) > MAX_PATH:
        return f"a path of {len(path)} bytes: 1 to {MAX_PATH} may be"
    if b"\0" in path:
        return "a NUL byte in its path"
    if path.startswith(b"/"):
        return "an absolute path: it must be one inside the tree"
    for name in path.split(b"/"):
        if name in (b"", b".", b".."):
            return f"a part {shown(name)!r} in its path, which no name is"
        if len(name) > MAX_NAME:
            return f"a name of {len(name)} bytes: the most are {MAX_NAME}"
    return ""


def _wrong_values(entry: Entry) -> str:
    if entry.kind is EntryKind.LINK:
        if entry.mode or entry.size or entry.digest:
            return "a link has neither mode nor size nor digest"
        return wrong_target(entry.path, entry.target)
    if not 0 <= entry.mode <= 0o777:
        return f"mode {entry.mode:o}: only permissions are kept, 777 at most"
    if entry.target:
        return "only a link has a target"
    if entry.kind is EntryKind.DIRECTORY:
        return "a directory has neither size nor digest" if entry.size or entry.digest else ""
    if not 0 <= entry.size <= MAX_SIZE:
        return f"a size of {entry.size} bytes, which no file has"
    return "" if len(entry.digest) == DIGEST_BYTES else "its digest is no SHA-256"


def wrong_target(path: bytes, target: bytes) -> str:
    """Why the link at `path` may not lead to `target`; empty: it may.

    Parts `..` stand only at its beginning, where they go up directories of the tree itself: behind a name they would go
    up from wherever that leads, if it is a link too."""
    if not target or len(target) > MAX_PATH or b"\0" in target:
        return f"a link whose target has {len(target)} bytes or a NUL byte: 1 to {MAX_PATH} may be"
    if target.startswith(b"/"):
        return f"a link to {shown(target)}, which leaves the tree"
    parts = [part for part in target.split(b"/") if part not in (b"", b".")]
    ups = next((place for place, part in enumerate(parts) if part != b".."), len(parts))
    if ups > path.count(b"/"):
        return f"a link to {shown(target)}, which leaves the tree"
    if b".." in parts[ups:]:
        return f"a link to {shown(target)}, with .. behind a name: make it one that goes up first"
    return ""


def part_of(entries: Iterable[Entry], path: bytes) -> list[Entry]:
    """Of a tree of which each task finds one file (`upload_each`) what the task finds that is to have the file or link
    at that path: it, and the directories above it. Empty: there is no such file."""
    above: list[Entry] = []
    for entry in entries:
        parent = entry.path.rpartition(b"/")[0]
        while above and above[-1].path != parent:
            above.pop()
        if entry.kind is EntryKind.DIRECTORY:
            above.append(entry)
            continue
        if entry.path == path:
            return [*above, entry]
    return []


def together(entries: Iterable[Entry], others: Iterable[Entry]) -> list[Entry]:
    """Two trees as one, in which the first wins where both have something."""
    found = {entry.path: entry for each in (others, entries) for entry in each}
    return [found[path] for path in sorted(found, key=order_of)]


def size_of(entries: Iterable[Entry]) -> TreeSize:
    """What a tree comes to."""
    files = directories = total = 0
    for entry in entries:
        if entry.kind is EntryKind.DIRECTORY:
            directories += 1
        else:
            files += 1
            total += entry.size
    return TreeSize(files, directories, total)


def with_parents(entries: Iterable[Entry], mode: int = 0o755, most: int = MAX_TREE) -> list[Entry]:
    """The entries in the order of a tree, and the directories above them that are not among them, with that mode. All
    paths have so many bytes together at most, or this raises InvalidInput: one deep path stands for many."""
    found = {entry.path: entry for entry in entries}
    above: set[bytes] = set()
    left = most - sum(map(len, found))
    for path in list(found):
        while (path := path.rpartition(b"/")[0]) and path not in above:
            above.add(path)
            if path in found:
                continue
            left -= len(path)
            if left < 0:
                raise InvalidInput(
                    f"the tree has more than {format_size(most)} of names, with the directories above its files: pack "
                    "some files into one"
                )
            found[path] = Entry(path, EntryKind.DIRECTORY, mode)
    return [found[path] for path in sorted(found, key=order_of)]
