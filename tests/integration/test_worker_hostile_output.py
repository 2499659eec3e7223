"""What jobs may do to the files that their output goes into, and who must not notice: anybody else. Real processes."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.integration.fifos import fifo, let_go, reach
from tests.integration.schedulers import User
from tests.integration.workers import Site, at_site

pytestmark = pytest.mark.slow

MUCH = 15 << 40  # bytes: nearly the largest file of ext4


def script(root: Path, *lines: str) -> tuple[str, ...]:
    """A Python job. `begun()` lets the test go on, `wait()` waits for it."""
    prologue = [
        "import fcntl, os, sys",
        f"def begun(): open({str(root / 'begun')!r}, 'w').write('x')",
        f"def wait(): open({str(root / 'go')!r}).read()",
        "path = os.readlink('/proc/self/fd/1')",
    ]
    return (sys.executable, "-c", "\n".join([*prologue, *lines]))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    fifo(tmp_path / "begun")
    fifo(tmp_path / "go")
    return tmp_path


async def others_are_served(user: User) -> None:
    job = await user.submit("echo", "mine")
    assert await user.text(str(job.number), follow=True) == b"mine\n"


def test_an_endless_file_is_read_from_its_end_at_once(root: Path) -> None:
    async def body(site: Site) -> None:
        await site.worker().started()
        endless = f"os.write(1, b'one\\ntwo\\n'); os.ftruncate(1, {MUCH}); begun(); wait()"
        job = await site.user.submit(*script(root, endless))
        await reach(root / "begun")
        shown = await site.user.text(str(job.number), tail=1)
        assert shown.startswith(b"\0")  # of the last line, which has no end
        assert shown.endswith(b"\n[cluster: %d bytes left out here]\n" % (MUCH - 4096))
        assert len(shown) < 10_000
        reading = asyncio.create_task(site.user.text(str(job.number), follow=True))
        await others_are_served(site.user)
        await let_go(root / "go")
        assert (await reading).startswith(b"one\ntwo\n\0")
        await site.user.wait(str(job.number))

    at_site(root, body)


def test_a_follower_goes_on_behind_what_nobody_wrote(root: Path) -> None:
    async def body(site: Site) -> None:
        await site.worker().started()
        lines = f"os.write(1, b'one\\n'); os.ftruncate(1, {MUCH}); begun(); wait(); os.write(1, b'two\\n')"
        job = await site.user.submit(*script(root, lines))
        await reach(root / "begun")
        reading = asyncio.create_task(site.user.text(str(job.number), follow=True))
        await let_go(root / "go")
        assert (await reading).endswith(b" bytes left out here]\ntwo\n")

    at_site(root, body)


def test_an_endless_output_is_kept_without_what_nobody_wrote(root: Path) -> None:
    """Sent as zeros it took a day, and four such all places for sending."""

    async def body(site: Site) -> None:
        worker = await site.worker(millicpus=8000).started()
        endless = f"os.write(1, b'one\\n'); os.ftruncate(1, {MUCH}); os.write(1, b'two\\n'); os.ftruncate(2, {MUCH})"
        jobs = [await site.user.submit(*script(root, endless)) for _ in range(5)]
        await site.user.wait(*(str(job.number) for job in jobs))
        small = await site.user.submit("sh", "-c", "seq 100000")
        await site.user.wait(str(small.number))
        await worker.stop()  # which waits until all is sent
        assert worker.files() == []
        for job in jobs:
            kept = await site.user.text(str(job.number), stderr=False)
            left_out = MUCH - 4096
            assert kept == b"one\n" + bytes(4092) + b"\n[cluster: %d bytes left out here]\n" % left_out + b"two\n"
        assert len(await site.user.text(str(small.number))) == 588895

    at_site(root, body)


def test_a_leased_output_is_waited_for_and_nobody_waits_along(root: Path) -> None:
    """To open such a file takes until it is given back, or 45 s."""

    async def body(site: Site) -> None:
        await site.worker().started()
        # The end of the process gives it back. SIGIO, which asks for it, is ignored.
        lease = "import signal; signal.signal(signal.SIGIO, signal.SIG_IGN)\n"
        lease += "os.write(1, b'one\\n'); fcntl.fcntl(1, fcntl.F_SETLEASE, fcntl.F_WRLCK); begun(); wait()"
        job = await site.user.submit(*script(root, lease))
        await reach(root / "begun")
        reading = asyncio.create_task(site.user.text(str(job.number), follow=True))
        for _ in range(3):
            await others_are_served(site.user)
        assert not reading.done()
        await let_go(root / "go")
        assert await reading == b"one\n"

    at_site(root, body)


@pytest.mark.parametrize(
    ("replaced", "shown"),
    [
        ("os.mkfifo(path)", b""),
        ("os.symlink('/etc/passwd', path)", b""),
        ("os.mkdir(path)", b""),
        ("os.symlink(path, path)", b""),
        ("os.mknod(path, 0o600 | 0o140000)", b""),  # a socket
        ("open(path, 'w').write('other')", b"other"),
    ],
)
def test_what_stands_in_the_place_of_an_output_is_not_read(root: Path, replaced: str, shown: bytes) -> None:
    async def body(site: Site) -> None:
        worker = await site.worker().started()
        lines = f"os.write(1, b'one\\n'); os.unlink(path); {replaced}; begun(); wait()"
        job = await site.user.submit(*script(root, lines))
        await reach(root / "begun")
        assert await site.user.text(str(job.number)) == shown
        await others_are_served(site.user)
        await let_go(root / "go")
        await site.user.wait(str(job.number))
        assert await site.user.text(str(job.number)) == shown
        await worker.stop()
        assert worker.files() == []

    at_site(root, body)
