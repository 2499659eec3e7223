"""Views of uploads: what attempts find, and that it is the same again whatever the one before has done to it."""

import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.files.tree import Entry, EntryKind, encode, with_parents
from cluster.domain.launcher.template import Template
from cluster.launcher import views
from cluster.launcher.unpacking import ContentMissing, content_path
from cluster.launcher.views import LEFT, Views

NOBODY = 65534
Owner = tuple[int, int] | None


@contextmanager
def as_nobody() -> Iterator[None]:
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


class Lab:
    """A cache of contents, and a place for the directories of one job's attempts."""

    def __init__(self, root: Path, owner: Owner) -> None:
        self.contents, self.work, self.owner = root / "contents", root / "work" / "7", owner
        self.contents.mkdir()
        self.as_user: Callable[[], AbstractContextManager[None]] = as_nobody if owner else nullcontext
        self.views = Views(owner, self.as_user)
        self.count = 0

    def keep(self, data: bytes) -> bytes:
        digest = sha256(data)
        path = Path(content_path(str(self.contents), digest.hexdigest()))
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_bytes(data)
            path.chmod(0o444)
        return digest.digest()

    def file(self, path: bytes, data: bytes, mode: int = 0o644) -> Entry:
        return Entry(path, EntryKind.FILE, mode, len(data), self.keep(data))

    def tree(self, *entries: Entry) -> str:
        return self.keep(b"".join(encode(with_parents(entries)))).hex()

    def template(self, *entries: Entry, each: bool = False, shared: bool = False, beside: str = "") -> Template:
        return Template(
            ("true",),
            (),
            "/",
            cwd=str(self.work),
            fresh_cwd=True,
            contents=str(self.contents),
            upload=self.tree(*entries),
            upload_each=each,
            upload_beside=beside,
            upload_shared=shared,
        )

    def enter(self, template: Template, index: int = 0, file: bytes = b"") -> Path:
        """The next attempt finds its view, and is there."""
        self.count += 1
        path = self.work / f"{index}.{self.count}"
        self.views.enter(str(path), template, file)
        return path

    def leave(self, path: Path) -> None:
        self.views.ended(str(path))


OWNERS = [None, pytest.param((NOBODY, NOBODY), marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root"))]


@pytest.fixture(params=OWNERS, ids=["own user", "nobody"])
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    before = os.getcwd()
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        (Path(directory) / "work").mkdir()
        yield Lab(Path(directory), request.param)
        os.chdir(before)


def shown(root: Path) -> dict[bytes, tuple[int, bytes]]:
    """All that is below it: mode, and content or target."""
    found = {}
    for place, directories, files in os.walk(os.fsencode(root)):
        for name in (*directories, *files):
            path = os.path.join(place, name)
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                what = os.readlink(path)
            else:
                what = b"" if stat.S_ISDIR(status.st_mode) else Path(os.fsdecode(path)).read_bytes()
            found[os.path.relpath(path, os.fsencode(root))] = (status.st_mode, what)
    return found


ODD = b"odd \n\xff name"


def everything(lab: Lab) -> Template:
    return lab.template(
        lab.file(b"run.sh", b"#!/bin/sh\n", 0o755),
        lab.file(b"src/main.c", b"int main;" * 1000),
        lab.file(b"src/deep/er/" + ODD, b"x"),
        lab.file(b"src/empty", b""),
        lab.file(b"secret", b"s", 0o400),
        Entry(b"nothing here", EntryKind.DIRECTORY, 0o750),
        Entry(b"src/link", EntryKind.LINK, target=b"../run.sh"),
        Entry(b"dangling", EntryKind.LINK, target=b"src/nowhere"),
    )


def test_a_view_has_modes_links_empty_directories_and_odd_names(lab: Lab) -> None:
    path = lab.enter(everything(lab))
    assert Path.cwd() == path
    found = shown(path)
    directory, file = stat.S_IFDIR, stat.S_IFREG
    assert found == {
        b"run.sh": (file | 0o755, b"#!/bin/sh\n"),
        b"src": (directory | 0o755, b""),
        b"src/main.c": (file | 0o644, b"int main;" * 1000),
        b"src/deep": (directory | 0o755, b""),
        b"src/deep/er": (directory | 0o755, b""),
        b"src/deep/er/" + ODD: (file | 0o644, b"x"),
        b"src/empty": (file | 0o644, b""),
        b"secret": (file | 0o400, b"s"),
        b"nothing here": (directory | 0o750, b""),
        b"src/link": (stat.S_IFLNK | 0o777, b"../run.sh"),
        b"dangling": (stat.S_IFLNK | 0o777, b"src/nowhere"),
    }
    owners = {os.lstat(os.path.join(os.fsencode(path), name)).st_uid for name in found}
    assert owners == {lab.owner[0] if lab.owner else os.geteuid()}, "all of it is the jobs' user's"
    assert len({os.lstat(os.path.join(os.fsencode(path), n)).st_mtime for n in (b"run.sh", b"src/main.c")}) == 1


def untouched(path: Path) -> None:
    pass


def rewrites_in_place(path: Path) -> None:
    """The same size, and the time as it was."""
    file = path / "src/main.c"
    times = os.stat(file)
    with file.open("r+b") as stream:
        stream.write(b"INT")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def replaces(path: Path) -> None:
    (path / "src/new").write_bytes(b"int main;" * 1000)
    (path / "src/new").rename(path / "src/main.c")


def removes(path: Path) -> None:
    shutil.rmtree(path / "src/deep/er")
    (path / "src/empty").unlink()


def removes_files(path: Path) -> None:
    (path / "src/empty").unlink()
    (path / "dangling").unlink()


def adds(path: Path) -> None:
    (path / "out/of/it").mkdir(parents=True)
    (path / "out/of/it/result").write_bytes(b"1" * 5000)
    (path / "nothing here/something").write_bytes(b"")
    (path / "pipe").mkdir()
    os.mkfifo(path / "pipe/line")


def changes_modes(path: Path) -> None:
    (path / "run.sh").chmod(0o600)
    (path / "secret").chmod(0o777)


def closes_a_directory(path: Path) -> None:
    (path / "src").chmod(0o500)


def puts_a_link_for_a_directory(path: Path) -> None:
    (path / "src").rename(path / "elsewhere")
    (path / "src").symlink_to("elsewhere")


def puts_a_directory_for_a_file(path: Path) -> None:
    (path / "run.sh").unlink()
    (path / "run.sh").mkdir()
    (path / "run.sh/inside").write_bytes(b"")


def gives_a_directory_attributes(path: Path) -> None:
    os.setxattr(path / "src", "user.mine", b"1")


def turns_links(path: Path) -> None:
    (path / "dangling").unlink()
    (path / "dangling").symlink_to("/etc/passwd")


RESTORED = [
    untouched,
    rewrites_in_place,
    replaces,
    removes_files,
    adds,
    changes_modes,
    puts_a_directory_for_a_file,
    turns_links,
]
MADE_ANEW = [removes, closes_a_directory, puts_a_link_for_a_directory, gives_a_directory_attributes]


@pytest.mark.parametrize("does", [*RESTORED, *MADE_ANEW], ids=lambda does: does.__name__)
def test_what_an_attempt_did_to_its_view_the_next_one_does_not_find(lab: Lab, does: Callable[[Path], None]) -> None:
    template = everything(lab)
    first = lab.enter(template)
    before = shown(first)
    with lab.as_user():
        does(first)
    lab.leave(first)
    assert not first.exists(), "it is put by before anybody hears of the end"
    second = lab.enter(template)
    assert shown(second) == before
    third_from = lab.views.whole
    lab.leave(second)
    assert shown(lab.enter(template)) == before, "and so once more"
    assert lab.views.whole == third_from
    assert (lab.views.whole, lab.views.restored) == ((1, 2) if does in RESTORED else (2, 1))


def test_of_an_untouched_view_nothing_is_made_again(lab: Lab) -> None:
    template = everything(lab)
    first = lab.enter(template)
    inodes = {path: os.lstat(os.path.join(os.fsencode(first), path)).st_ino for path in shown(first)}
    lab.leave(first)
    second = lab.enter(template)
    assert inodes == {path: os.lstat(os.path.join(os.fsencode(second), path)).st_ino for path in shown(second)}


def test_an_attempt_begins_in_a_later_tick_than_its_view_was_made_in(lab: Lab) -> None:
    """Else a change at once might show no other time."""
    path = lab.enter(lab.template(lab.file(b"a", b"1")))
    assert views.tick() > (path / "a").stat().st_ctime_ns


def test_an_untouched_view_is_not_waited_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    template = everything(lab)
    lab.leave(lab.enter(template))
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("nothing was made"))
    lab.enter(template)
    assert lab.views.restored == 1


def test_where_times_say_nothing_all_is_made_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a clock was set back."""
    monkeypatch.setattr(views, "tick", lambda: 0)
    template = lab.template(lab.file(b"a", b"1"))
    first = lab.enter(template)
    inode = (first / "a").stat().st_ino
    keeps = (first / "a").open("rb")  # so that its inode is not the next one's
    lab.leave(first)
    second = lab.enter(template)
    assert (second / "a").stat().st_ino != inode
    assert (second / "a").read_bytes() == b"1"
    keeps.close()


def test_a_view_that_others_have_taken_is_made_anew(lab: Lab) -> None:
    template = everything(lab)
    first = lab.enter(template)
    before = shown(first)
    lab.leave(first)
    shutil.rmtree(lab.work / LEFT)
    assert shown(lab.enter(template)) == before
    assert (lab.views.whole, lab.views.restored) == (2, 0)


def test_another_upload_gets_another_view_and_what_was_left_stays_for_the_agent(lab: Lab) -> None:
    first = lab.enter(lab.template(lab.file(b"a", b"1")))
    lab.leave(first)
    second = lab.enter(lab.template(lab.file(b"b", b"2")))
    assert set(shown(second)) == {b"b"}
    assert os.listdir(lab.work / LEFT) == [first.name]


def test_of_each_the_task_finds_its_file_alone(lab: Lab) -> None:
    template = lab.template(lab.file(b"in/a", b"1"), lab.file(b"in/b", b"2"), lab.file(b"z", b"3"), each=True)
    seen = []
    for file in (b"in/b", b"z", b"in/a"):
        path = lab.enter(template, file=file)
        seen.append(sorted(shown(path)))
        lab.leave(path)
        assert path.exists(), "nobody finds the same"
    assert seen == [[b"in", b"in/b"], [b"z"], [b"in", b"in/a"]]
    with pytest.raises(InvalidInput, match="there is no file 'in' in it"):
        lab.enter(template, file=b"in")


def test_beside_its_file_each_task_finds_all_of_another_tree(lab: Lab) -> None:
    for_all = lab.tree(lab.file(b"in/words", b"w"), lab.file(b"run.sh", b"#!", 0o755), lab.file(b"z/deep/x", b"x"))
    template = lab.template(lab.file(b"in/a", b"1"), lab.file(b"in/b", b"2"), each=True, beside=for_all)
    for own in (b"in/b", b"in/a"):
        path = lab.enter(template, file=own)
        files = {name for name, (mode, _) in shown(path).items() if stat.S_ISREG(mode)}
        assert files == {own, b"in/words", b"run.sh", b"z/deep/x"}
        lab.leave(path)


def test_shared_files_are_one_copy_that_jobs_cannot_write(lab: Lab) -> None:
    """Programs are copies, since a link has the one copy's mode; so is all where jobs are our own user."""
    files = lab.file(b"data", b"1" * 10), lab.file(b"in/run", b"#!", 0o755)
    template = lab.template(*files, Entry(b"none", EntryKind.FILE, 0o600, 0, sha256().digest()), shared=True)
    path = lab.enter(template)
    content = Path(content_path(str(lab.contents), sha256(b"1" * 10).hexdigest()))
    assert (path / "data").samefile(content) == (lab.owner is not None)
    assert (path / "data").read_bytes() == b"1" * 10
    assert (path / "in/run").stat().st_mode & 0o777 == 0o755
    assert (path / "none").read_bytes() == b"", "of an empty file nothing is in any cache"
    if lab.owner:
        with as_nobody():
            with pytest.raises(PermissionError):
                (path / "data").write_bytes(b"2")
            with pytest.raises(PermissionError):
                (path / "data").chmod(0o644)
            (path / "data").unlink()  # it may be replaced
            (path / "data").write_bytes(b"2")
        assert content.read_bytes() == b"1" * 10


@pytest.mark.parametrize("lab", OWNERS[1:], indirect=True, ids=["nobody"])
def test_no_link_is_made_in_a_directory_that_is_not_the_jobs_users(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another attempt of the same user may put a link in the place of a directory, just before."""
    template = lab.template(lab.file(b"in/data", b"1"), shared=True)
    theirs = lab.work.parent / "theirs"
    theirs.mkdir(mode=0o755)
    made = views._Made.make

    def swaps(self: views._Made, root: int, *rest: object, **options: object) -> list[Entry]:
        linked = made(self, root, *rest, **options)  # type: ignore[arg-type]
        os.rmdir("in", dir_fd=root)
        os.symlink(theirs, "in", dir_fd=root)
        return linked

    monkeypatch.setattr(views._Made, "make", swaps)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        lab.enter(template)
    assert os.listdir(theirs) == []


def test_what_is_missing_or_damaged_in_the_cache_is_said(lab: Lab) -> None:
    template = lab.template(lab.file(b"a", b"1" * 10))
    path = Path(content_path(str(lab.contents), sha256(b"1" * 10).hexdigest()))
    path.chmod(0o600)
    path.write_bytes(b"1" * 9)
    path.chmod(0o444)
    with pytest.raises(ContentMissing, match="a is damaged in this worker's cache"):
        lab.enter(template)
    path.unlink()
    with pytest.raises(ContentMissing, match="not in this worker's cache any more"):
        lab.enter(template)


@pytest.mark.parametrize("fails_at", range(11))
def test_a_view_that_could_not_be_made_whole_is_never_used_again(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    template = everything(lab)
    before = shown(lab.enter(template))
    count = 0
    for name in ("mkdir", "symlink", "open"):
        real = getattr(os, name)

        def fails(*args: object, real: Callable[..., object] = real, **options: object) -> object:
            nonlocal count
            count += "dir_fd" in options
            if count > fails_at:
                raise OSError(28, "No space left on device")
            return real(*args, **options)

        monkeypatch.setattr(os, name, fails)
    lab.views = Views(lab.owner, lab.as_user)
    path = lab.work / "0.99"
    with pytest.raises(OSError, match="No space left"):
        lab.views.enter(str(path), template, b"")
    monkeypatch.undo()
    lab.leave(path)
    assert not (lab.work / LEFT).exists()
    assert shown(lab.enter(template)) == before
