"""What an attempt does to its output file and its directory, the next one in its slot does not notice."""

import fcntl
import os
import signal
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.domain.launcher.template import Item, Template
from cluster.launcher import blanks
from cluster.launcher.blanks import BlankDirectory, BlankFile
from cluster.launcher.slot_protocol import handed_attempt
from cluster.launcher.spawn import Spawner
from tests.integration.launchers import Lab, run

pytestmark = pytest.mark.slow

# A version, then entries of tag, permissions and id: what `setfacl -d -m u:1234:rwx` writes.
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry) for entry in ((1, 7, -1 & 0xFFFFFFFF), (2, 7, 1234), (4, 0, -1 & 0xFFFFFFFF),
                                              (16, 7, -1 & 0xFFFFFFFF), (32, 0, -1 & 0xFFFFFFFF))
)  # fmt: skip
Harm = Callable[[Path], object]


def _both(first: Harm, second: Harm) -> Harm:
    def harm(path: Path) -> None:
        first(path)
        second(path)

    return harm


def _remove(path: Path) -> None:
    (path.rmdir if path.is_dir() else path.unlink)()


HARMS: dict[str, Harm] = {
    "mode": lambda path: path.chmod(0o777),
    "mode and back": _both(lambda path: path.chmod(0o777), lambda path: path.chmod(0o700 if path.is_dir() else 0o600)),
    "attribute": lambda path: os.setxattr(path, "user.mine", b"x"),
    "access list": lambda path: os.setxattr(path, "system.posix_acl_access", ACL),
    "removed": _remove,
}
OF_FILES: dict[str, Harm] = {
    "link": lambda path: os.link(path, f"{path}-link"),
    "content": lambda path: path.write_text("x"),
    "content and back": _both(lambda path: path.write_text("x"), lambda path: os.truncate(path, 0)),
    "symbolic link": _both(_remove, lambda path: path.symlink_to("elsewhere")),
    "fifo": _both(_remove, os.mkfifo),
    "another file": _both(_remove, lambda path: path.write_text("")),
    "directory": _both(_remove, os.mkdir),
}
OF_NAMELESS: dict[str, Harm] = {
    **{name: harm for name, harm in HARMS.items() if name != "removed"},
    "content": lambda path: path.write_text("x"),
    "content and back": _both(lambda path: path.write_text("x"), lambda path: os.truncate(path, 0)),
}
OF_DIRECTORIES: dict[str, Harm] = {
    "default access list": lambda path: os.setxattr(path, "system.posix_acl_default", ACL),
    "content": lambda path: (path / "file").write_text("x"),
    "content and back": _both(lambda path: (path / "file").write_text("x"), lambda path: (path / "file").unlink()),
    "symbolic link": _both(_remove, lambda path: path.symlink_to("/")),
    "another directory": _both(_remove, os.mkdir),
}
both_times = pytest.mark.parametrize("late", [False, True], ids=["while it runs", "between two"])


@pytest.mark.parametrize("harm", [*HARMS, *OF_FILES])
def test_the_next_output_file_is_fresh(tmp_path: Path, harm: str) -> None:
    """After one that has its name, which its job, of our own user, can reach by that."""
    blank, first, second = BlankFile(None), tmp_path / "1", tmp_path / "2"
    fd = _opened(blank, first)
    blank.name(str(first))
    _do({**HARMS, **OF_FILES}[harm], first)
    os.close(fd)
    blank.ended(str(first))
    _is_fresh(blank, second)


@pytest.mark.parametrize("harm", [*OF_NAMELESS])
def test_what_a_job_does_to_a_file_without_a_name_the_next_does_not_notice(tmp_path: Path, harm: str) -> None:
    blank, first, second = BlankFile(None), tmp_path / "1", tmp_path / "2"
    fd = _opened(blank, first)
    handle = os.open(f"/proc/self/fd/{fd}", os.O_PATH)  # does not count as having it open
    os.close(fd)
    _do(OF_NAMELESS[harm], Path(f"/proc/self/fd/{handle}"))
    size = os.fstat(handle).st_size
    assert blank.ended(str(first)) == size
    assert first.exists() == bool(size)
    assert os.fstat(handle).st_ino != _is_fresh(blank, second)
    os.close(handle)


@pytest.mark.parametrize("harm", [*HARMS, *OF_DIRECTORIES])
@both_times
def test_the_next_directory_is_fresh(tmp_path: Path, harm: str, late: bool) -> None:
    blank, first, second = BlankDirectory(None), tmp_path / "1", tmp_path / "2"
    blank.enter(str(first))
    if late:
        blank.ended(str(first))
    _do({**HARMS, **OF_DIRECTORIES}[harm], first)
    if not late:
        blank.ended(str(first))
    blank.enter(str(second))
    assert second.lstat().st_mode == 0o040700
    assert not [name for name in os.listxattr(second) if not name.startswith("security.")]
    assert not list(second.iterdir())


def test_a_file_that_somebody_has_open_is_not_used_again(tmp_path: Path) -> None:
    """A job may have sent its stdout to any process; and whoever reads it must not read another's."""
    for flags, lock in ((os.O_WRONLY, None), (os.O_RDONLY, None), (os.O_RDWR, fcntl.LOCK_EX)):
        blank, first, second = BlankFile(None), tmp_path / f"1{flags}", tmp_path / f"2{flags}"
        fd = _opened(blank, first)
        kept = os.open(f"/proc/self/fd/{fd}", flags)
        if lock is not None:
            fcntl.flock(kept, lock)
        os.close(fd)
        _is_not_used_again(blank, first, second, kept)


def test_a_file_that_a_job_has_sent_to_another_process_is_not_used_again(tmp_path: Path) -> None:
    """What was sent, by a socket, is one and the same open file, not another one of the same inode."""
    blank, first, second = BlankFile(None), tmp_path / "1", tmp_path / "2"
    fd = _opened(blank, first)
    kept = os.dup(fd)
    os.close(fd)
    _is_not_used_again(blank, first, second, kept)


def _is_not_used_again(blank: BlankFile, first: Path, second: Path, kept: int) -> None:
    assert blank.ended(str(first)) == 0
    fd = _opened(blank, second)
    assert os.fstat(fd).st_ino != os.fstat(kept).st_ino
    with suppress(OSError):  # it was opened to be read
        os.write(kept, b"from elsewhere")
    blank.name(str(second))
    assert second.read_bytes() == b""
    os.close(kept)
    os.close(fd)
    blank.tidy()


def test_what_nobody_has_touched_is_used_again_and_never_named(tmp_path: Path) -> None:
    files, directories = BlankFile(None), BlankDirectory(None)
    seen = set()
    here = os.getcwd()
    try:
        for name in "abc":
            fd = _opened(files, tmp_path / name)
            directories.enter(str(tmp_path / f"{name}-cwd"))
            seen.add((os.fstat(fd).st_ino, (tmp_path / f"{name}-cwd").stat().st_ino))
            os.close(fd)
            files.ended(str(tmp_path / name))
            directories.ended(str(tmp_path / f"{name}-cwd"))
            assert [path.name for path in tmp_path.iterdir()] == [f"{name}-cwd"]
    finally:
        os.chdir(here)
    assert len(seen) == 1
    files.tidy()
    directories.tidy()
    assert not list(tmp_path.iterdir())


def test_a_blank_file_goes_from_directory_to_directory_and_what_is_in_one_is_found(tmp_path: Path) -> None:
    """Also where the agent has removed a directory, which was empty, meanwhile."""
    blank = BlankFile(None)
    seen = set()
    for job in ("1", "2"):
        fd = _opened(blank, tmp_path / job / "0.1.out")
        seen.add(os.fstat(fd).st_ino)
        os.close(fd)
        assert blank.ended(str(tmp_path / job / "0.1.out")) == 0
        (tmp_path / job).rmdir()
    fd = _opened(blank, tmp_path / "2" / "1.1.out")
    os.write(fd, b"mine")
    os.close(fd)
    assert blank.ended(str(tmp_path / "2" / "1.1.out")) == 4
    assert (tmp_path / "2" / "1.1.out").read_text() == "mine"
    assert len({*seen, (tmp_path / "2" / "1.1.out").stat().st_ino}) == 1


def test_what_one_job_has_left_is_not_anothers(tmp_path: Path) -> None:
    """A descriptor that is open as a place alone hinders no lease: by it the file could be opened anew, later."""
    here = os.getcwd()
    spawner = Spawner("1-1", (None, None), lambda: None)
    try:
        mine, anothers = (_template(tmp_path, job) for job in (5, 6))
        kept = [_places_of_one(spawner, job, n) for n, job in enumerate((mine, mine, anothers, mine))]
        spawner.tidy()
    finally:
        os.chdir(here)
    for stream in zip(*kept, strict=True):
        first, second, of_another, back = (os.fstat(fd).st_ino for fd in stream)
        assert first == second
        assert len({second, of_another, back}) == 3
    for fd in (fd for places in kept for fd in places):
        os.close(fd)
    assert not [path for path in tmp_path.rglob("*") if path.name[0] in "0123"]


def _template(directory: Path, job: int) -> Template:
    """In a place that all share, as jobs of a worker's own do."""
    outputs, cwd = directory / "outputs", directory / "work"
    outputs.mkdir(exist_ok=True)
    env = (("PATH", os.environ["PATH"]), ("CLUSTER_JOB", str(job)))
    return Template(("sleep", "1000"), env, str(outputs), str(cwd), fresh_cwd=True)


def _places_of_one(spawner: Spawner, template: Template, number: int) -> tuple[int, int, int]:
    """An attempt that changes nothing: its two files and its directory, held as places alone."""
    job = dict(template.env)["CLUSTER_JOB"]
    running = spawner.start(
        handed_attempt(Item(f"{job}.{number}#1", number), b""), template, lambda: False, nameless=True
    )
    stdout, stderr, cwd = (os.open(f"/proc/{running.pid}/{place}", os.O_PATH) for place in ("fd/1", "fd/2", "cwd"))
    os.kill(running.pid, signal.SIGKILL)
    os.waitpid(running.pid, 0)
    assert spawner.ended(running) == (0, 0)
    return stdout, stderr, cwd


def test_no_output_is_written_over_when_a_file_gets_its_name(tmp_path: Path) -> None:
    blank, path = BlankFile(None), tmp_path / "1"
    fd = _opened(blank, path)
    os.write(fd, b"mine")
    os.close(fd)
    path.write_text("another's")
    with pytest.raises(FileExistsError):
        blank.ended(str(path))
    assert path.read_text() == "another's"


def test_where_no_file_can_be_without_a_name_each_is_made_under_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blanks, "_NAMELESS", os.O_WRONLY | os.O_DIRECTORY)  # EISDIR, as of a kernel without these
    blank = BlankFile(None)
    fd = blank.open(str(tmp_path), "1", nameless=True)
    os.write(fd, b"mine")
    os.close(fd)
    blank.name(str(tmp_path / "1"))
    assert blank.ended(str(tmp_path / "1")) == 4
    os.close(blank.open(str(tmp_path), "2", nameless=True))
    assert blank.ended(str(tmp_path / "2")) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def _opened(blank: BlankFile, path: Path) -> int:
    fd = blank.open(str(path.parent), path.name, nameless=True)
    assert not path.exists(), "this file system has no files without names"
    return fd


def _is_fresh(blank: BlankFile, path: Path) -> int:
    """Ends that attempt, too; answers the inode of its file."""
    fd = _opened(blank, path)
    status, attributes = os.fstat(fd), os.listxattr(fd)
    os.write(fd, b"mine")
    os.close(fd)
    assert (status.st_mode, status.st_nlink, status.st_size) == (0o100600, 0, 0)
    assert not [name for name in attributes if not name.startswith("security.")]
    assert blank.ended(str(path)) == 4
    assert path.lstat().st_ino == status.st_ino
    assert path.read_text() == "mine"
    return status.st_ino


def _do(harm: Harm, path: Path) -> None:
    try:
        harm(path)
    except OSError as e:
        pytest.skip(f"this file system has no such attributes: {e.strerror}")


# Says what is wrong with what it was given; then its own number, or it does harm.
HOSTILE = """
exec 3>&1
[ "$(stat -Lc %a.%s /proc/self/fd/3)" = 600.0 ] || echo "not fresh: $(stat -Lc %a.%s /proc/self/fd/3)"
[ "$(stat -c %a .)$(ls -A)" = 700 ] || echo "not fresh: $(ls -lA . ..)"
case $((CLUSTER_TASK % 5)) in
  0) echo $CLUSTER_TASK ;;
  1) chmod 777 . /proc/self/fd/3 ;;
  2) touch left ;;
  3) mkdir left; rmdir left ;;
esac
"""


@pytest.mark.parametrize("uid", [None, 65534])
def test_no_output_is_mixed_with_anothers(uid: int | None) -> None:
    if uid is not None and os.geteuid() != 0:
        pytest.skip("only root can run a command as somebody else")
    with tempfile.TemporaryDirectory() as root:  # where another user may go
        Path(root).chmod(0o711)
        lab = Lab(Path(root))

        async def main() -> None:
            async with lab.agent() as agent:
                template = lab.shell(HOSTILE, cwd=f"{root}/cwd", fresh_cwd=True, uid=uid, gid=uid)
                numbers = range(1, 201)
                agent.client.start(agent.client.define(template), [Item(f"1.{n}#1", n) for n in numbers])
                await agent.until(lambda: len(agent.ends()) == len(numbers))
                assert {end.reason for end in agent.ends().values()} == {"ok"}
                said: dict[str, str] = {}
                for path in lab.outputs.iterdir():
                    with suppress(FileNotFoundError):  # blank, and just being removed
                        said |= {path.name: path.read_text()} if path.stat().st_size else {}
                assert said == {f"{n}.1.out": f"{n}\n" for n in numbers if n % 5 == 0}

        run(main())
