"""Output that grows beyond what is kept, and beyond what the disk has room for. Real workers."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.worker.output import growth
from cluster.worker.output.files import Outputs
from cluster.worker.output.lanes import Lanes
from tests.integration.fifos import fifo, let_go, reach
from tests.integration.workers import Site, at_site
from tests.small_disk import ext4, small_disk

pytestmark = pytest.mark.slow

MIB = 1 << 20

_LONG = """
import sys
out, begun, go, mebibytes = sys.stdout.buffer.raw, *sys.argv[1:3], int(sys.argv[3])
out.write(b"the beginning\\n")
for _ in range(mebibytes):
    out.write(bytes(1 << 20))
open(begun, "w").write("x")
open(go).read()
out.write(b"the end\\n")
"""

_FILLER = """
import sys, time
out = sys.stdout.buffer.raw
for n in range(int(sys.argv[1])):
    out.write(b"%1048576d" % n)
    time.sleep(0.03)
"""


async def on_disk(path: Path, most: int) -> None:
    """Until the file holds no more than that, of which nobody tells."""

    def look() -> None:
        while path.lstat().st_blocks * 512 > most:
            time.sleep(0.05)

    await asyncio.to_thread(look)


def test_the_middle_of_what_is_too_long_is_freed_while_it_grows(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        begun, go = fifo(tmp_path / "begun"), fifo(tmp_path / "go")
        script = (sys.executable, "-c", _LONG, str(begun), str(go), "100")
        job = await site.user.submit(*script, max_output=2 * MIB)
        reading = asyncio.create_task(site.user.text(str(job.number), follow=True))  # keeps up, and misses nothing
        await reach(begun)
        output = worker.directory / "jobs" / str(job.number) / "0.1.out"
        await on_disk(output, 3 * MIB)
        size = output.lstat().st_size
        assert size == 100 * MIB + 14  # to its job the file is as it was
        late = asyncio.create_task(site.user.text(str(job.number), tail=1, follow=True))
        await let_go(go)
        assert (await late).endswith(b"the end\n")
        await site.user.wait(str(job.number))
        await worker.stop()
        kept = await site.user.text(str(job.number))
        beginning, end = kept[:MIB], kept[-MIB:]
        mark = b"\n[cluster: %d bytes left out here]\n" % (size + 8 - 2 * MIB)
        assert kept == beginning + mark + end
        assert beginning.startswith(b"the beginning\n")
        assert end.endswith(b"\0the end\n")
        followed = await reading
        assert followed.startswith(b"the beginning\n")
        assert followed.endswith(b"the end\n")

    at_site(tmp_path, body)


def test_who_fills_the_disk_fails_no_neighbour(tmp_path: Path) -> None:
    async def body(site: Site) -> None:
        with small_disk(tmp_path / "worker", 128) as disk:
            worker = await site.worker().started()
            filler = await site.user.submit(sys.executable, "-c", _FILLER, "250")
            neighbour = "for i in $(seq 100); do head -c 10000 /dev/zero || exit 1; sleep 0.05; done"
            other = await site.user.submit("bash", "-c", neighbour)
            ended = await site.user.wait(str(filler.number), str(other.number))
            assert [job.reason for job in ended] == ["ok", "ok"]
            assert disk.left > 0
            await worker.stop()
        assert len(await site.user.text(str(other.number))) == 1_000_000
        kept = await site.user.text(str(filler.number))
        assert b" bytes left out here]\n" in kept
        assert kept.startswith(b"%1048576d" % 0)
        assert kept.endswith(b"249")
        assert not [line for line in worker.log().splitlines() if "ERROR" in line]

    at_site(tmp_path, body)


def test_a_file_system_that_cannot_free_a_part_of_a_file_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def cannot(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    outputs = Outputs(tmp_path / "jobs", tmp_path / "work")
    key = AttemptKey(5, 0, 1)
    path = Path(outputs.path(key, ".out"))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 9 * MIB)
    os.mkfifo(outputs.path(key, ".err"))
    growing = growth.Growth(outputs, Lanes(), list, reserve=0)
    with monkeypatch.context() as patch:
        patch.setattr(growth, "_punch", cannot)
        growing.look([(key, MIB)])
    assert [record.message.partition(",")[0] for record in caplog.records] == [
        "this file system cannot free the middle of a file"
    ]
    growth.Growth(outputs, Lanes(), list, reserve=0).look([(key, MIB)])
    assert path.stat().st_blocks * 512 <= MIB + 8192
    outputs.close()


def reserved(path: Path, size: int) -> Path:
    """An output of some bytes, with room for so many more that nothing was written to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 5000)
    subprocess.run(["fallocate", "--keep-size", "--length", str(size), str(path)], check=True)
    assert path.stat().st_blocks * 512 >= size
    return path


@pytest.fixture(params=["ext4", "tmpfs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """On a file system that is really this."""
    if request.param == "tmpfs":
        with small_disk(tmp_path / "disk", 64) as disk:
            yield disk.path
    else:
        with ext4(tmp_path / "disk", 64) as path:
            yield path


def test_what_a_job_reserves_beyond_the_end_of_its_output_is_freed_while_it_runs(place: Path) -> None:
    outputs, key = Outputs(place / "jobs", place / "work"), AttemptKey(5, 0, 1)
    growing = growth.Growth(outputs, Lanes(), list, reserve=0)
    path = reserved(Path(outputs.path(key, ".out")), 20 * MIB)
    with path.open("ab", buffering=0) as job:
        for _ in range(3):
            job.write(b"y" * 100)
            growing._looked_at = -growth.LOOK_EVERY
            growing.look([(key, MIB)])
            assert path.read_bytes().count(b"y") % 100 == 0
        growing._looked_at = -growth.LOOK_EVERY
        growing.look([(key, MIB)])  # it has been quiet since the last one
        assert path.stat().st_blocks * 512 < MIB
        job.write(b"z")
    assert path.read_bytes() == b"x" * 5000 + b"y" * 300 + b"z"
    outputs.close()


@pytest.mark.parametrize("small", [False, True])
def test_what_a_job_had_reserved_beyond_the_end_of_its_output_is_freed_at_its_end(place: Path, small: bool) -> None:
    outputs, key = Outputs(place / "jobs", place / "work"), AttemptKey(5, 0, 1)
    path = reserved(Path(outputs.path(key, ".out")), 20 * MIB)
    if small:
        assert outputs.read_small(key).stdout == b"x" * 5000
    else:
        outputs.sync(key)
    assert path.stat().st_blocks * 512 < MIB
    assert path.read_bytes() == b"x" * 5000
    outputs.close()
