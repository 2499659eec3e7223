"""Fetching results: a file is there whole or not at all, whoever is killed at any step, and what came is not lost."""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from cluster.client.fetching import Fetcher, FetchListener
from cluster.client.landing import Landing
from cluster.client.results import TaskResults
from cluster.client.retrying import RetryPatience
from cluster.domain.base.errors import Exhausted, Internal, Unreachable, Unusable
from cluster.domain.files.tree import Entry, EntryKind
from cluster.domain.job.results import ResultsState
from cluster.v1.files_pb2 import ContentPiece

LARGE = bytes(range(256)) * 1200
FILES = {b"a/large": LARGE, b"a/small": b"small", b"empty": b"", b"odd\n\xff": b"odd", b"same": b"small"}
RESULTS = TaskResults(5, 0, 0, 1, ResultsState.KEPT, 6, 1, (), "", b"t" * 32)
ENTRIES = (
    Entry(b"a", EntryKind.DIRECTORY, 0o555),
    Entry(b"a/large", EntryKind.FILE, 0o644, len(LARGE), sha256(LARGE).digest()),
    Entry(b"a/link", EntryKind.LINK, target=b"small"),
    Entry(b"a/small", EntryKind.FILE, 0o755, 5, sha256(b"small").digest()),
    Entry(b"empty", EntryKind.FILE, 0o600, 0, sha256(b"").digest()),
    Entry(b"odd\n\xff", EntryKind.FILE, 0o600, 3, sha256(b"odd").digest()),
    Entry(b"same", EntryKind.FILE, 0o644, 5, sha256(b"small").digest()),
)


class Store:
    """Stands for the scheduler: gives contents in pieces, as many times as it is asked."""

    address = "nowhere"

    def __init__(self, piece: int = 70_000) -> None:
        self.contents = {sha256(data).digest(): data for data in FILES.values()}
        self.asked: list[tuple[int, int]] = []  # contents and offset of each call
        self.breaks: list[int] = []  # after so many messages of a call it breaks, one for each of the next calls
        self._piece = piece

    async def entries(self, results: TaskResults, patience: float) -> tuple[Entry, ...]:
        return ENTRIES

    async def read_results(
        self, results: TaskResults, digests: Sequence[bytes], offset: int, patience: float
    ) -> AsyncGenerator[list[ContentPiece], None]:
        self.asked.append((len(digests), offset))
        left = self.breaks.pop(0) if self.breaks else 1 << 30
        for place, digest in enumerate(digests):
            data, begin = self.contents[digest], 0 if place else offset
            head: dict[str, Any] = {"digest": digest, "size": len(data), "offset": begin}
            for at in range(begin, max(len(data), begin + 1), self._piece):
                if not left:
                    raise Unreachable("it broke")
                left -= 1
                yield [ContentPiece(data=data[at : at + self._piece], **head)]
                head = {}


def fetch(store: Store, to: Path, **how: Any) -> None:
    patience = RetryPatience()
    patience.renew()
    backend: Any = store
    asyncio.run(Fetcher(backend, patience, to, FetchListener(), **how).fetch(RESULTS))


def expect_all(to: Path) -> None:
    found = {os.fsencode(path.relative_to(to)) for path in to.rglob("*")}
    assert found == {entry.path for entry in ENTRIES}, "nothing else"
    for entry in ENTRIES:
        path = to / os.fsdecode(entry.path)
        if entry.kind is EntryKind.LINK:
            assert os.readlink(os.fsencode(path)) == entry.target
            continue
        assert stat.S_IMODE(path.stat().st_mode) == entry.mode
        if entry.kind is EntryKind.FILE:
            assert path.read_bytes() == FILES[entry.path]


def expect_no_part(to: Path) -> None:
    """Under its name each file that is there is whole."""
    for path, data in FILES.items():
        there = to / os.fsdecode(path)
        assert not there.exists() or there.read_bytes() == data


class Killed(BaseException):
    pass


CALLS = ("open", "write", "rename", "mkdir", "symlink", "fchmod", "chmod", "unlink", "ftruncate")


@contextmanager
def killed_before(step: int) -> Iterator[list[str]]:
    """Whoever makes so many changes is dead from then on. Yields those that were made."""
    made: list[str] = []

    def dying(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **named: Any) -> Any:
            if len(made) >= step:
                raise Killed
            made.append(name)
            return call(*arguments, **named)

        return instead

    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, dying(name, getattr(os, name)))
        yield made


def test_a_fetch_that_is_killed_at_any_step_is_ended_by_the_next(tmp_path: Path) -> None:
    step = 0
    while True:
        to = tmp_path / str(step)
        with killed_before(step) as made, suppress(Killed):
            fetch(Store(), to)
        expect_no_part(to)
        fetch(Store(), to)
        expect_all(to)
        if len(made) < step:
            break
        step += 3  # each kind of step is met: they come in other places for each file
    assert step > 30


def test_what_came_before_it_broke_does_not_come_again(tmp_path: Path) -> None:
    store = Store()
    store.breaks = [2, 1, 0]
    fetch(store, tmp_path)
    expect_all(tmp_path)
    assert [offset for count, offset in store.asked if count == 1] == [0, 140_000, 210_000, 210_000]


def test_what_is_there_is_not_asked_for(tmp_path: Path) -> None:
    fetch(Store(), tmp_path)
    again = Store()
    fetch(again, tmp_path)
    assert again.asked == []
    (tmp_path / "same").write_bytes(b"other")
    fetch(again, tmp_path)
    assert again.asked == [(1, 0)]
    expect_all(tmp_path)


def test_a_part_that_was_damaged_is_fetched_anew(tmp_path: Path) -> None:
    with Landing(tmp_path) as landing:
        arriving = landing.begin(ENTRIES[1])
        arriving.write(b"x" * 1000)
        arriving.close()
    store = Store()
    fetch(store, tmp_path)
    expect_all(tmp_path)
    assert [offset for count, offset in store.asked if count == 1] == [1000, 0]


def test_what_is_not_what_its_hash_says_is_never_shown(tmp_path: Path) -> None:
    store = Store()
    store.contents[sha256(LARGE).digest()] = b"y" * len(LARGE)
    with pytest.raises(Internal, match="a/large does not come as what its SHA-256 says"):
        fetch(store, tmp_path)
    assert not (tmp_path / "a" / "large").exists()


def test_a_full_disk_is_told_and_what_came_stays(tmp_path: Path) -> None:
    write, left = os.write, 2

    def full(fd: int, data: bytes) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        return write(fd, data)

    store = Store()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(Exhausted, match="large cannot be written: No space left on device; make room and fetch"):
            fetch(store, tmp_path)
    expect_no_part(tmp_path)
    fetch(store, tmp_path)
    expect_all(tmp_path)
    assert (1, 140_000) in store.asked


def test_two_fetches_do_not_write_one_file(tmp_path: Path) -> None:
    with Landing(tmp_path) as landing:
        arriving = landing.begin(ENTRIES[1])
        with pytest.raises(Unusable, match="is just being fetched by another command"):
            fetch(Store(), tmp_path)
        arriving.close()
    fetch(Store(), tmp_path)
    expect_all(tmp_path)


@pytest.mark.parametrize("what", ["a file", "a link to elsewhere", "a directory"])
def test_what_is_in_the_way_is_told(tmp_path: Path, what: str) -> None:
    to = tmp_path / "to"
    to.mkdir()
    if what == "a directory":
        (to / "empty" / "full").mkdir(parents=True)
    elif what == "a file":
        (to / "a").write_text("x")
    else:
        (to / "a").symlink_to(tmp_path)
    with pytest.raises(Unusable, match="cannot be written"):
        fetch(Store(), to)
    assert not (tmp_path / "large").exists()
