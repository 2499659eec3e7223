"""A scheduler is backed up while it runs, and goes on elsewhere as of then: nothing runs twice, and no worker takes a
new job for one that the backup does not know."""

import json
import os
import stat
import tarfile
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from cluster.domain.base.errors import ClusterError, Conflict, InvalidInput, NotFound, Unusable
from cluster.domain.files.pieces import SMALL
from cluster.domain.session.messages import Assign, Disown
from cluster.pki.authority import create_authority
from cluster.scheduler import backup as backups
from cluster.scheduler.backup import back_up, check, restore
from cluster.store.contents.store import StoredContents
from cluster.store.sqlite.restoring import LEAST_JOBS
from cluster.store.sqlite.store import SqliteStore
from tests.integration.schedulers import Cluster, in_cluster, one, running
from tests.integration.test_scheduler_deleting import run_one


def backed_up(tmp_path: Path) -> Path:
    """Of a scheduler that has stopped since."""
    file = tmp_path / "backup"

    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker()
        await worker.connect()
        await run_one(user, worker, b"x" * 20_000)
        back_up(cluster.directory, file)

    in_cluster(tmp_path / "before", body)
    return file


def test_what_is_restored_goes_on_and_runs_nothing_twice(tmp_path: Path) -> None:
    async def body(cluster: Cluster) -> None:
        user, worker = cluster.user(), cluster.worker(millicpus=2000)
        await worker.connect()
        await run_one(user, worker, b"x" * 20_000)
        await user.submit("runs")
        kept: Assign = await worker.hear(Assign)
        await worker.report(started=(kept.attempts,))
        await user.submit("waits", after=("2",))
        made = back_up(cluster.directory, tmp_path / "backup")
        assert (made.cluster_id, stat.S_IMODE((tmp_path / "backup").stat().st_mode)) == (
            cluster.authority.cluster_id,
            0o600,
        )
        lost = await user.submit("not in the backup")
        since: Assign = await worker.hear(Assign)
        assert (lost.number, since.attempts.job) == (4, 4)
        epoch = worker.welcome.epoch
        await cluster.stop()  # and never starts again
        done = restore(tmp_path / "backup", tmp_path / "after", time.time())
        assert (done.cluster_id, done.paused) == (made.cluster_id, 2)
        assert done.next_job >= LEAST_JOBS
        assert check(tmp_path / "after") == []
        async with running(tmp_path / "after", lease=1000.0) as again:
            user, worker = again.user(), again.worker(millicpus=2000)
            assert await user.text("1") == b"x" * 20_000
            await worker.connect(running=[kept.attempts, one(4)])
            assert worker.welcome.epoch > epoch + 1000
            disown: Disown = await worker.hear(Disown)
            assert [attempts.job for attempts in disown.attempts] == [4]
            await worker.finish(kept)  # what the backup knows of ends as it would have
            assert (await user.get("2")).job.state == 6
            waits = (await user.get("3")).job
            assert waits.pause.by == "restore"
            assert "this may have run since" in waits.pause.reason
            with pytest.raises(NotFound, match="there is no job 4: if it came after the backup of 20"):
                await user.get("4")
            new = await user.submit("new")
            assert new.number == done.next_job
            assert (await worker.hear(Assign)).attempts.job == new.number  # and not job 3
        await cluster.start()  # for the test's own end

    in_cluster(tmp_path / "before", body)


def truncated(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def changed(file: Path) -> None:
    data = bytearray(file.read_bytes())
    at = data.rindex(b"x" * 1000)
    data[at] ^= 1
    file.write_bytes(data)


def without_its_end(file: Path) -> None:
    with tarfile.open(file) as archive:
        at = archive.getmember("sums.json").offset
    os.truncate(file, at)
    with file.open("ab") as end:
        end.write(b"\0" * 1024)


def something_else(file: Path) -> None:
    file.write_bytes(b"no archive")


def of_another_kind(file: Path) -> None:
    with tarfile.open(file, "w") as archive:
        archive.add(__file__, "../../etc/passwd")


@pytest.mark.parametrize("spoil", [truncated, changed, without_its_end, something_else, of_another_kind])
def test_what_is_no_whole_backup_is_refused_and_nothing_is_left(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    file = backed_up(tmp_path)
    spoil(file)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InvalidInput, match=r"is no whole backup of a scheduler: .*; nothing was restored"):
        restore(file, tmp_path / "after", time.time())
    assert sorted(tmp_path.iterdir()) == before


def test_a_backup_of_another_cluster_is_told_as_that(tmp_path: Path) -> None:
    """Where one is there already; and one that mixes two is refused."""
    file = backed_up(tmp_path)
    theirs = create_authority(tmp_path / "ca.pem", "0123456789abcdef", time.time())
    SqliteStore(tmp_path / "theirs.db", theirs.cluster_id).close()
    (tmp_path / "there").mkdir()
    (tmp_path / "theirs.db").rename(tmp_path / "there" / "cluster.db")
    said = r"there holds the scheduler of cluster 0123456789abcdef, and .*/backup is a backup of another cluster, "
    with pytest.raises(Conflict, match=said):
        restore(file, tmp_path / "there", time.time())
    (tmp_path / "before" / "ca.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
    back_up(tmp_path / "before", tmp_path / "mixed")
    with pytest.raises(
        InvalidInput, match=r"its CA is of another cluster, 0123456789abcdef, and not of .*; nothing was"
    ):
        restore(tmp_path / "mixed", tmp_path / "after", time.time())
    assert not (tmp_path / "after").exists()


def test_a_directory_that_holds_anything_is_left_alone(tmp_path: Path) -> None:
    file = backed_up(tmp_path)
    with pytest.raises(Conflict, match=r"before holds the scheduler of cluster [0-9a-f]{16}: stop what"):
        restore(file, tmp_path / "before", time.time())
    other = tmp_path / "other"
    other.mkdir()
    (other / "x").touch()
    with pytest.raises(Conflict, match="other is not empty"):
        restore(file, other, time.time())
    with pytest.raises(NotFound, match="there is no backup"):
        restore(tmp_path / "none", tmp_path / "after", time.time())
    (other / "x").unlink()
    first = restore(file, other, 1e9)
    assert restore(file, tmp_path / "again", time.time()).epoch > first.epoch


def test_a_backup_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = backed_up(tmp_path)
    with pytest.raises(Conflict, match="is there already"):
        back_up(tmp_path / "before", file)
    with pytest.raises(NotFound, match="there is no scheduler in"):
        back_up(tmp_path / "none", tmp_path / "two")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(backups, "_add_file", full)
        with pytest.raises(Unusable, match="two cannot be written: No space left on device"):
            back_up(tmp_path / "before", tmp_path / "two")
    with monkeypatch.context() as patch:
        patch.setattr(backups, "_keep", full)
        with pytest.raises(Unusable, match="after cannot be made: No space left on device"):
            restore(file, tmp_path / "after", time.time())
    assert sorted(tmp_path.iterdir()) == before


def test_a_check_says_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    backed_up(tmp_path)
    directory = tmp_path / "before"
    assert check(directory) == []
    (directory / "outputs" / "77").mkdir()
    (directory / "admin.pem").chmod(0o644)
    (wrong,) = check(directory)
    assert wrong.endswith(f"may be read by others: chmod 600 {directory / 'admin.pem'}")
    (directory / "admin.pem").chmod(0o600)
    (wrong,) = check(directory)
    assert "holds files of 1 jobs that are not there (77): run cluster prune" in wrong
    (directory / "outputs" / "77").rmdir()
    contents = StoredContents(directory, reserve=0)
    large = sha256(bytes(SMALL + 1)).digest()
    with contents.new("user/ann", large, SMALL + 1, 0) as new:
        new.write(bytes(SMALL + 1))
        new.keep()
    contents.use("job", "user/ann", plain=[large])
    contents.close()
    assert check(directory) == []
    next((directory / "contents").glob("??/*")).unlink()
    (wrong,) = check(directory)
    assert f"lacks a file of uploads or results ({large.hex()[:16]}): bring back from a backup" in wrong
    database = directory / "cluster.db"
    data = bytearray(database.read_bytes())
    data[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    database.write_bytes(data)
    assert any("bring it back from a backup" in line for line in check(directory))
    with pytest.raises(NotFound):
        check(tmp_path / "none")
    assert issubclass(NotFound, ClusterError)
    assert json.dumps(check(directory))
