"""Signals that come while the command line waits for an answer. The scheduler is a double that gives none."""

import asyncio
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, cast

import pytest

from cluster.cli.follow import Follower
from cluster.client.aio import AsyncClient
from cluster.client.messages import job_of
from cluster.client.types import Job, Output
from cluster.domain.base.errors import ClusterError, NotAuthenticated, Unreachable
from cluster.domain.job.states import TaskState
from cluster.v1 import job_pb2
from tests.acceptance.command import Command
from tests.integration.jobs_double import Double
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture
def double(tmp_path: Path) -> Iterator[Double]:
    with Double(tmp_path).serving() as double:
        double.jobs.hold = True
        yield double


@contextmanager
def started(command: Command, double: Double, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    line, env = command.line(*arguments), command.environment(double.environment)
    pipe = subprocess.PIPE
    with subprocess.Popen(line, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_job_that_was_handed_in_without_an_answer_is_cancelled(
    command: Command, double: Double, number: signal.Signals
) -> None:
    double.jobs.silent = {"Submit"}
    with started(command, double, "run", "true") as process:
        assert double.jobs.unanswered.get(timeout=PATIENCE) == "Submit"
        process.send_signal(number)
        assert process.wait(PATIENCE) == 130
        assert process.stderr
        assert b"job 1 is being cancelled" in process.stderr.read()
    assert double.jobs.jobs[1].tasks[0].state is TaskState.CANCELLED


def test_whoever_waits_for_neither_answer_hears_that_the_job_may_go_on(command: Command, double: Double) -> None:
    double.jobs.silent = {"Submit", "Cancel"}
    with started(command, double, "run", "true") as process:
        for call in ("Submit", "Cancel"):
            assert double.jobs.unanswered.get(timeout=PATIENCE) == call
            process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 130
        assert process.stderr
        assert f"cluster job cancel {double.jobs.jobs[1].record.id}".encode() in process.stderr.read()


def test_who_has_no_output_any_more_need_not_wait_for_the_scheduler(command: Command, double: Double) -> None:
    double.jobs.hold, double.jobs.silent = False, {"Cancel"}
    with started(command, double, "run", "yes") as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"y\n"
        process.stdout.close()
        assert double.jobs.unanswered.get(timeout=PATIENCE) == "Cancel"
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 141  # 128 + SIGPIPE
        assert b"job 1 may go on" in process.stderr.read()


KILLED = job_of(job_pb2.Job(number=1, id="x", state=job_pb2.TASK_STATE_FAILED, reason="signal:SIGKILL", exit_code=137))


class Ended:
    """In place of an AsyncClient: a job that has ended, while more of it is still to come."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.known = asyncio.Event()
        self.asked = asyncio.Event()
        self.error: ClusterError | None = None
        self.output_ends = False

    async def watch(self, selector: str) -> AsyncIterator[tuple[Job, ...]]:
        yield (self.job,)
        self.known.set()

    async def logs(self, selector: str, **options: object) -> AsyncIterator[Output]:
        await self.known.wait()
        if self.error:
            raise self.error
        if not self.output_ends:
            await asyncio.Event().wait()
        yield Output(1, 0, 1, False, b"", 0)

    async def get(self, selector: str, **options: object) -> NoReturn:
        self.asked.set()
        if self.error:
            raise self.error
        await asyncio.Event().wait()
        raise AssertionError


def test_of_a_job_that_has_ended_nobody_says_that_it_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    job = job_of(job_pb2.Job(number=1, id="x", state=job_pb2.TASK_STATE_SUCCEEDED, reason="ok"))

    async def follow() -> int:
        client = Ended(job)
        following = asyncio.create_task(Follower(cast(AsyncClient, client), [job]).follow())
        await client.known.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            return await following

    assert asyncio.run(follow()) == 130
    assert capfd.readouterr().err == "cluster: job 1 has ended; `cluster job logs -f 1` shows its output\n"


def test_a_job_that_has_ended_has_its_exit_code_also_where_its_output_is_out_of_reach(
    capfd: pytest.CaptureFixture[str],
) -> None:
    async def follow() -> int:
        client = Ended(KILLED)
        client.error = Unreachable("the output of 1#1 is on worker w1, which is not connected")
        async with asyncio.timeout(PATIENCE):
            return await Follower(cast(AsyncClient, client), [KILLED]).follow()

    assert asyncio.run(follow()) == 137
    missing, ended = capfd.readouterr().err.splitlines()
    assert "output of job 1 is missing: the output of 1#1 is on worker w1" in missing
    assert ended == "cluster: job 1 failed (signal:SIGKILL)"  # more words are not to be had


def test_a_signal_leaves_where_the_scheduler_does_not_tell_more_about_an_end() -> None:
    async def follow() -> int:
        client = Ended(KILLED)
        client.output_ends = True
        following = asyncio.create_task(Follower(cast(AsyncClient, client), [KILLED]).follow())
        await client.asked.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            return await following

    assert asyncio.run(follow()) == 137


def test_who_is_let_in_no_more_hears_that_once(capfd: pytest.CaptureFixture[str]) -> None:
    """Sometimes twice, once about the output alone: whichever of the two calls had broken first."""
    running = job_of(job_pb2.Job(number=1, id="x", state=job_pb2.TASK_STATE_RUNNING))

    async def follow() -> int:
        client = Ended(running)
        client.error = NotAuthenticated("the certificate of user/ada was revoked")
        async with asyncio.timeout(PATIENCE):
            return await Follower(cast(AsyncClient, client), [running]).follow()

    with pytest.raises(NotAuthenticated):
        asyncio.run(follow())
    assert capfd.readouterr().err == ""


class Away:
    """In place of an AsyncClient: its scheduler has gone, and has been waited for long enough."""

    async def watch(self, selector: str) -> AsyncIterator[tuple[Job, ...]]:
        raise Unreachable("head:50000 cannot be reached")
        yield ()

    async def logs(self, selector: str, **options: object) -> AsyncIterator[Output]:
        raise Unreachable("head:50000 cannot be reached")
        yield Output(16, 0, 1, False, b"", 0)


def test_who_gives_up_on_the_scheduler_says_which_job_may_go_on_and_how_to_follow_it() -> None:
    job = job_of(job_pb2.Job(number=16, id="x", state=job_pb2.TASK_STATE_RUNNING))

    async def follow() -> int:
        return await Follower(cast(AsyncClient, Away()), [job]).follow()

    with pytest.raises(Unreachable, match=r"cannot be reached; job 16 may go on: `cluster job logs -f 16` follows it"):
        asyncio.run(follow())


def test_ctrl_c_ends_a_follower_whose_full_stderr_nobody_reads(cluster: Command) -> None:
    """It answered with an empty line, there, and waited for ever."""
    job = cluster.ok("job", "submit", "--quiet", "--", "sh", "-c", "yes >&2").text.strip()
    cluster.wait_until_running(job)
    try:
        with cluster.started("job", "logs", "-f", job) as logs:
            assert logs.stderr
            fcntl.fcntl(logs.stderr, fcntl.F_SETPIPE_SZ, 4096)  # a page: the first piece of output fills it
            while _waiting(logs.stderr.fileno()) < 4096:
                assert logs.poll() is None
                select.select([logs.stderr], [], [], PATIENCE)
            logs.send_signal(signal.SIGINT)
            assert logs.wait(PATIENCE) == 130
    finally:
        cluster.ok("job", "cancel", job, "--grace", "0")


def _waiting(pipe: int) -> int:
    """Bytes in it."""
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0])
