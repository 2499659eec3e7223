"""What a store of contents promises: nothing but what a digest says, all of it or nothing, and to nobody who has not
sent it himself."""

import os
import random
import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import Conflict, Exhausted, InvalidInput, MissingContents, NotFound
from cluster.domain.files.pieces import SMALL
from cluster.domain.files.tree import Entry, EntryKind, encode
from cluster.store.contents.interface import LIFE, BrokenContent, Contents, Missing
from cluster.store.contents.store import StoredContents

ADA, BOB = "user/ada", "user/bob"
LARGE = random.Random(1).randbytes(3 * SMALL)


class Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def contents(tmp_path: Path, clock: Clock) -> Iterator[StoredContents]:
    store = StoredContents(tmp_path, clock, reserve=0)
    yield store
    store.close()


def digest_of(data: bytes) -> bytes:
    return sha256(data).digest()


def send(contents: Contents, sender: str, *several: bytes) -> None:
    for data in several:
        if len(data) <= SMALL:
            contents.add(sender, [(digest_of(data), data)])
        else:
            with contents.new(sender, digest_of(data), len(data), 0) as new:
                new.write(data)
                new.keep()


def tree_of(*files: bytes) -> bytes:
    entries = (Entry(b"%d" % n, EntryKind.FILE, 0o644, len(data), digest_of(data)) for n, data in enumerate(files))
    return b"".join(encode(entries))


def whole(contents: Contents, data: bytes) -> bool:
    return b"".join(contents.read(digest_of(data))) == data


@pytest.mark.parametrize("data", [b"", b"x", bytes(SMALL), LARGE])
def test_what_was_sent_is_there_also_after_a_restart(contents: StoredContents, tmp_path: Path, data: bytes) -> None:
    assert contents.missing(ADA, [digest_of(data)]) == [Missing(0, 0)]
    send(contents, ADA, data)
    assert contents.missing(ADA, [digest_of(b"other"), digest_of(data)]) == [Missing(0, 0)]
    contents.close()
    again = StoredContents(tmp_path)
    assert whole(again, data)
    assert b"".join(again.read(digest_of(data), len(data) // 2)) == data[len(data) // 2 :]
    assert again.space()[:2] == (1, len(data))
    again.close()


def test_nobody_learns_what_another_has_sent(contents: StoredContents) -> None:
    tree = tree_of(b"secret", LARGE)
    send(contents, ADA, b"secret", LARGE, tree)
    assert [each.place for each in contents.missing(BOB, [digest_of(b"secret"), digest_of(LARGE)])] == [0, 1]
    with pytest.raises(MissingContents, match="has not been sent"):
        contents.use("job", BOB, [digest_of(tree)])
    send(contents, BOB, tree)
    with pytest.raises(MissingContents, match=r"^0 has not been sent"):
        contents.use("job", BOB, [digest_of(tree)])
    with contents.new(ADA, digest_of(LARGE * 2), len(LARGE) * 2, 0) as new:
        new.write(LARGE)
    assert contents.missing(BOB, [digest_of(LARGE * 2)]) == [Missing(0, 0)], "not even that it is coming"
    assert contents.missing(ADA, [digest_of(LARGE * 2)]) == [Missing(0, len(LARGE))]
    send(contents, BOB, b"secret", LARGE)
    assert contents.use("job", BOB, [digest_of(tree)]) == (2, 0, len(LARGE) + 6)
    assert contents.space().contents == 3, "it is kept once"


def test_a_content_is_what_its_digest_says(contents: StoredContents, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not what its SHA-256 says"):
        contents.add(ADA, [(digest_of(b"good"), b"good"), (digest_of(b"x"), b"y")])
    assert contents.missing(ADA, [digest_of(b"good")]) == [Missing(0, 0)], "all of them or none"
    with contents.new(ADA, digest_of(b"x"), len(LARGE), 0) as new:
        new.write(LARGE)
        with pytest.raises(InvalidInput, match="not what its SHA-256 says"):
            new.keep()
    with contents.new(ADA, digest_of(LARGE), len(LARGE), 0) as new:
        with pytest.raises(InvalidInput, match="more than the"):
            new.write(LARGE + b"x")
        with pytest.raises(InvalidInput, match="ends after 0 of"):
            new.keep()
    assert not [path for path in (tmp_path / "contents").rglob("*") if path.is_file() and path.stat().st_size]


def test_what_broke_off_goes_on(contents: StoredContents, tmp_path: Path, clock: Clock) -> None:
    digest, begun = digest_of(LARGE), 2 * SMALL
    with contents.new(ADA, digest, len(LARGE), 0) as new:
        new.write(LARGE[:begun])
    contents.close()
    again = StoredContents(tmp_path, clock)
    again.tidy()
    assert again.missing(ADA, [digest]) == [Missing(0, begun)]
    with pytest.raises(Conflict, match="are here"):
        again.new(ADA, digest, len(LARGE), begun + 1)
    with again.new(ADA, digest, len(LARGE), begun - 5) as new:
        new.write(LARGE[begun - 5 :])
        new.keep()
    assert whole(again, LARGE)
    assert again.space().coming == 0
    again.close()


def test_what_was_damaged_before_it_went_on_is_sent_again(contents: StoredContents, tmp_path: Path) -> None:
    digest = digest_of(LARGE)
    with contents.new(ADA, digest, len(LARGE), 0) as new:
        new.write(bytes(SMALL))  # as a power cut may leave it
    with contents.new(ADA, digest, len(LARGE), SMALL) as new:
        new.write(LARGE[SMALL:])
        with pytest.raises(BrokenContent, match="send it again"):
            new.keep()
    assert contents.missing(ADA, [digest]) == [Missing(0, 0)]
    send(contents, ADA, LARGE)
    assert whole(contents, LARGE)


def test_one_content_may_come_twice_at_a_time(contents: StoredContents, tmp_path: Path) -> None:
    digest = digest_of(LARGE)
    with contents.new(ADA, digest, len(LARGE), 0) as one, contents.new(ADA, digest, len(LARGE), 0) as other:
        with pytest.raises(Conflict, match="by another call"):
            contents.new(ADA, digest, len(LARGE), 5)
        one.write(LARGE[:SMALL])
        other.write(LARGE)
        other.keep()
        one.write(LARGE[SMALL:])
        one.keep()
    assert whole(contents, LARGE)
    assert list((tmp_path / "contents" / ".new").iterdir()) == []


def test_what_is_used_stays_and_all_else_goes_after_its_time(
    contents: StoredContents, clock: Clock, tmp_path: Path
) -> None:
    used, unused = tree_of(b"a", LARGE), tree_of(b"a", b"b")
    send(contents, ADA, b"a", b"b", b"in", LARGE, used, unused)
    contents.use("job", ADA, [digest_of(used)], [digest_of(b"in")])
    assert contents.collect(100) == 0, "it has only come"
    clock.now += LIFE + 1
    assert contents.collect(1) == 1
    assert contents.collect(100) == 1
    assert contents.sizes([digest_of(data) for data in (b"b", unused)]) == {}
    assert all(whole(contents, data) for data in (b"a", b"in", LARGE, used))
    assert contents.is_held(digest_of(used), [digest_of(b"a"), digest_of(LARGE), digest_of(used)])
    assert not contents.is_held(digest_of(used), [digest_of(b"in")])
    contents.use("another", ADA, [digest_of(used)])
    contents.release("job")
    assert contents.collect(100) == 1, "only stdin"
    contents.release("another")
    assert contents.collect(100) == 3
    assert contents.space() == (0, 0, 0)
    assert not [path for path in (tmp_path / "contents").rglob("*") if path.is_file()]
    with pytest.raises(NotFound):
        list(contents.read(digest_of(LARGE)))
    with pytest.raises(MissingContents):
        contents.use("late", ADA, [digest_of(used)])


def test_what_is_let_go_first_goes_at_once_but_for_what_others_hold(contents: StoredContents, clock: Clock) -> None:
    shared, first, second = b"shared" * 100, b"first", LARGE
    trees = [tree_of(shared, first), tree_of(shared, second)]
    send(contents, ADA, shared, first, second, *trees)
    for by, tree in zip("ab", trees, strict=True):
        contents.use(by, ADA, [digest_of(tree)])
    held, alone = contents.held_bytes(), len(first) + len(trees[0])
    assert contents.expire(["a", "b", "c"], 5.0, "why", dry=True) == (2, held)
    assert (contents.expired("a"), contents.held_bytes()) == (None, held)
    assert contents.expire(["a", "b"], 5.0, "why", least=1) == (1, alone)
    assert (contents.expired("a"), contents.expired("b")) == ((5.0, "why"), None)
    assert (contents.used_by("a"), contents.used_by("b")) == (set(), {digest_of(trees[1])})
    assert contents.collect(10) == 2
    assert contents.sizes([digest_of(data) for data in (shared, first, second)]).keys() == set(
        map(digest_of, (shared, second))
    )
    assert contents.expire(["a", "b"], 6.0, "why") == (1, held - alone)
    assert contents.collect(10) == 3
    assert contents.users("", 1e12, 10) == ["a", "b"]
    contents.release("a")
    assert (contents.users("", 1e12, 10), contents.expired("a")) == (["b"], None)


def test_what_is_passed_on_stays_when_who_brought_it_lets_go(contents: StoredContents, clock: Clock) -> None:
    send(contents, ADA, b"script", LARGE, tree := tree_of(b"script", LARGE))
    contents.use("schedule", ADA, [digest_of(tree)], owner="ada")
    contents.expire(["old run"], clock.now, "by age")  # it has used nothing
    contents.use("expired run", ADA, [digest_of(tree)], owner="ada")
    contents.expire(["expired run"], clock.now, "by age")
    for _ in range(2):  # after a crash again
        contents.pass_on("schedule", ["run", "expired run"])
    contents.pass_on("nobody", ["run"])
    contents.release("schedule")
    clock.now += 2 * LIFE
    assert contents.collect(9) == 0
    assert (contents.used_by("run"), contents.used_by("expired run")) == ({digest_of(tree)}, set())
    assert contents.owned_bytes("ada") == len(b"script") + len(LARGE) + len(tree)
    contents.release("run")
    assert contents.collect(9) == 3


def test_who_hears_that_it_is_here_has_time_to_use_it(contents: StoredContents, clock: Clock) -> None:
    send(contents, ADA, b"a")
    clock.now += LIFE - 1
    assert contents.missing(ADA, [digest_of(b"a")]) == []
    clock.now += LIFE - 1
    assert contents.collect(100) == 0
    clock.now += 2
    assert contents.collect(100) == 1


def test_a_use_is_of_all_or_nothing(contents: StoredContents) -> None:
    send(contents, ADA, tree := tree_of(b"a", b"b"), b"a")
    with pytest.raises(MissingContents, match=r"^1 has not been sent"):
        contents.use("job", ADA, [digest_of(tree)])
    assert contents.users("", 2e9, 10) == []
    send(contents, ADA, b"b", odd := b"no tree")
    with pytest.raises(InvalidInput, match="no tree"):
        contents.use("job", ADA, [digest_of(tree), digest_of(odd)])
    assert contents.users("", 2e9, 10) == []
    wrong = b"".join(encode([Entry(b"a", EntryKind.FILE, 0o644, 7, digest_of(b"a"))]))
    send(contents, ADA, wrong)
    with pytest.raises(InvalidInput, match="has 1 bytes, not 7"):
        contents.use("job", ADA, [digest_of(wrong)])
    contents.use("x", ADA, [digest_of(tree)])
    contents.use("y", None, [digest_of(tree)])
    assert contents.users("", 2e9, 1) == ["x"]
    assert contents.users("x", 2e9, 10) == ["y"]
    assert contents.users("", 0, 10) == []


def test_nothing_is_made_before_something_is_kept(contents: StoredContents, tmp_path: Path) -> None:
    assert contents.missing(ADA, [digest_of(b"a")]) == [Missing(0, 0)]
    assert contents.space() == (0, 0, 0)
    assert contents.collect(5) == 0
    contents.release("job")
    contents.tidy()
    assert list(tmp_path.iterdir()) == []


def test_the_reserve_is_kept(tmp_path: Path) -> None:
    found = os.statvfs(tmp_path)
    full = StoredContents(tmp_path, reserve=found.f_blocks * found.f_frsize)
    with pytest.raises(Exhausted, match=r"no room for files.*make room"):
        full.add(ADA, [(digest_of(b"a"), b"a")])
    with pytest.raises(Exhausted, match=r"no room for files.*make room"):
        full.new(ADA, digest_of(LARGE), len(LARGE), 0)
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_has_left_is_tidied_up(contents: StoredContents, clock: Clock, tmp_path: Path) -> None:
    send(contents, ADA, LARGE)
    with contents.new(ADA, digest_of(LARGE * 2), 2 * len(LARGE), 0) as new:
        new.write(LARGE)
    orphan = tmp_path / "contents" / "ab" / ("ab" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"moved, and no row")
    for path in (orphan, *(tmp_path / "contents").rglob("*")):
        if path.is_file():
            os.utime(path, (clock.now, clock.now))
    contents.tidy()
    assert orphan.exists(), "its row may be about to come"
    clock.now += LIFE + 1
    contents.tidy()
    assert not orphan.exists()
    assert contents.space().coming == 0
    assert whole(contents, LARGE)


STEPS = ("write", "fsync", "fdatasync", "rename", "mkdir", "open", "unlink")  # of the system
STATEMENTS = ("BEGIN IMMEDIATE", "COMMIT")


class Killed(sqlite3.Connection):
    """Counts steps, and ends the process before that of a number."""

    left = 0

    @classmethod
    def step(cls) -> None:
        cls.left -= 1
        if cls.left < 0:
            os._exit(9)

    def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
        if statement in STATEMENTS:
            self.step()
        return super().execute(statement, *arguments)


def live_and_die(directory: Path, steps: int, patch: pytest.MonkeyPatch) -> None:
    """In a process of its own: sends, uses and collects, and is killed after so many steps. Tells by files how far it
    came."""
    Killed.left = steps

    def before(name: str) -> None:
        real = getattr(os, name)
        patch.setattr(os, name, lambda *args, **how: (Killed.step(), real(*args, **how))[1])

    for name in STEPS:
        before(name)
    connect = sqlite3.connect
    patch.setattr(sqlite3, "connect", lambda *args, **how: connect(*args, factory=Killed, **how))
    clock = Clock()
    store = StoredContents(directory, clock, reserve=0)
    tree = tree_of(b"a", LARGE)
    send(store, ADA, b"a", LARGE, tree)
    store.use("job", ADA, [digest_of(tree)])
    (directory / "used").touch()
    send(store, ADA, LARGE * 2)
    clock.now += LIFE + 1
    store.collect(10)
    os._exit(0)


@pytest.mark.parametrize("step", [0, 2, 4, *range(6, 40, 2)])
def test_killed_at_any_step_there_is_no_wrong_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """And whoever sends everything again succeeds, and what was told to be used stays, and nothing else."""
    child = os.fork()
    if child == 0:
        try:
            live_and_die(tmp_path, step, monkeypatch)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, 9)
    clock, tree = Clock(), tree_of(b"a", LARGE)
    store = StoredContents(tmp_path, clock, reserve=0)
    if (tmp_path / "used").exists():
        assert store.is_held(digest_of(tree), [digest_of(b"a"), digest_of(LARGE)])
    for data in (b"a", LARGE, tree):
        if not store.missing(ADA, [digest_of(data)]):
            assert whole(store, data)
        send(store, ADA, data)
    store.use("job", ADA, [digest_of(tree)])
    clock.now += 3 * LIFE
    files = [path for path in (tmp_path / "contents").rglob("*") if path.is_file()]
    for path in files:
        os.utime(path, (1e9, 1e9))
    store.collect(100)
    store.tidy()
    assert all(whole(store, data) for data in (b"a", LARGE, tree))
    assert [path.name for path in files if path.exists()] == [digest_of(LARGE).hex()]
    store.close()
