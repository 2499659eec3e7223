"""A disk of its own, a tmpfs of a few MiB, to be filled to the last byte and freed again."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import pytest

_PIECE = 1 << 20
_LEAST = 4096  # bytes; a page: what a tmpfs gives at once


class SmallDisk:
    """Mounted at `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast, self._files = path / "ballast", path / "files"

    def fill(self, leave: int = 0) -> None:
        """Until nothing more fits, whatever anybody frees just then; or but for `leave` bytes."""
        with open(self._ballast, "ab", buffering=0) as file:
            size = _PIECE
            while size >= _LEAST:
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2
            file.truncate(max(0, file.tell() - leave))

    def fill_inodes(self, leave: int = 0) -> None:
        """Until no more file can be made, but for `leave`."""
        self._files.mkdir(exist_ok=True)
        with suppress(OSError):
            while os.statvfs(self.path).f_ffree > leave:
                (self._files / f"{time.time_ns()}").touch()

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)
        shutil.rmtree(self._files, ignore_errors=True)

    @property
    def left(self) -> int:
        """Bytes."""
        status = os.statvfs(self.path)
        return status.f_bavail * status.f_frsize


@contextmanager
def small_disk(path: Path, mebibytes: int, inodes: int | None = None) -> Iterator[SmallDisk]:
    """Skips the test where nothing can be mounted."""
    if not _may_mount():
        pytest.skip("needs a disk of its own: run the tests as root, where a tmpfs can be mounted")
    path.mkdir(parents=True, exist_ok=True)
    options = f"size={mebibytes}m,mode=700" + (f",nr_inodes={inodes}" if inodes else "")
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "cluster-test", str(path)], check=True)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)  # what still runs there may end later


@contextmanager
def ext4(path: Path, mebibytes: int) -> Iterator[Path]:
    """A file system in a file (`image_of`), with what a tmpfs has not: a journal, and blocks that are written late.
    Skips the test where that cannot be had."""
    if not _may_mount() or not shutil.which("mkfs.ext4"):
        pytest.skip("needs root, loop devices and mkfs.ext4: apt-get install e2fsprogs")
    with image_of(path).open("wb") as file:
        file.truncate(mebibytes << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image_of(path))], check=True)
    with mounted(image_of(path), path):
        path.chmod(0o700)
        yield path


def image_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.image")


@contextmanager
def mounted(image: Path, path: Path) -> Iterator[Path]:
    """Whose journal is written when somebody syncs, and not by itself each 5 s."""
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "ext4", "-o", "loop,commit=900", str(image), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"needs loop devices: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@cache
def _may_mount() -> bool:
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "cluster-test", "/mnt"]
    return os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
