"""The client's verbs over real connections, and what it does when those break."""

import asyncio
import os
import queue
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cluster.client import AsyncClient, Client, aio, following, retrying, submitting, sync
from cluster.client.job_fields import new_job_id
from cluster.client.messages import job_of
from cluster.client.types import Job, Output
from cluster.domain.base.errors import (
    ClusterError,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    NotReached,
    Unreachable,
    Untrusted,
)
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState
from cluster.v1 import job_pb2
from tests.integration.jobs_double import Double, RunningJob
from tests.patience import PATIENCE


@pytest.fixture
def double(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Double]:
    for name in [name for name in os.environ if name.startswith("CLUSTER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CLUSTER_HOME", str(tmp_path))
    with Double(tmp_path).serving() as double:
        yield double


def connect(double: Double) -> AsyncClient:
    return AsyncClient.connect(double.address, credentials=double.credentials_file)


def with_client(double: Double, body: Callable[[AsyncClient], Awaitable[None]]) -> None:
    async def run() -> None:
        async with connect(double) as client:
            await asyncio.wait_for(body(client), PATIENCE)

    asyncio.run(run())


async def output(client: AsyncClient, selector: str, **options: Any) -> tuple[bytes, bytes]:
    out, err = b"", b""
    async for piece in client.logs(selector, follow=True, **options):
        if piece.stderr:
            err += piece.data
        else:
            out += piece.data
    return out, err


def test_submit_logs_wait_and_get_tell_one_story(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        job = await client.submit(["sh", "-c", "echo out; echo err >&2; exit 3"], name="story", env={"A": "1"})
        assert (job.number, job.owner, job.spec.name, job.spec.env) == (1, "ann", "story", (("A", "1"),))
        assert await output(client, job.id) == (b"out\n", b"err\n")
        (ended,) = await client.wait("story")
        assert (ended.state, ended.exit_code, ended.reason) == (TaskState.FAILED, 3, "exit:3")
        found, tasks = await client.get("1")
        assert found.id == job.id
        assert [(task.state, task.exit_code, task.attempt) for task in tasks] == [(TaskState.FAILED, 3, 1)]

    with_client(double, body)


def test_a_submit_that_breaks_on_the_way_is_repeated_and_accepted_once(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        double.jobs.break_next = 1
        job = await client.submit(["true"])
        assert (double.jobs.submitted, len(double.jobs.jobs), job.number) == (2, 1, 1)

    with_client(double, body)


def test_a_submit_outlasts_a_scheduler_that_answers_errors_while_it_stops(
    double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "STOPPING", PATIENCE)
    for module in (submitting, retrying):
        monkeypatch.setattr(module, "PAUSE", 0.0)

    async def body(client: AsyncClient) -> None:
        double.jobs.break_next = 5
        job = await client.submit(["true"])
        assert (double.jobs.submitted, len(double.jobs.jobs), job.number) == (6, 1, 1)

    with_client(double, body)


def test_a_submit_that_breaks_each_time_gives_up(double: Double, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submitting, "STOPPING", 0.0)

    async def body(client: AsyncClient) -> None:
        double.jobs.break_next = 9
        with pytest.raises(Unreachable) as caught:
            await client.submit(["true"])
        assert double.jobs.submitted == 2
        assert f"job {double.jobs.jobs[1].record.id} may have been accepted" in str(caught.value)

    with_client(double, body)


def test_following_goes_on_after_breaks_without_a_byte_lost_or_twice(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        job = await client.submit(["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do echo $i; echo -$i >&2; done"])
        await client.wait(job.id)
        double.jobs.break_next = 2  # at least one piece of each stream comes
        out, err = await output(client, job.id)
        assert double.jobs.break_next == 0
        assert out == b"".join(b"%d\n" % i for i in range(1, 10))
        assert err == b"".join(b"-%d\n" % i for i in range(1, 10))

    with_client(double, body)


def test_waiting_goes_on_after_breaks(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        job = await client.submit(["true"])
        double.jobs.break_next = 2
        (ended,) = await client.wait(job.id)
        assert ended.state is TaskState.SUCCEEDED

    with_client(double, body)


@pytest.mark.parametrize("selector", ["last", "same", "all"])
def test_waiting_goes_on_with_the_same_jobs_whatever_came_meanwhile(double: Double, selector: str) -> None:
    async def body(client: AsyncClient) -> None:
        double.jobs.hold = True
        await client.submit(["true"], name="same")
        double.jobs.break_next = 1
        async with aclosing(client.watch(selector)) as changes:
            shown = [[job.number for job in await anext(changes)]]
            double.jobs.jobs[2] = RunningJob(2, new_job_id(), JobSpec(("true",), name="same"), "ann")
            shown.append([job.number for job in await anext(changes)])
            await client.cancel(1)
            shown += [[job.number for job in jobs] async for jobs in changes]
        assert shown == [[1]] * 3

    with_client(double, body)


@pytest.mark.parametrize("selector", ["last", "last.0", "same"])
def test_following_goes_on_with_the_same_job_whatever_came_meanwhile(double: Double, selector: str) -> None:
    async def body(client: AsyncClient) -> None:
        double.jobs.hold = True
        await client.submit(["true"], name="same")
        (task,) = double.jobs.jobs[1].tasks
        task.written.append((False, b"one "))
        double.jobs.break_next = 1
        async with aclosing(client.logs(selector, follow=True)) as pieces:
            assert (await anext(pieces)).data == b"one "
            double.jobs.jobs[2] = RunningJob(2, new_job_id(), JobSpec(("true",), name="same"), "ann")
            task.written.append((False, b"two"))
            for job in double.jobs.jobs.values():
                job.tasks[0].state = TaskState.SUCCEEDED
            assert [(piece.job, piece.data) async for piece in pieces] == [(1, b"two")]

    with_client(double, body)


def test_who_has_submitted_a_job_follows_it_over_a_break_before_its_first_output(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        job = await client.submit(["echo", "hello"])
        double.jobs.stopped = True
        asked = asyncio.create_task(output(client, job.id))
        while not double.jobs.refused and not asked.done():
            await client.get(job.id)  # which lets the other call go on
        double.jobs.stopped = False
        assert await asked == (b"hello\n", b"")

    with_client(double, body)


def test_each_break_is_outlasted_however_long_nothing_was_written(
    double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    class Quiet:
        """A door whose scheduler goes away three times, hours apart, before there is a byte of output."""

        calls = 0

        async def logs(self, wanted: object, patience: float, connected: Callable[[], object]) -> AsyncIterator[Output]:
            self.calls += 1
            connected()
            if self.calls <= 3:
                clock[0] += 3600
                raise Unreachable("the connection broke")
            yield Output(1, 0, 1, False, b"late\n", 5)

    for module in (submitting, following, retrying):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    client = connect(double)
    client._opened = cast(Any, Quiet())
    assert asyncio.run(output(client, "1")) == (b"late\n", b"")


def test_each_break_has_its_full_patience_however_soon_it_follows_another(
    double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of quiet output, the second break within a minute had what the first one had left."""
    clock, had = [0.0], []

    class Quiet:
        async def logs(self, wanted: object, patience: float, connected: Callable[[], object]) -> AsyncIterator[Output]:
            had.append(patience)
            clock[0] += 10  # until it is there again
            connected()
            if len(had) <= 3:
                clock[0] += 15  # and nothing is written
                raise Unreachable("the connection broke")
            yield Output(1, 0, 1, False, b"late\n", 5)

    for module in (submitting, following, retrying):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    client = connect(double)
    client._opened = cast(Any, Quiet())
    assert asyncio.run(output(client, "1")) == (b"late\n", b"")
    assert had == [0.0, *[retrying.FOLLOW_PATIENCE] * 3]


@pytest.mark.parametrize("selector", ["all", "same"])
def test_following_several_jobs_goes_on_with_the_same_ones_after_a_break(double: Double, selector: str) -> None:
    """Those submitted meanwhile were followed too, so that `logs -f all` never ended on a busy cluster."""

    async def body(client: AsyncClient) -> None:
        double.jobs.hold = True
        for number in (1, 2, 3):
            await client.submit(["true"], name="same")
            double.jobs.jobs[number].tasks[0].written.append((False, b"%d" % number))
            double.jobs.jobs[number].tasks[0].state = TaskState.SUCCEEDED
        double.jobs.break_next = 2
        async with aclosing(client.logs(selector, follow=True)) as pieces:
            assert (await anext(pieces)).data == b"1"
            double.jobs.jobs[4] = RunningJob(4, new_job_id(), JobSpec(("true",), name="same"), "ann")
            double.jobs.jobs[4].tasks[0].written.append((False, b"not this"))
            assert [(piece.job, piece.data) async for piece in pieces] == [(2, b"2"), (3, b"3")]

    with_client(double, body)


def test_whoever_follows_gives_up_when_nothing_but_errors_comes(
    double: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "FOLLOW_PATIENCE", 0.3)

    async def output_while_it_stops(client: AsyncClient, selector: str) -> None:
        async for _ in client.logs(selector, follow=True):
            double.jobs.stopped = True

    async def body(client: AsyncClient) -> None:
        job = await client.submit(["echo", "hello"])
        await client.wait(job.id)
        double.jobs.break_next = 1
        with pytest.raises(Unreachable):
            await output_while_it_stops(client, job.id)
        assert 1 <= double.jobs.refused < 10, "it asked without a pause"

    with_client(double, body)


def test_watch_shows_changes_and_ends(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        await client.submit(["true"], array="1-3")
        ended = [jobs[0].counts.ended async for jobs in client.watch("last")]
        assert ended == sorted(ended)
        assert ended[-1] == 3

    with_client(double, body)


def test_cancel_says_how_many_and_by_whom(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        job = await client.submit(["sleep", "1000"])
        _, count = await client.cancel(job.id, reason="enough")
        (ended,) = await client.wait(job.id)
        assert count == 1
        assert (ended.state, ended.exit_code) == (TaskState.CANCELLED, 143)
        assert (ended.cancelled_by, ended.cancel_reason) == ("ann", "enough")
        assert (await client.cancel(job.id))[1] == 0  # S2.11

    with_client(double, body)


def test_list_filters_and_limits(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        for code in (0, 1, 0):
            await client.submit(["sh", "-c", f"exit {code}"])
        await client.wait("all")
        assert [job.number for job in await client.list()] == [3, 2, 1]
        assert [job.number for job in await client.list(states=[TaskState.FAILED])] == [2]
        assert [job.number for job in await client.list(limit=1)] == [3]
        assert [job.number for job in await client.list("1", "3")] == [3, 1]

    with_client(double, body)


def test_options_are_handy_to_write(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        job = await client.submit(["true"], array="1-9:4,20", cpus=0.25)
        assert job.spec.array == (ArraySegment(1, 9, 4), ArraySegment(20, 20))
        assert job.spec.millicpus == 250
        assert job.is_array
        assert job.counts.total == 4

    with_client(double, body)


def test_workers_are_values_too(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        (worker,) = await client.workers()
        assert (worker.name, worker.state.word, worker.millicpus, worker.used_millicpus) == (
            "double",
            "online",
            2000,
            500,
        )

    with_client(double, body)


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        (JobSpec(()), "the command is empty"),
        ("echo hello", r"the command 'echo hello' is one text: give a list of words"),
        (["cat", Path("/x")], r"the command's word PosixPath\('/x'\) is no text"),
        (JobSpec(("cat",), worker="\udcff"), "not UTF-8"),
        (JobSpec(("cat", "\ud800")), "not UTF-8"),  # half a pair: no byte of a command line
        (JobSpec(("true",), timeout=-1), "timeout"),
        ([], r"the command \[\] is empty: give a list of words"),
    ],
)
def test_what_can_never_run_is_refused_before_it_is_sent(double: Double, spec: JobSpec, error: str) -> None:
    async def body(client: AsyncClient) -> None:
        with pytest.raises(InvalidInput, match=error):
            await client.submit(spec)
        assert double.jobs.submitted == 0

    with_client(double, body)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"cpus": "two"}, "cpus='two' is no number"),
        ({"timeout": "1h"}, "timeout='1h' is no number"),
        ({"cpu": 1}, "there is no option 'cpu'; there are after, .*array, at, .*cpus, cwd"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(double: Double, options: dict[str, Any], error: str) -> None:
    async def body(client: AsyncClient) -> None:
        with pytest.raises(InvalidInput, match=error):
            await client.submit(["true"], **options)

    with_client(double, body)


def test_a_number_selects_a_job(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        number = (await client.submit(["echo", "hello"])).number
        assert [job.number for job in await client.wait(number)] == [number]
        assert [job.number for job in await client.list(number)] == [number]
        assert (await client.get(number))[0].number == number
        assert [piece.data async for piece in client.logs(number)] == [b"hello\n"]
        assert (await client.cancel(number))[1] == 0
        with pytest.raises(InvalidInput, match="a float selects no job"):
            await client.wait(cast(int, 1.5))

    with_client(double, body)


def test_the_servers_errors_arrive_as_themselves(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        with pytest.raises(NotFound, match="there is no job 7"):
            await client.get("7")
        with pytest.raises(NotFound, match="'nobody'"):
            await client.wait("nobody")
        with pytest.raises(InvalidInput):
            await output(client, "5.")

    with_client(double, body)


def test_nobody_there_is_said_at_once(double: Double) -> None:
    async def run() -> None:
        async with AsyncClient.connect("127.0.0.1:1", credentials=double.credentials_file) as client:
            with pytest.raises(NotReached, match=r"127\.0\.0\.1:1 cannot be reached"):
                await client.submit(["true"])
            with pytest.raises(NotReached):
                await client.wait("last")

    asyncio.run(run())


def test_a_scheduler_is_no_worker(double: Double) -> None:
    async def run() -> None:
        async with AsyncClient.connect(direct=double.address, credentials=double.credentials_file) as client:
            with pytest.raises(Untrusted, match="is no worker of this cluster"):
                await client.list()

    asyncio.run(run())


def test_the_synchronous_client_has_the_same_verbs(double: Double) -> None:
    with Client.connect(double.address, credentials=double.credentials_file) as client:
        job = client.submit(["sh", "-c", "echo hello"])
        assert b"".join(piece.data for piece in client.logs(job.id, follow=True)) == b"hello\n"
        (ended,) = client.wait(job.id)
        assert ended.exit_code == 0
        assert [job.number for job in client.list()] == [1]
        assert client.get("last")[0].id == job.id
        assert client.workers()[0].name == "double"
        assert client.cancel("1")[1] == 0
        with pytest.raises(NotFound):
            client.get("9")
        assert next(iter(client.watch("1")))[0].number == 1  # left in the middle
    client.close()
    assert "cluster-client" not in {thread.name for thread in threading.enumerate()}


def test_the_synchronous_client_works_inside_a_running_loop(double: Double) -> None:
    async def notebook() -> int:
        with Client.connect(double.address, credentials=double.credentials_file) as client:
            return client.submit(["true"]).number

    assert asyncio.run(notebook()) == 1


def test_a_client_that_is_closed_lets_nobody_wait(double: Double) -> None:
    double.jobs.silent = {"Wait"}
    said: queue.SimpleQueue[object] = queue.SimpleQueue()

    def wait(client: Client) -> None:
        try:
            said.put(client.wait("last"))
        except ClusterError as error:
            said.put(str(error))

    with Client.connect(double.address, credentials=double.credentials_file) as client:
        client.submit(["true"])
        threading.Thread(target=wait, args=[client], daemon=True).start()
        assert double.jobs.unanswered.get(timeout=PATIENCE) == "Wait"
    assert said.get(timeout=PATIENCE) == "this client was closed"
    with pytest.raises(ClusterError, match="was closed"):
        client.list()


class SlowToEnd:
    """In place of an AsyncClient: reads output that never comes, and needs a while to stop it."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self._interrupts = [KeyboardInterrupt()]

    def interrupt_once(self) -> None:
        """As Ctrl-C does in the main thread, when the reading has begun in another."""
        if self._interrupts:
            self.begun.wait(PATIENCE)
            raise self._interrupts.pop()

    async def logs(self, selector: str, **options: object) -> AsyncIterator[Output]:
        try:
            self.begun.set()
            await asyncio.Event().wait()
            yield Output(1, 0, 1, False, b"", 0)
        finally:
            for _ in range(9):
                await asyncio.sleep(0)

    async def close(self) -> None:
        """Nothing is open."""


def test_ctrl_c_ends_the_synchronous_reading_of_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by a signal: Python may take one up only when the wait is over that it should have ended."""
    inner = SlowToEnd()

    class Interrupted(Future[object]):
        def result(self, timeout: float | None = None) -> object:
            inner.interrupt_once()
            return super().result(timeout)

    with Client(cast(AsyncClient, inner)) as client:
        monkeypatch.setattr(sync, "Future", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(iter(client.logs("last", follow=True)))


def test_ctrl_c_before_the_wait_for_an_answer_begins_leaves_nothing_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = SlowToEnd()
    with Client(cast(AsyncClient, inner)) as client:
        hand_over = client._loop.call_soon_threadsafe

        def interrupted(*arguments: Any) -> None:
            hand_over(*arguments)
            inner.interrupt_once()

        monkeypatch.setattr(client._loop, "call_soon_threadsafe", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(iter(client.logs("last", follow=True)))


def test_whoever_stops_reading_ends_the_call(double: Double) -> None:
    async def body(client: AsyncClient) -> None:
        job = await client.submit(["sh", "-c", "echo hello; exec sleep 1000"])
        async for _ in client.logs(job.id, follow=True):
            break
        assert await asyncio.to_thread(double.jobs.left.get, timeout=PATIENCE) == job.number

    with_client(double, body)


def test_job_ids_are_uuids_of_version_7_that_sort_by_time() -> None:
    import time
    import uuid

    before = time.time_ns() // 1_000_000
    ids = [uuid.UUID(new_job_id()) for _ in range(100)]
    after = time.time_ns() // 1_000_000
    assert all((i.version, i.variant) == (7, uuid.RFC_4122) for i in ids)
    assert all(before <= i.int >> 80 <= after for i in ids)
    assert len(set(ids)) == 100


def test_an_expired_certificate_is_named(double: Double, tmp_path: Path) -> None:
    text = double.credentials_file.read_bytes()
    expired = tmp_path / "elsewhere" / "expired.pem"  # not beside the CA, which would make it anew
    expired.parent.mkdir(mode=0o700)
    expired.touch(0o600)
    end = next(line for line in text.splitlines() if line.startswith(b"Not-After"))
    expired.write_bytes(text.replace(end, b"Not-After: 1000000000"))

    async def run() -> None:
        async with AsyncClient.connect(double.address, credentials=expired) as client:
            await client.list()

    with pytest.raises(NotAuthenticated, match="user/ann ended at 2001-09-09"):
        asyncio.run(run())


def test_what_is_waited_for_is_the_same_after_a_break() -> None:
    """Other tasks may be running by then."""

    def shown(number: int, part: str) -> Job:
        return job_of(job_pb2.Job(number=number, part=part, state="TASK_STATE_RUNNING", spec={"argv": ["true"]}))

    assert aio._pinned(["sweep:running"], [shown(3, "1-4,9"), shown(5, "")]) == ["3.1-4,9", "5"]
    assert aio._pinned(["sweep:running"], [shown(3, "1,3,5,7,9,…")]) == ["sweep:running"], "too many to be told"
    assert aio._pinned(["sweep"], [shown(3, "")]) == ["sweep"]
