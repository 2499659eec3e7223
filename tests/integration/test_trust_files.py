"""Private files on a bad day: a disk that fills, a process that is killed, a machine that loses power."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.domain.base.errors import ClusterError, Conflict
from cluster.pki.files import private_directory, the_only_one, write_private
from cluster.pki.spare_files import write_with_spare
from tests.faults import BAD_DAYS, Fault, bad_days, no_file_may_exceed, record_syncs
from tests.small_disk import small_disk


@pytest.mark.parametrize("faults", BAD_DAYS)
def test_whatever_the_system_does_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, faults: Sequence[Fault]
) -> None:
    path = tmp_path / "ca.pem"
    written = False

    def day() -> None:
        nonlocal written
        written = False
        with suppress(ClusterError):
            write_private(path, b"new")
            written = True

    path.write_bytes(b"old")
    for first in bad_days(faults, day):
        assert path.read_bytes() in ([b"new"] if written else [b"old", b"new"]), f"{faults} from call {first} on"
        path.write_bytes(b"old")


def test_a_power_cut_takes_no_directory_that_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = record_syncs(monkeypatch)
    private_directory(tmp_path / "state" / "scheduler")
    assert {tmp_path, tmp_path / "state"} <= set(synced)


def test_a_lock_on_a_full_disk_is_taken_all_the_same(tmp_path: Path) -> None:
    """Else a worker could not be started there to send away what fills it."""
    lock = tmp_path / "worker.lock"
    with (
        no_file_may_exceed(0),
        the_only_one("worker", lock),
        pytest.raises(Conflict, match=r"a worker \(pid unknown\) already uses"),
        the_only_one("worker", lock),
    ):
        raise AssertionError("it was taken twice")
    with the_only_one("worker", lock):
        size = lock.stat().st_size
    with no_file_may_exceed(size), the_only_one("worker", lock):  # in place
        assert int(lock.read_text()) == os.getpid()


@pytest.mark.parametrize("faults", BAD_DAYS)
def test_a_file_with_a_spare_holds_the_old_or_the_new_text_whatever_fails(
    tmp_path: Path, faults: Sequence[Fault]
) -> None:
    path = tmp_path / "worker.json"
    write_with_spare(path, b"old")

    def day() -> None:
        with suppress(ClusterError):
            write_with_spare(path, b"new")

    for first in bad_days(faults, day):
        assert path.read_bytes().strip() in {b"old", b"new"}, f"{faults} from call {first} on"
        write_with_spare(path, b"old")


@pytest.mark.slow
def test_a_file_with_a_spare_is_written_on_a_full_disk_as_often_as_one_likes(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 4, inodes=20) as disk:
        path = disk.path / "worker.json"
        write_with_spare(path, b"0")
        disk.fill()
        disk.fill_inodes()
        with pytest.raises(ClusterError, match="No space left"):
            write_private(path, b"1")
        for number in range(1, 50):
            write_with_spare(path, b"%d" % number)
            assert int(path.read_bytes()) == number
            assert disk.left == 0
        assert path.stat().st_mode & 0o777 == 0o600
        disk.free()
        path.with_name(".worker.json.spare").unlink()
        disk.fill()
        disk.fill_inodes()
        with pytest.raises(ClusterError, match="No space left"):
            write_with_spare(path, b"50")
        assert int(path.read_bytes()) == 49
