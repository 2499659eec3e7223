"""What a directory is, written as one canonical text: odd names come back as they were, and hostile trees are refused
before anybody makes a file of them."""

import random
from contextlib import suppress
from hashlib import sha256

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.files import tree
from cluster.domain.files.tree import Entry, EntryKind, decode, encode, order_of, part_of, size_of, with_parents

DIGEST = sha256(b"x").digest()


def file(path: bytes, mode: int = 0o644, size: int = 1) -> Entry:
    return Entry(path, EntryKind.FILE, mode, size, DIGEST)


def directory(path: bytes, mode: int = 0o755) -> Entry:
    return Entry(path, EntryKind.DIRECTORY, mode)


def link(path: bytes, target: bytes) -> Entry:
    return Entry(path, EntryKind.LINK, target=target)


def written(*entries: Entry) -> bytes:
    return b"".join(encode(entries))


def read(data: bytes, piece: int = 7) -> list[Entry]:
    return list(decode(data[at : at + piece] for at in range(0, len(data), piece)))


def made_up(seed: int) -> list[Entry]:
    """A tree of odd names: any bytes but NUL and /."""
    chance = random.Random(seed)
    alphabet = [bytes([byte]) for byte in range(1, 256) if byte != ord("/")]
    directories = [b""]
    found: dict[bytes, Entry] = {}
    for _ in range(chance.randrange(60)):
        name = b"".join(chance.choices([*alphabet, b"\n", b".", b"-", b" "], k=chance.choice([1, 1, 2, 5, 200])))
        above = chance.choice(directories)
        path = above + b"/" + name if above else name
        if name in (b".", b"..") or path in found or len(path) > tree.MAX_PATH:
            continue
        match chance.randrange(3):
            case 0:
                found[path] = directory(path, chance.randrange(0o1000))
                directories.append(path)
            case 1:
                found[path] = file(path, chance.randrange(0o1000), chance.randrange(1 << 40))
            case _:
                found[path] = link(path, b"../" * chance.randrange(path.count(b"/") + 1) + b"somewhere")
    return [found[path] for path in sorted(found, key=order_of)]


@pytest.mark.parametrize("seed", range(40))
def test_odd_names_come_back_in_whatever_pieces(seed: int) -> None:
    entries = made_up(seed)
    data = written(*entries)
    for piece in (1, 3, 4096):
        assert read(data, piece) == entries
    assert written(*read(data)) == data, "one tree is one text"


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_tree_is_refused_or_another_one(seed: int) -> None:
    """Never an error of another sort, and what is read is what would be written."""
    data = bytearray(written(*made_up(seed), file(b"\xff" * 201)))
    chance = random.Random(seed)
    for _ in range(50):
        damaged = bytearray(data)
        damaged[chance.randrange(len(data))] = chance.randrange(256)
        with suppress(InvalidInput):
            assert written(*read(bytes(damaged), 100)) == damaged


def test_what_is_below_a_directory_follows_it() -> None:
    entries = [directory(b"a"), file(b"a/b"), file(b"a.b"), file(b"a0")]
    assert read(written(*entries)) == entries
    with pytest.raises(InvalidInput, match="no order"):
        written(file(b"a.b"), directory(b"a"))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([file(b"/etc/passwd")], "absolute"),
        ([file(b"..")], "'..'"),
        ([file(b"a/../../b")], "'..'"),
        ([directory(b"a"), file(b"a//b")], "part ''"),
        ([directory(b"a/")], "part ''"),
        ([file(b"./a")], "'.'"),
        ([file(b"")], "0 bytes"),
        ([file(b"a\0b")], "NUL"),
        ([file(b"a" * 256)], "256 bytes"),
        ([file(b"a"), file(b"a")], "twice"),
        ([file(b"a"), file(b"a/b")], "no directory"),
        ([link(b"a", b"b"), file(b"a/b")], "no directory"),
        ([file(b"a/b")], "no directory"),
        ([link(b"a", b"/etc")], "leaves the tree"),
        ([link(b"a", b"..")], "leaves the tree"),
        ([directory(b"d"), link(b"d/a", b"../../x")], "leaves the tree"),
        ([directory(b"d"), link(b"d/a", b".//..//./../x")], "leaves the tree"),
        ([link(b"a", b"b/../..")], "behind a name"),
        ([link(b"a", b"")], "0 bytes"),
        ([file(b"a", mode=0o4755)], "4755"),
        ([directory(b"a", mode=0o1777)], "1777"),
        ([file(b"a", size=-1)], "-1 bytes"),
        ([Entry(b"a", EntryKind.FILE, 0o644, 1, b"short")], "no SHA-256"),
        ([Entry(b"a", EntryKind.LINK, 0o777, target=b"b")], "neither mode"),
        ([Entry(b"a", EntryKind.DIRECTORY, 0o755, 5)], "neither size"),
        ([Entry(b"a", EntryKind.FILE, 0o644, 1, DIGEST, b"b")], "only a link"),
    ],
)
def test_hostile_entries_make_no_tree(entries: list[Entry], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        written(*entries)
    raw = b"".join(
        b"\0".join((e.path, e.kind.value, b"%03o" % e.mode, b"%d" % e.size, e.target or e.digest.hex().encode(), b""))
        for e in entries
    )
    with pytest.raises(InvalidInput):
        read(raw)


@pytest.mark.parametrize(
    "record",
    [
        b"a\0x\x00644\x001\0\0",
        b"a\0f\x00944\x001\0\0",
        b"a\0f\x00644\x0001\0\0",
        b"a\0f\x00644\x00-1\0\0",
        b"a\0f\x00644\x001\0XY\0",
    ],
)
def test_another_way_of_writing_is_refused(record: bytes) -> None:
    with pytest.raises(InvalidInput, match="no tree"):
        read(record)


def test_a_tree_that_is_cut_is_refused() -> None:
    data = written(directory(b"a"), file(b"a/b"))
    for end in range(1, len(data)):
        if end != len(written(directory(b"a"))):
            with pytest.raises(InvalidInput, match="cut"):
                read(data[:end])


def test_a_record_without_end_is_not_waited_for() -> None:
    with pytest.raises(InvalidInput, match="a record of more than"):
        for _ in decode(b"a" * 1000 for _ in range(1000)):
            pass


def test_links_may_go_up_inside() -> None:
    entries = [directory(b"a"), directory(b"a/b"), link(b"a/b/c", b"../../d"), link(b"x", b"a/b")]
    assert read(written(*entries)) == entries


def test_there_are_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "MAX_ENTRIES", 3)
    with pytest.raises(InvalidInput, match="more than 3 entries"):
        written(*(file(b"%d" % n) for n in range(4)))
    monkeypatch.setattr(tree, "MAX_TREE", 100)
    with pytest.raises(InvalidInput, match="more than 100"):
        read(written(*(file(b"%d" % n) for n in range(3))))


def test_each_task_finds_one_file() -> None:
    linked = link(b"b/2", b"../a/1")
    entries = [
        directory(b"a"),
        file(b"a/1"),
        directory(b"a/empty"),
        directory(b"b"),
        link(b"b/2", b"../a/1"),
        file(b"c"),
    ]
    assert part_of(entries, b"a/1") == [directory(b"a"), file(b"a/1")]
    assert part_of(entries, b"b/2") == [directory(b"b"), linked]
    assert part_of(entries, b"c") == [file(b"c")]
    assert part_of(entries, b"a") == part_of(entries, b"a/2") == []
    assert size_of(entries) == (3, 3, 2)


def test_parents_are_added() -> None:
    found = with_parents([file(b"a.b"), file(b"a/b/c"), directory(b"a", 0o700)])
    assert found == [directory(b"a", 0o700), directory(b"a/b"), file(b"a/b/c"), file(b"a.b")]
    assert read(written(*found)) == found


def test_few_deep_paths_stand_for_no_more_directories_than_a_tree_may_have() -> None:
    deep = [file(b"%d/" % n + b"d/" * 2000 + b"f") for n in range(200)]  # 0.8 MB, with directories of 0.8 GB
    with pytest.raises(InvalidInput, match=r"more than 1\.0 MiB of names, with the directories above"):
        with_parents(deep, most=1 << 20)
    assert len(with_parents(deep[:1] * 200)) == 2002


def test_names_are_shown_in_one_line() -> None:
    assert tree.shown(b"a\nb\x1b[31m\xff") == "a\\nb\\x1b[31m\\xff"
    assert len(tree.shown(b"a" * 5000)) < 110
