"""What is to be sent: contents, of which each has its digest and a place that it is read from."""

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import NamedTuple, Protocol

from cluster.client.files import digest_memory
from cluster.client.files.walking import FoundFile, find, state_of, vanished
from cluster.domain.base.errors import InvalidInput
from cluster.domain.files.pieces import SMALL
from cluster.domain.files.tree import Entry, EntryKind, encode, shown

PIECE = 1024 * 1024  # bytes read at once
MOST_KEPT = 48 << 20  # bytes of small files that are kept in memory from being hashed to being sent


class ContentSource(Protocol):
    """What a content is read from."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def name(self) -> str:
        """For people."""
        ...

    def read(self, offset: int) -> Iterator[bytes]:
        """Its bytes from that on, in pieces. InvalidInput where they are not what they were. Blocks."""
        ...


class Bytes(NamedTuple):
    """A content in memory."""

    data: bytes
    name: str

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int) -> Iterator[bytes]:
        for at in range(offset, len(self.data), PIECE):
            yield self.data[at : at + PIECE]


class File(NamedTuple):
    """A content that is a file of this machine."""

    found: FoundFile

    @property
    def size(self) -> int:
        return self.found.state.size

    @property
    def name(self) -> str:
        return shown(self.found.path)

    def read(self, offset: int) -> Iterator[bytes]:
        with _opened(self.found) as file:
            left = self.size - offset
            os.lseek(file, offset, os.SEEK_SET)
            while left and (piece := os.read(file, min(left, PIECE))):
                left -= len(piece)
                yield piece
            if left or state_of(os.fstat(file)) != self.found.state:
                raise _changed(self.found.path)


class KeptFile(NamedTuple):
    """A small one that was read already."""

    found: FoundFile
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def name(self) -> str:
        return shown(self.found.path)

    def read(self, offset: int) -> Iterator[bytes]:
        try:
            now = os.lstat(self.found.path)
        except OSError as error:
            raise vanished(self.found.path, error) from None
        if state_of(now) != self.found.state:
            raise _changed(self.found.path)
        yield self.data[offset:]


class Outgoing:
    """Contents of one submission, and the tree among them."""

    def __init__(self) -> None:
        self.contents: dict[bytes, ContentSource] = {}  # by their digests
        self.notes: list[str] = []  # for people
        self.trees: list[bytes] = []
        self.in_trees: set[bytes] = set()  # of the contents those that trees hold
        self._kept: dict[FoundFile, KeptFile] = {}  # small files that need not be read again to be sent
        self._may_keep = MOST_KEPT

    def add_tree(self, paths: Sequence[str], base: str, looked: Callable[[int], object] = lambda _: None) -> str:
        """The digest, in hex, of the tree that these paths make, relative to the directory `base`; all that is in it is
        to be sent. `looked` is told now and then how many bytes were read. Blocks. InvalidInput."""
        finding = find(paths, base)
        self.notes += finding.notes
        digests = self._digests(list(finding.files.values()), looked)
        entries = [self._whole(entry, finding.files.get(entry.path), digests) for entry in finding.sorted()]
        tree = b"".join(encode(entries))
        digest = sha256(tree).digest()
        self.contents[digest] = Bytes(tree, "the list of all files")
        self.trees.append(digest)
        self.in_trees.add(digest)
        return digest.hex()

    def add(self, digest: bytes, source: ContentSource) -> str:
        """The digest in hex."""
        self.contents[digest] = source
        return digest.hex()

    def add_file(self, path: bytes, looked: Callable[[int], object]) -> str:
        """The digest, in hex, of a file. Blocks. InvalidInput."""
        try:
            found = FoundFile(os.path.realpath(path), state_of(os.stat(path)))
        except OSError as error:
            raise vanished(path, error) from None
        return self.add(self._digests([found], looked)[found], self._source_of(found))

    def _whole(self, entry: Entry, found: FoundFile | None, digests: dict[FoundFile, bytes]) -> Entry:
        if entry.kind is not EntryKind.FILE or found is None:
            return entry
        digest = digests[found]
        self.contents.setdefault(digest, self._source_of(found))
        self.in_trees.add(digest)
        return entry._replace(size=found.state.size, digest=digest)

    def _source_of(self, found: FoundFile) -> ContentSource:
        return self._kept.pop(found, None) or File(found)

    def _digests(self, files: Sequence[FoundFile], looked: Callable[[int], object]) -> dict[FoundFile, bytes]:
        known = digest_memory.remembered(each.state for each in files)
        found, new, begin = dict[FoundFile, bytes](), {}, time.time()
        for file in files:
            digest = known.get(file.state)
            if digest is None:
                keeps = file.state.size <= min(SMALL, self._may_keep)
                pieces: list[bytes] | None = [] if keeps else None
                digest = new[file.state] = _digest_of(file, looked, pieces)
                if pieces is not None:
                    self._may_keep -= file.state.size
                    self._kept[file] = KeptFile(file, b"".join(pieces))
            found[file] = digest
        digest_memory.remember(new, begin)
        return found


def _digest_of(found: FoundFile, looked: Callable[[int], object], pieces: list[bytes] | None = None) -> bytes:
    """InvalidInput where the file changes meanwhile. What was read is added to `pieces`."""
    hashing, size = sha256(), 0
    with _opened(found) as file:
        while piece := os.read(file, PIECE):
            hashing.update(piece)
            size += len(piece)
            looked(len(piece))
            if pieces is not None:
                pieces.append(piece)
        if size != found.state.size or state_of(os.fstat(file)) != found.state:
            raise _changed(found.path)
    return hashing.digest()


@contextmanager
def _opened(found: FoundFile) -> Iterator[int]:
    """The file for reading. InvalidInput where it is another one by now, or there is none."""
    try:
        file = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise vanished(found.path, error) from None
    try:
        now = os.fstat(file)
        if not stat.S_ISREG(now.st_mode) or state_of(now) != found.state:
            raise _changed(found.path)
        yield file
    except OSError as error:
        raise vanished(found.path, error) from None
    finally:
        os.close(file)


def _changed(path: bytes) -> InvalidInput:
    return InvalidInput(f"{shown(path)} has changed while it was read: try again when nobody writes to it")
