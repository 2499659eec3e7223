"""Power cuts in the moment in which somebody is told that output is kept: it is there afterwards, all of it.

A cut is a copy of what the kernel has given to the disk by then: a file system in a file, whose file is copied while it
is in use. What was only written, and is still in memory, is not in there; mounted again, its journal is gone through as
after any cut. (What a disk itself has in memory and calls written is not looked at.)
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.records import OkEnds, TaskEnd
from cluster.domain.job.states import TaskState
from cluster.scheduler.output.files import NewOutput, OutputFiles
from cluster.store.interface import Item
from cluster.store.sqlite.store import SqliteStore, stored_cluster_id
from tests.integration.workers import Site, at_site
from tests.small_disk import ext4, image_of, mounted

SIZE = 3_000_000  # bytes: no small output, and less than the kernel writes by itself
SCRIPT = "head -c {} /dev/urandom; echo the end >&2"

pytestmark = pytest.mark.slow


class Cut:
    """Of the file system at `path`, by the first call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.image = image_of(path.with_name("cut"))

    def __call__(self) -> None:
        if not self.image.exists():
            shutil.copyfile(image_of(self._path), self.image)


async def run_one(site: Site, size: int) -> tuple[bytes, bytes]:
    """Its stdout and stderr, as they were kept in the end."""
    worker = await site.worker().started()
    job = await site.user.submit("sh", "-c", SCRIPT.format(size))
    assert (await site.user.wait(str(job.number)))[0].exit_code == 0
    await worker.stop()
    out = await site.user.text(str(job.number), stderr=False)
    err = await site.user.text(str(job.number), stdout=False)
    return out, err


def test_what_a_worker_reported_survives_its_power_cut(tmp_path: Path) -> None:
    """The report says how large the output is; the scheduler has it not yet."""
    kept: list[tuple[bytes, bytes]] = []
    with ext4(tmp_path / "worker", 64) as disk:
        cut = Cut(disk)

        async def body(site: Site) -> None:
            commit = site.cluster.store.commit

            def cut_first(items: Sequence[Item]) -> None:
                if any(isinstance(item, OkEnds | TaskEnd) for item in items):
                    cut()
                commit(items)

            site.cluster.store.commit = cut_first  # type: ignore[method-assign]
            kept.append(await run_one(site, SIZE))

        at_site(tmp_path, body)
    with mounted(cut.image, tmp_path / "after") as after:
        found = [(after / "jobs" / "1" / f"0.1.{suffix}").read_bytes() for suffix in ("out", "err")]
    ((out, err),) = kept
    assert (len(out), err) == (SIZE, b"the end\n")
    assert found == [out, err]


def test_what_a_scheduler_took_in_survives_its_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker forgets it as soon as it hears of that. The second one's directory was there."""
    took: list[Path] = []
    kept: list[bytes] = []
    with ext4(tmp_path / "scheduler", 64) as disk:
        cut, keep = Cut(disk), NewOutput.keep

        def keep_and_cut(output: NewOutput) -> None:
            keep(output)
            took.append(output._paths[False])
            if len(took) == 2:
                cut()

        monkeypatch.setattr(NewOutput, "keep", keep_and_cut)

        async def body(site: Site) -> None:
            worker = await site.worker().started()
            await site.user.submit("sh", "-c", SCRIPT.format(SIZE), array=(ArraySegment(1, 2),), millicpus=2000)
            await site.user.wait("1")
            await worker.stop()
            kept.extend([await site.user.text(f"1.{task}", stderr=False) for task in (1, 2)])

        at_site(tmp_path, body)
    with mounted(cut.image, tmp_path / "after") as after:
        files = OutputFiles(after / "outputs")
        for index, out in enumerate(kept):
            key = AttemptKey(1, index, 1)
            assert files.has(key)
            assert b"".join(data for data, _ in files.read(key, False)) == out
            assert b"".join(data for data, _ in files.read(key, True)) == b"the end\n"
            assert len(out) == SIZE


def test_small_output_and_the_end_that_it_came_with_survive_a_power_cut_of_the_scheduler(tmp_path: Path) -> None:
    kept: list[tuple[bytes, bytes]] = []
    with ext4(tmp_path / "scheduler", 64) as disk:
        cut = Cut(disk)

        async def body(site: Site) -> None:
            commit = site.cluster.store.commit

            def commit_and_cut(items: Sequence[Item]) -> None:
                commit(items)
                if any(isinstance(item, OkEnds | TaskEnd) for item in items):
                    cut()

            site.cluster.store.commit = commit_and_cut  # type: ignore[method-assign]
            kept.append(await run_one(site, 1000))

        at_site(tmp_path, body)
    with mounted(cut.image, tmp_path / "after") as after:
        path = after / "cluster.db"
        store = SqliteStore(path, stored_cluster_id(path) or "")
        assert not store.load().jobs, "an ended job is found by its number"
        (progress,) = store.progress_of([1])
        (output,) = store.small_outputs(1, 0, 1)
        assert progress.ended_at
        assert progress.sets.of(TaskState.SUCCEEDED) == (0, 1)
        assert kept == [(output.stdout, output.stderr)]
        store.close()
