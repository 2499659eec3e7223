"""What an attempt does to its output file and its directory, the next one in its slot does not notice."""

import fcntl
import os
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.domain.launcher.messages import Item
from cluster.launcher.blanks import BlankDirectory, BlankFile
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
OF_DIRECTORIES: dict[str, Harm] = {
    "default access list": lambda path: os.setxattr(path, "system.posix_acl_default", ACL),
    "content": lambda path: (path / "file").write_text("x"),
    "content and back": _both(lambda path: (path / "file").write_text("x"), lambda path: (path / "file").unlink()),
    "symbolic link": _both(_remove, lambda path: path.symlink_to("/")),
    "another directory": _both(_remove, os.mkdir),
}
both_times = pytest.mark.parametrize("late", [False, True], ids=["while it runs", "between two"])


@pytest.mark.parametrize("harm", [*HARMS, *OF_FILES])
@both_times
def test_the_next_output_file_is_fresh(tmp_path: Path, harm: str, late: bool) -> None:
    blank, first, second = BlankFile(None), tmp_path / "1", tmp_path / "2"
    fd = blank.open(str(first))
    os.close(fd)
    if late:
        blank.ended(str(first))
    _do({**HARMS, **OF_FILES}[harm], first)
    if not late:
        blank.ended(str(first))
    fd = blank.open(str(second))
    status, attributes = os.fstat(fd), os.listxattr(fd)
    os.write(fd, b"mine")
    os.close(fd)
    assert (status.st_mode, status.st_nlink, status.st_size) == (0o100600, 1, 0)
    assert not [name for name in attributes if not name.startswith("security.")]
    assert second.lstat().st_ino == status.st_ino
    assert second.read_text() == "mine"
    assert blank.ended(str(second)) == 4


@pytest.mark.parametrize("harm", [*HARMS, *OF_DIRECTORIES])
@both_times
def test_the_next_directory_is_fresh(tmp_path: Path, harm: str, late: bool) -> None:
    blank, first, second = BlankDirectory(None), tmp_path / "1", tmp_path / "2"
    blank.make(str(first))
    if late:
        blank.ended(str(first))
    _do({**HARMS, **OF_DIRECTORIES}[harm], first)
    if not late:
        blank.ended(str(first))
    blank.make(str(second))
    assert second.lstat().st_mode == 0o040700
    assert not [name for name in os.listxattr(second) if not name.startswith("security.")]
    assert not list(second.iterdir())


def test_a_file_that_somebody_has_open_is_not_used_again(tmp_path: Path) -> None:
    """A job may have sent its stdout to any process; and whoever reads it must not read another's."""
    for flags, lock in ((os.O_WRONLY, None), (os.O_RDONLY, None), (os.O_RDWR, fcntl.LOCK_EX)):
        blank, first, second = BlankFile(None), tmp_path / f"1{flags}", tmp_path / f"2{flags}"
        os.close(blank.open(str(first)))
        kept = os.open(first, flags)
        if lock is not None:
            fcntl.flock(kept, lock)
        blank.ended(str(first))
        fd = blank.open(str(second))
        assert os.fstat(fd).st_ino != os.fstat(kept).st_ino
        if flags != os.O_RDONLY:
            os.write(kept, b"from elsewhere")
        assert second.read_bytes() == b""
        os.close(kept)
        os.close(fd)
        blank.tidy()


def test_what_nobody_has_touched_is_used_again(tmp_path: Path) -> None:
    files, directories = BlankFile(None), BlankDirectory(None)
    seen = set()
    for name in "abc":
        fd = files.open(str(tmp_path / name))
        directories.make(str(tmp_path / f"{name}-cwd"))
        seen.add((os.fstat(fd).st_ino, (tmp_path / f"{name}-cwd").stat().st_ino))
        os.close(fd)
        files.ended(str(tmp_path / name))
        directories.ended(str(tmp_path / f"{name}-cwd"))
    assert len(seen) == 1
    files.tidy()
    directories.tidy()
    assert not list(tmp_path.iterdir())


def _do(harm: Harm, path: Path) -> None:
    try:
        harm(path)
    except OSError as e:
        pytest.skip(f"this file system has no such attributes: {e.strerror}")


# Says what is wrong with what it was given; then its own number, or it does harm.
HOSTILE = """
exec 3>&1
[ "$(stat -Lc %a.%h.%s /proc/self/fd/3)" = 600.1.0 ] || echo "not fresh: $(stat -Lc %a.%h.%s /proc/self/fd/3)"
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
