"""The contents of one scheduler: small ones are rows of `contents.db`, large ones files in `contents/`."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from itertools import islice
from math import inf
from pathlib import Path

from cluster.domain.base.errors import InvalidInput, MissingContents
from cluster.domain.files.pieces import SMALL
from cluster.domain.files.tree import Entry, EntryKind, TreeSize, decode, size_of
from cluster.store.contents import schema as sql
from cluster.store.contents.database import ContentsDatabase, in_lists
from cluster.store.contents.files import ContentFiles, NewFile
from cluster.store.contents.interface import LIFE, ContentsSpace, Missing

DATABASE, FILES = "contents.db", "contents"  # in the scheduler's directory
_SOME = 1000  # entries of a tree that are looked up together

Lookup = Callable[[Iterable[bytes]], dict[bytes, tuple[int, int]]]  # number and size of contents by their digests


class StoredContents:
    """See `cluster.store.contents.interface.Contents`."""

    def __init__(
        self,
        directory: Path,
        now: Callable[[], float] = time.time,
        reserve: int | None = None,
        *,
        is_shared: bool = False,
    ) -> None:
        """`directory` is the scheduler's. Nothing is made in it before something is kept. `now`: Unix seconds.
        `reserve`: bytes that are kept free, None: as usual. `is_shared`: other machines may have used it, or will."""
        self._database = ContentsDatabase(directory / DATABASE, is_shared=is_shared)
        self._files = ContentFiles(directory / FILES, reserve)
        self._now = now

    def missing(self, sender: str, digests: Sequence[bytes]) -> list[Missing]:
        present: set[bytes] = set()
        with self._database.reading() as db:
            if db is not None and (known := _sender(db, sender)) is not None:
                present = {digest for digest, _, _ in in_lists(db, sql.SENT, digests, after=[known])}
        if present:
            self._touch(list(present))
        lacking = ((place, digest) for place, digest in enumerate(digests) if digest not in present)
        return [Missing(place, self._files.begun(sender, digest)) for place, digest in lacking]

    def _touch(self, digests: Sequence[bytes]) -> None:
        """Whoever hears that they are here will use them: their time begins anew, where it is half over."""
        now = self._now()
        with self._database.reading() as db:
            assert db is not None
            old = list(in_lists(db, sql.OLD, digests, after=[now - LIFE / 2]))
        if old:
            with self._database.writing() as db:
                db.executemany(sql.TOUCH, [(now, content) for (content,) in old])

    def add(self, sender: str, contents: Sequence[tuple[bytes, bytes]]) -> None:
        for digest, data in contents:
            if len(data) > SMALL:
                raise InvalidInput(f"content {digest.hex()[:16]} of {len(data)} bytes is not small")
            if sha256(data).digest() != digest:
                raise InvalidInput(f"content {digest.hex()[:16]} is not what its SHA-256 says: it has changed")
        self._files.expect_room(sum(len(data) for _, data in contents))
        with self._database.writing() as db:
            number, now = _new_sender(db, sender), self._now()
            known = _lookup(db, None, (digest for digest, _ in contents))
            new = {digest: data for digest, data in contents if digest not in known}
            numbered = list(enumerate(new.items(), int(db.execute(sql.NEXT).fetchone()[0])))
            db.executemany(sql.NEW_CONTENT, [(n, digest, len(data), now) for n, (digest, data) in numbered])
            db.executemany(sql.NEW_SMALL, [(n, data) for n, (_, data) in numbered])
            db.executemany(sql.TOUCH, [(now, content) for content, _ in known.values()])
            sent = [*(n for n, _ in numbered), *(content for content, _ in known.values())]
            db.executemany(sql.NEW_SENT, [(content, number) for content in sent])

    def new(self, sender: str, digest: bytes, size: int, offset: int) -> NewFile:
        if size <= SMALL:
            raise InvalidInput(f"content {digest.hex()[:16]} of {size} bytes is small: it comes as one piece")
        return self._files.new(sender, digest, size, offset, partial(self._keep, sender, digest, size))

    def _keep(self, sender: str, digest: bytes, size: int, move: Callable[[], None]) -> None:
        with self._database.writing_lock:  # nobody collects it between
            move()
            with self._database.writing() as db:
                db.execute(sql.ADD_CONTENT, (digest, size, self._now()))
                db.execute(sql.ADD_SENT, (_new_sender(db, sender), digest))

    def use(
        self, by: str, sender: str | None, trees: Sequence[bytes] = (), plain: Sequence[bytes] = (), owner: str = ""
    ) -> TreeSize:
        total = TreeSize(0, 0, 0)
        with self._database.writing() as db:
            number = 0 if sender is None else _new_sender(db, sender)
            look = partial(_lookup, db, number if sender is not None else None)
            for digest in (*trees, *plain):
                found = look([digest])
                if digest not in found:
                    raise MissingContents(f"content {digest.hex()[:16]} has not been sent: send it, and try again")
                tree, _ = found[digest]
                is_known = db.execute(sql.IS_USED, (tree, sender is None, number)).fetchone()
                if digest in trees:
                    size = _tree_size(db, tree) if is_known else self._hold(db, digest, tree, look)
                    total = _sum(total, size)
                elif not is_known:
                    db.execute(sql.ADD_HELD, (tree, tree))
                db.execute(sql.ADD_USED, (by, tree, number, self._now(), owner))
        return total

    def _hold(self, db: sqlite3.Connection, digest: bytes, tree: int, look: Lookup) -> TreeSize:
        """The tree holds all that is in it. What it comes to."""
        total, entries = TreeSize(0, 0, 0), self.entries(digest)
        while some := list(islice(entries, _SOME)):
            files = [entry for entry in some if entry.kind is EntryKind.FILE]
            found = look({entry.digest for entry in files})
            for entry in files:
                if entry.digest not in found:
                    raise MissingContents(f"{entry.name} has not been sent: send it, and try again")
                if found[entry.digest][1] != entry.size:
                    raise InvalidInput(
                        f"{entry.name}: its content has {found[entry.digest][1]} bytes, not {entry.size}"
                    )
            db.executemany(sql.ADD_HELD, [(tree, content) for content, _ in found.values()])
            total = _sum(total, size_of(some))
        db.execute(sql.ADD_HELD, (tree, tree))
        db.execute(sql.ADD_TREE, (tree, *total))
        return total

    def release(self, *several: str) -> None:
        if not (several and self._database.exists):
            return
        with self._database.writing() as db:
            for by in several:
                db.execute(sql.FORGET_EXPIRED, (by,))
                trees = db.execute(sql.USES_OF, (by,)).fetchall()
                if trees:
                    db.execute(sql.RELEASE, (by,))
                    db.executemany(sql.FREE, trees)

    def pass_on(self, by: str, heirs: Sequence[str]) -> None:
        if not (heirs and self._database.exists and self.used_by(by)):
            return
        with self._database.writing() as db:
            db.executemany(sql.HAND_DOWN, [(by, heir, self._now()) for heir in heirs])

    def expire(
        self, several: Sequence[str], at: float, why: str, least: float = inf, *, dry: bool = False
    ) -> tuple[int, int]:
        count = total = 0
        if not self._database.exists:
            return count, total
        with suppress(_Dry), self._database.writing() as db:
            for by in several:
                if total >= least:
                    break
                if trees := db.execute(sql.USES_OF, (by,)).fetchall():
                    db.execute(sql.RELEASE, (by,))
                    db.execute(sql.ADD_EXPIRED, (by, at, why))
                    count, total = count + 1, total + sum(_freed(db, tree) for (tree,) in trees)
            if dry:
                raise _Dry
        return count, total

    def expired(self, by: str) -> tuple[float, str] | None:
        with self._database.reading() as db:
            found: tuple[float, str] | None = db.execute(sql.GET_EXPIRED, (by,)).fetchone() if db else None
        return found

    def used_by(self, by: str) -> set[bytes]:
        with self._database.reading() as db:
            return {digest for (digest,) in db.execute(sql.USED_BY, (by,))} if db else set()

    def held_bytes(self) -> int:
        with self._database.reading() as db:
            return int(db.execute(sql.HELD_BYTES).fetchone()[0]) if db else 0

    def owned_bytes(self, owner: str) -> int:
        with self._database.reading() as db:
            return int(db.execute(sql.OWNED_BYTES, (owner,)).fetchone()[0]) if db else 0

    def owners(self) -> list[str]:
        with self._database.reading() as db:
            return [owner for (owner,) in db.execute(sql.OWNERS)] if db else []

    def users(self, after: str, since: float, most: int) -> list[str]:
        with self._database.reading() as db:
            return [by for (by,) in db.execute(sql.USERS, (after, since, most))] if db else []

    def is_held(self, tree: bytes, digests: Sequence[bytes]) -> bool:
        wanted = list(set(digests))
        with self._database.reading() as db:
            found = sum(n for (n,) in in_lists(db, sql.HELD_OF, wanted, after=[tree])) if db else 0
        return found == len(wanted)

    def sizes(self, digests: Sequence[bytes]) -> dict[bytes, int]:
        with self._database.reading() as db:
            return {digest: size for digest, _, size in in_lists(db, sql.PRESENT, digests)} if db else {}

    def small(self, digests: Sequence[bytes]) -> dict[bytes, bytes]:
        with self._database.reading() as db:
            return dict(in_lists(db, sql.SMALL_DATA, digests)) if db else {}

    def read(self, digest: bytes, offset: int = 0) -> Iterator[bytes]:
        if (data := self.small([digest]).get(digest)) is not None:
            yield data[offset:]
        else:
            yield from self._files.read(digest, offset)

    def entries(self, tree: bytes) -> Iterator[Entry]:
        return decode(self.read(tree))

    def space(self) -> ContentsSpace:
        with self._database.reading() as db:
            count, total = db.execute(sql.SPACE).fetchone() if db else (0, 0)
        return ContentsSpace(count, total, self._files.coming())

    def lost(self) -> list[bytes]:
        """The digests of large contents that something holds, and whose files are not here whole."""
        with self._database.reading() as db:
            held = db.execute(sql.HELD_FILES, (SMALL,)).fetchall() if db else []
        return [digest for digest, size in held if not self._files.is_whole(digest, size)]

    def collect(self, most: int) -> int:
        if not self._database.exists:
            return 0
        with self._database.writing_lock:  # nobody sends one of them again between its row's end and its file's
            with self._database.writing() as db:
                over = db.execute(sql.OVER, (self._now() - LIFE, most)).fetchall()
                for statement in sql.FORGET:
                    db.executemany(statement, [(content,) for content, _, _ in over])
            for _, digest, size in over:
                if size > SMALL:
                    self._files.remove(digest)
        self._database.give_back()
        return len(over)

    def tidy(self) -> None:
        self._files.tidy(self._now() - LIFE, lambda digest: digest in self.sizes([digest]))

    def close(self) -> None:
        self._database.close()


class _Dry(Exception):
    """What was tried is taken back."""


def _freed(db: sqlite3.Connection, tree: int) -> int:
    """Bytes of what nothing holds once the tree is used by nobody; that need not wait for its day to be over. 0 where
    somebody uses it."""
    alone = db.execute(sql.ALONE, (tree,)).fetchall()
    db.execute(sql.FREE, (tree,))
    db.executemany(sql.TOUCH, [(0.0, content) for content, _ in alone])
    return sum(size for _, size in alone)


def _lookup(db: sqlite3.Connection, sender: int | None, digests: Iterable[bytes]) -> dict[bytes, tuple[int, int]]:
    """Number and size of those that the sender has sent; None: of those that anybody has."""
    some = list(digests)
    rows = in_lists(db, sql.PRESENT, some) if sender is None else in_lists(db, sql.SENT, some, after=[sender])
    return {digest: (content, size) for digest, content, size in rows}


def _sender(db: sqlite3.Connection, name: str) -> int | None:
    found = db.execute(sql.SENDER, (name,)).fetchone()
    return found[0] if found else None


def _new_sender(db: sqlite3.Connection, name: str) -> int:
    db.execute(sql.ADD_SENDER, (name,))
    number = _sender(db, name)
    assert number is not None
    return number


def _tree_size(db: sqlite3.Connection, tree: int) -> TreeSize:
    found = db.execute(sql.TREE, (tree,)).fetchone()
    return TreeSize(*found) if found else TreeSize(0, 0, 0)


def _sum(one: TreeSize, other: TreeSize) -> TreeSize:
    return TreeSize(one.files + other.files, one.directories + other.directories, one.bytes + other.bytes)
