"""Private files on a bad day: a disk that fills, a process that is killed, a machine that loses power."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.domain.errors import ClusterError
from cluster.pki.files import private_directory, the_only_one, write_private
from tests.faults import BAD_DAYS, Fault, bad_days, no_file_may_exceed, record_syncs


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


def test_a_lock_on_a_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    with (
        no_file_may_exceed(0),
        pytest.raises(ClusterError, match=r"worker\.lock cannot be written: File too large"),
        the_only_one("worker", tmp_path / "worker.lock"),
    ):
        raise AssertionError("it was taken")
