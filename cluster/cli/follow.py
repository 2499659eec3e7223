"""`cluster run`: a job's output as it comes, Ctrl-C, and the job's exit code."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from cluster.cli.confirmation import is_terminal
from cluster.cli.exit_codes import INTERRUPTED, IO_ERROR
from cluster.cli.progress import Progress, progress
from cluster.cli.quick.head_start import HeadStart
from cluster.cli.reader_watch import while_read
from cluster.cli.submit_warnings import remark
from cluster.cli.writer import Writer
from cluster.client.aio import AsyncClient
from cluster.client.messages import job_of
from cluster.client.position import Position
from cluster.client.types import Job
from cluster.domain.base.errors import ClusterError, NotAuthenticated, NotFound, Unreachable, Untrusted
from cluster.domain.base.printable import printable
from cluster.domain.job import endings
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import ENDED, TaskState

_CUT_OFF = (Unreachable, NotAuthenticated, Untrusted)  # errors after which no call gets through
PATIENCE_BEFORE_WHY = 1.0  # seconds that a job may wait before we say why: most start sooner


def exit_code(jobs: Sequence[Job]) -> int:
    """The highest of the jobs' own; 1 for one that did not succeed and has none (it never ran)."""
    return max((0 if job.state is TaskState.SUCCEEDED else job.exit_code or 1 for job in jobs), default=0)


def on_signals(interrupted: Callable[[], object], terminated: Callable[[], object]) -> None:
    """Has the event loop call `interrupted` for Ctrl-C, and `terminated` for SIGTERM and for SIGHUP (the end of the
    terminal), but not under nohup. They replace those of an earlier call."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupted)
    loop.add_signal_handler(signal.SIGTERM, terminated)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, terminated)


async def hand_in(client: AsyncClient, spec: JobSpec, head_start: HeadStart) -> Job | None:
    """Submits the job, unless a quick command has. A signal before the answer cancels the job, and this returns None; a
    second signal leaves without the scheduler's answer to the cancellation."""
    if head_start.accepted is not None:
        return job_of(head_start.accepted)
    task, job_id = asyncio.current_task(), head_start.job_id
    assert task is not None
    taken_back = bool(head_start.signals)
    del head_start.signals[:1]
    on_signals(task.cancel, task.cancel)
    head_start.act_upon_signals()
    if not taken_back:
        try:
            head_start.sent = True
            return await client.submit(spec, id=job_id)
        except asyncio.CancelledError:
            pass
    if head_start.sent:
        print(f"cluster: {await _take_back(client, job_id)}", file=sys.stderr)
    return None


async def _take_back(client: AsyncClient, job_id: str) -> str:
    """Cancels a job that was on its way to the scheduler. Returns the line that tells what becomes of it."""
    try:
        (job,), _ = await client.cancel(job_id)
        return f"job {job.number} is being cancelled"
    except NotFound:  # it was not heard, or is not on disk yet
        why = "the scheduler does not know it yet"
        return f"the job may still get there: {why}; `cluster job cancel {job_id}` stops it then"
    except (ClusterError, asyncio.CancelledError) as error:
        why = printable(str(error)) or "the scheduler has not answered"
        return f"the job may go on: {why}; `cluster job cancel {job_id}` stops it"


class Follower:
    """Follows one job to its end.

    Signals: on a terminal the first Ctrl-C asks, the second cancels, the third leaves. Without a terminal, and for
    SIGTERM or SIGHUP, the first one cancels.
    Output: when standard output takes nothing any more (its reader left, its disk is full), the job is cancelled, as a
    command that runs here would end. A full disk behind standard error ends no command, so the job goes on; where its
    own exit code is 0, we leave with IO_ERROR, because something is missing there.
    After cancelling we wait for the scheduler's answer, or the job might go on unseen. The next signal leaves without.
    """

    def __init__(self, client: AsyncClient, job: Job, quiet: bool = False, head_start: HeadStart | None = None) -> None:
        self._client = client
        self._head_start = head_start or HeadStart(job.id)
        self._job = job
        self._latest = job
        self._progress: Progress | None = progress() if job.is_array and not quiet else None
        self._flowing = asyncio.Event()  # cleared while a question stands on the terminal
        self._flowing.set()
        # Its result: whether the scheduler has taken the cancellation.
        self._cancelling: asyncio.Task[bool] | None = None
        self._asking = False
        self._left_out = False  # some of what the job wrote to stderr could not be written here
        self._left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left_at_once: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def follow(self) -> int:
        """The exit code to leave with."""
        on_signals(self._interrupted, self._terminated)
        self._head_start.act_upon_signals()
        why = asyncio.get_running_loop().call_later(PATIENCE_BEFORE_WHY, self._say_why)
        work = asyncio.gather(while_read(sys.stdout.fileno(), self._copy()), self._watch())
        try:
            futures: list[asyncio.Future[Any]] = [self._left, work]
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return await self._leave()
            work.result()
        except Unreachable as error:
            number = self._job.number
            raise Unreachable(f"{error}; job {number} may go on: `cluster job logs -f {number}` follows it") from None
        except OSError:
            await self._cancel_unreadable()
            raise
        finally:
            why.cancel()
            work.cancel()
            await asyncio.wait([work])
            if not work.cancelled():
                work.exception()  # asked for, or asyncio shows a traceback of what was cancelled
            if self._progress:
                self._progress.close()
        telling = asyncio.create_task(self._say_how_it_ended())
        await asyncio.wait([telling, self._left], return_when=asyncio.FIRST_COMPLETED)
        if not telling.cancel():
            telling.result()
        return exit_code([self._latest]) or (IO_ERROR if self._left_out else 0)

    async def _copy(self) -> None:
        """Copies the job's output, as bytes, to our stdout and stderr."""
        from cluster.cli.render import note_of

        writers = {False: Writer(sys.stdout.fileno()), True: Writer(sys.stderr.fileno())}
        beside_bar = {False: self._progress and sys.stdout.isatty(), True: self._progress and sys.stderr.isatty()}
        position = Position(*self._head_start.position) if self._head_start.position else None
        try:
            for stderr, data in self._head_start.unwritten:
                await self._write(writers[stderr], stderr, data)
            async for piece in self._client.logs(self._job.id, follow=True, position=position):
                await self._flowing.wait()
                if self._progress and beside_bar[piece.stderr]:
                    self._progress.hide()
                if piece.note:
                    print(note_of(piece), file=sys.stderr)
                await self._write(writers[piece.stderr], piece.stderr, piece.data)
                if self._progress and beside_bar[piece.stderr] and piece.data.endswith(b"\n"):
                    self._progress.show()
        except ClusterError as error:  # a worker that is lost took output along; the job has an end all the same
            if isinstance(error, _CUT_OFF) and not self._latest.state.ended:
                raise
            print(f"cluster: output of job {self._job.number} is missing: {printable(str(error))}", file=sys.stderr)

    async def _write(self, writer: Writer, stderr: bool, data: bytes) -> None:
        try:
            await writer.write(data)
        except OSError as error:
            if not stderr or isinstance(error, BrokenPipeError):
                raise
            self._left_out = True

    async def _watch(self) -> None:
        async for jobs in self._client.watch(self._job.id):
            self._latest = jobs[0]
            if self._progress:
                self._progress.update(jobs)
        if not self._left.done() and self._latest.state.ended and self._asking:
            self._answered("g")

    def _say_why(self) -> None:
        """Says why the job still waits. Where no worker can take it, that was said when it was submitted."""
        job = self._latest
        waits = job.state in (TaskState.READY, TaskState.WAITING)
        if waits and job.pending_because and not (job.no_worker_can and self._job.no_worker_can):
            remark(f"job {job.number} waits: {job.pending_because[0]}")

    async def _say_how_it_ended(self) -> None:
        """Says what the exit code does not: a signal, a time limit, a lost worker, how many tasks failed."""
        job = self._latest
        if job.state is TaskState.SUCCEEDED or (endings.is_own_code(job.reason) and not job.is_array):
            return
        from cluster.cli.render import why_of

        detail = ""
        with suppress(ClusterError):  # the end itself is known, with or without more words
            _, tasks = await self._client.get(job.id, max_tasks=1)  # of an array one that did not succeed
            if tasks and tasks[0].detail and tasks[0].reason == job.reason:
                detail = f": {tasks[0].detail}"
        line = f"cluster: job {job.number} {job.state.word}{printable(why_of(job, detail))}"
        if job.is_array:
            unwell = [state for state in ENDED if state is not TaskState.SUCCEEDED and job.counts.of(state)]
            counts = " and ".join(f"{job.counts.of(state)} {state.word}" for state in unwell)
            line += f": of {job.spec.task_count} tasks {counts}; `cluster job show {job.number}` tells which"
        print(line, file=sys.stderr)

    async def _cancel_unreadable(self) -> None:
        """Cancels a job whose output cannot be written any more. A signal leaves without the scheduler's answer."""
        if not self._left.done():
            self._left.set_result(None)
        if not self._cancelling:
            reason = "its output could not be written where it was to go"
            self._cancelling = asyncio.create_task(self._cancel(reason))
        await self._wait_for_the_answer(self._cancelling)
        if not self._cancelling.done():
            print(f"cluster: job {self._job.number} may go on: the scheduler has not answered", file=sys.stderr)

    def _interrupted(self) -> None:
        if self._cancelling or self._latest.state.ended:
            self._give_up()
        elif self._asking or not is_terminal():
            self._answered("c")
        else:
            self._ask()

    def _terminated(self) -> None:
        if self._cancelling or self._latest.state.ended:
            self._give_up()
        else:
            self._answered("c")

    def _ask(self) -> None:
        self._asking = True
        self._flowing.clear()
        sys.stderr.write(f"\ncluster: job {self._job.number} goes on. [c]ancel it, [l]eave it running, [g]o on here? ")
        sys.stderr.flush()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_answer)

    def _read_answer(self) -> None:
        line = os.read(sys.stdin.fileno(), 1024)
        word = line.decode(errors="replace").strip().lower()[:1] or ("g" if line else "c")
        if word in "clg":
            self._answered(word)
        else:
            sys.stderr.write("c, l or g? ")
            sys.stderr.flush()

    def _answered(self, word: str) -> None:
        """c: cancel, l: leave, g: go on."""
        if self._asking:
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._asking = False
            self._flowing.set()
        if word == "c":
            self._cancelling = asyncio.create_task(self._cancel())
            print(f"cluster: cancelling job {self._job.number}", file=sys.stderr)
        elif word == "l":
            self._give_up()

    async def _cancel(self, reason: str = "") -> bool:
        try:
            await self._client.cancel(self._job.id, reason=reason)
        except ClusterError as error:
            print(f"cluster: job {self._job.number} could not be cancelled: {printable(str(error))}", file=sys.stderr)
            return False
        return True

    def _give_up(self) -> None:
        for leaving in (self._left, self._left_at_once):
            if not leaving.done():
                leaving.set_result(None)
                return

    async def _leave(self) -> int:
        number = self._job.number
        what = "has ended" if self._latest.state.ended else "goes on"
        if self._cancelling:
            await self._wait_for_the_answer(self._cancelling)
            if not self._cancelling.done():
                what = "may go on: the scheduler has not answered"
            elif self._cancelling.result():
                what = "is being cancelled"
        print(f"cluster: job {number} {what}; `cluster job logs -f {number}` shows its output", file=sys.stderr)
        return INTERRUPTED

    async def _wait_for_the_answer(self, cancelling: asyncio.Task[bool]) -> None:
        """Waits until the scheduler has taken or refused the cancellation, or a signal says not to wait for that."""
        either: list[asyncio.Future[Any]] = [cancelling, self._left_at_once]
        done, _ = await asyncio.wait(either, timeout=PATIENCE_BEFORE_WHY, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            print("cluster: waiting for the scheduler to answer; once more leaves without", file=sys.stderr)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
