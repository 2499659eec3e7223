"""`cluster run`: the output of a job, or of all jobs of a file, as it comes, Ctrl-C, and the exit code."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from cluster.cli.confirmation import is_terminal
from cluster.cli.exit_codes import INTERRUPTED, IO_ERROR
from cluster.cli.line_tags import LineTags
from cluster.cli.progress import JobsProgress
from cluster.cli.quick.head_start import HeadStart
from cluster.cli.reader_watch import while_read
from cluster.cli.remarks import remark
from cluster.cli.task_output_files import TaskOutputFiles
from cluster.cli.writer import Writer
from cluster.client.aio import AsyncClient
from cluster.client.messages import job_of
from cluster.client.position import Position
from cluster.client.submitting import Uploaded
from cluster.client.types import Job
from cluster.domain.base.errors import ClusterError, NotAuthenticated, NotFound, Unreachable, Untrusted
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.base.printable import printable
from cluster.domain.job import endings
from cluster.domain.job.arrays import format_array
from cluster.domain.job.numbering import ArraySegment
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import ENDED, TaskState

T = TypeVar("T")

_CUT_OFF = (Unreachable, NotAuthenticated, Untrusted)  # errors after which no call gets through
MOST_NAMED = 20  # jobs of which each is told
PATIENCE_BEFORE_WHY = 1.0  # seconds that a job may wait before we say why: most start sooner


def exit_code(jobs: Sequence[Job]) -> int:
    """The highest of the jobs' own; 1 for one that did not succeed and has none (it never ran)."""
    return max((0 if job.state is TaskState.SUCCEEDED else job.exit_code or 1 for job in jobs), default=0)


def first_failure(jobs: Sequence[Job]) -> int:
    """Of jobs in the order in which they wait for each other, all of which have ended: the exit code of the first that
    did not succeed; 0: all have. One that waited in vain counts only where none failed by itself, and not if a failure
    is what it waited for."""
    unwell = [job for job in jobs if job.state is not TaskState.SUCCEEDED]
    own = [job for job in unwell if job.reason != endings.DEPENDENCY]
    return exit_code((own or [job for job in unwell if not job.spec.after_fail])[:1])


def on_signals(interrupted: Callable[[], object], terminated: Callable[[], object]) -> None:
    """Has the event loop call `interrupted` for Ctrl-C, and `terminated` for SIGTERM and for SIGHUP (the end of the
    terminal), but not under nohup. They replace those of an earlier call."""
    loop = asyncio.get_running_loop()
    # One that came in between would count twice: for the handler that was there, and for the loop that is woken.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        loop.add_signal_handler(signal.SIGINT, interrupted)
        loop.add_signal_handler(signal.SIGTERM, terminated)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGHUP, terminated)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def hand_in(client: AsyncClient, spec: JobSpec | Uploaded, head_start: HeadStart) -> Job | None:
    """Submits the job, unless a quick command has. None: a signal came before, as of `hand_in_all`."""
    if head_start.accepted is not None:
        return job_of(head_start.accepted)
    job_id = head_start.job_id
    return await hand_in_all(client, lambda: client.submit(spec, id=job_id), [job_id], head_start)


async def hand_in_all(
    client: AsyncClient, submit: Callable[[], Awaitable[T]], ids: Sequence[str], head_start: HeadStart
) -> T | None:
    """Submits jobs of these ids. A signal before the answer cancels them, and this returns None; a second signal leaves
    without the scheduler's answer to the cancellation."""
    task = asyncio.current_task()
    assert task is not None
    taken_back = bool(head_start.signals)
    del head_start.signals[:1]
    on_signals(task.cancel, task.cancel)
    head_start.act_upon_signals()
    if not taken_back:
        try:
            head_start.sent = True
            return await submit()
        except asyncio.CancelledError:
            pass
    if head_start.sent:
        print(f"cluster: {await _take_back(client, ids)}", file=sys.stderr)
    return None


async def _take_back(client: AsyncClient, ids: Sequence[str]) -> str:
    """Cancels jobs that were on their way to the scheduler. Returns the line that tells what becomes of them."""
    what, it = ("the job", "it") if len(ids) == 1 else ("the jobs", "them")
    stop = f"cluster job cancel {ids[0]}{'' if len(ids) == 1 else ' …'}"
    try:
        jobs, _ = await client.cancel(*ids)
        return f"{named(jobs)} {'is' if len(jobs) == 1 else 'are'} being cancelled"
    except NotFound:  # they were not heard, or are not on disk yet
        return f"{what} may still get there: the scheduler does not know {it} yet; `{stop}` stops {it} then"
    except (ClusterError, asyncio.CancelledError) as error:
        why = printable(str(error)) or "the scheduler has not answered"
        return f"{what} may go on: {why}; `{stop}` stops {it}"


def named(jobs: Sequence[Job]) -> str:
    """What people call them."""
    ranges = IntervalSet((job.number, job.number + 1) for job in jobs).ranges()
    numbers = format_array([ArraySegment(start, stop - 1, 1) for start, stop in ranges])
    return f"job{'' if len(jobs) == 1 else 's'} {numbers}"


def _nothing() -> None:
    """Of several jobs most wait for others of them."""


class Follower:
    """Follows one job to its end, or several, in the order in which they wait for each other: so their output comes.

    Signals: on a terminal the first Ctrl-C asks, the second cancels, the third leaves. Without a terminal, and for
    SIGTERM or SIGHUP, the first one cancels.
    Output: when standard output takes nothing any more (its reader left, its disk is full), the job is cancelled, as a
    command that runs here would end. A full disk behind standard error ends no command, so the job goes on; where its
    own exit code is 0, we leave with IO_ERROR, because something is missing there.
    After cancelling we wait for the scheduler's answer, or the job might go on unseen. The next signal leaves without.
    """

    def __init__(
        self,
        client: AsyncClient,
        jobs: Sequence[Job],
        quiet: bool = False,
        head_start: HeadStart | None = None,
        files: TaskOutputFiles | None = None,
        tags: LineTags | None = None,
    ) -> None:
        """`files`: to which output is written, too. `tags`: what says before each line whose it is."""
        self._files, self._tags = files, tags
        self._client = client
        self._head_start = head_start or HeadStart(jobs[0].id)
        self._jobs, self._is_one = jobs, len(jobs) == 1
        self._latest = {job.number: job for job in jobs}
        shows_progress = not quiet and not (self._is_one and not jobs[0].is_array)
        self._progress = JobsProgress() if shows_progress else None
        self._what, self._goes, self._is = named(jobs), *(("goes", "is") if self._is_one else ("go", "are"))
        numbers = " ".join(str(job.number) for job in jobs[:MOST_NAMED])
        self._look = f"`cluster job logs -f {numbers}`" if self._is_one else f"`cluster job list {numbers}`"
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
        why = asyncio.get_running_loop().call_later(PATIENCE_BEFORE_WHY, self._say_why if self._is_one else _nothing)
        work = asyncio.gather(while_read(sys.stdout.fileno(), self._copy()), self._watch())
        try:
            futures: list[asyncio.Future[Any]] = [self._left, work]
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                return await self._leave()
            work.result()
        except Unreachable as error:
            follows = "follows it" if self._is_one else "tells"
            raise Unreachable(f"{error}; {self._what} may go on: {self._look} {follows}") from None
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
        jobs = list(self._latest.values())
        return (exit_code(jobs) if self._is_one else first_failure(jobs)) or (IO_ERROR if self._left_out else 0)

    async def or_left(self, beside: "asyncio.Task[Any]") -> None:
        """Waits for what goes on beside a job that has ended, or for a signal that says not to."""
        await asyncio.wait([beside, self._left], return_when=asyncio.FIRST_COMPLETED)

    @property
    def _have_ended(self) -> bool:
        return all(job.state.ended for job in self._latest.values())

    async def _copy(self) -> None:
        """Copies the jobs' output, as bytes, to our stdout and stderr."""
        writers = {False: Writer(sys.stdout.fileno()), True: Writer(sys.stderr.fileno())}
        beside_bar = {False: self._progress and sys.stdout.isatty(), True: self._progress and sys.stderr.isatty()}
        position = Position(*self._head_start.position) if self._head_start.position else None
        for stderr, data in self._head_start.unwritten:
            await self._write(writers[stderr], stderr, data)
        try:
            for job in self._jobs:
                await self._copy_of(job, position, writers, beside_bar)
            if self._files:
                self._files.end()
        finally:
            if self._files:
                self._files.close()

    async def _copy_of(
        self, job: Job, position: Position | None, writers: Mapping[bool, Writer], beside_bar: Mapping[bool, Any]
    ) -> None:
        from cluster.cli.render import note_of

        try:
            async for piece in self._client.logs(job.id, follow=True, position=position):
                await self._flowing.wait()
                if self._progress and beside_bar[piece.stderr]:
                    self._progress.hide()
                if piece.note:
                    print(note_of(piece), file=sys.stderr)
                elif self._files:
                    await asyncio.to_thread(self._files.write, piece)
                data = self._tags.tagged(piece) if self._tags else piece.data
                await self._write(writers[piece.stderr], piece.stderr, data)
                if self._progress and beside_bar[piece.stderr] and data.endswith(b"\n") and not self._asking:
                    self._progress.show()
            if self._tags:
                for stderr in (False, True):
                    await self._write(writers[stderr], stderr, self._tags.rest(stderr=stderr))
        except ClusterError as error:  # a worker that is lost took output along; the job has an end all the same
            if isinstance(error, _CUT_OFF) and not self._latest[job.number].state.ended:
                raise
            print(f"cluster: output of job {job.number} is missing: {printable(str(error))}", file=sys.stderr)

    async def _write(self, writer: Writer, stderr: bool, data: bytes) -> None:
        try:
            await writer.write(data)
        except OSError as error:
            if not stderr or isinstance(error, BrokenPipeError):
                raise
            self._left_out = True

    async def _watch(self) -> None:
        async for jobs in self._client.watch(*(job.id for job in self._jobs)):
            self._latest |= {job.number: job for job in jobs}
            if self._progress:
                self._progress.update(list(self._latest.values()))
        if not self._left.done() and self._have_ended and self._asking:
            self._answered("g")
            print(f"cluster: {self._what} {'has' if self._is_one else 'have'} ended meanwhile", file=sys.stderr)

    def _say_why(self) -> None:
        """Says why the job still waits. Where no worker can take it, that was said when it was submitted."""
        (first,), (job,) = self._jobs, self._latest.values()
        waits = job.state in (TaskState.READY, TaskState.WAITING)
        if waits and job.pending_because and not (job.no_worker_can and first.no_worker_can):
            remark(f"job {job.number} waits: {job.pending_because[0]}")

    async def _say_how_it_ended(self) -> None:
        """Says what the exit code does not: a signal, a time limit, a lost worker, how many tasks failed; and which of
        several jobs."""
        unwell = [job for job in self._latest.values() if job.state is not TaskState.SUCCEEDED]
        for job in unwell[:MOST_NAMED]:
            if not (self._is_one and endings.is_own_code(job.reason) and not job.is_array):
                await self._say_how(job)
        if unwell[MOST_NAMED:]:
            print(f"cluster: and {len(unwell) - MOST_NAMED} more", file=sys.stderr)

    async def _say_how(self, job: Job) -> None:
        from cluster.cli.render import why_of

        detail = ""
        with suppress(ClusterError):  # the end itself is known, with or without more words
            _, tasks = await self._client.get(job.id, max_tasks=1)  # of an array one that did not succeed
            if tasks and tasks[0].detail and tasks[0].reason == job.reason:
                detail = f": {tasks[0].detail}"
        name = "" if self._is_one else printable(f" ({job.spec.name})")
        line = f"cluster: job {job.number}{name} {job.state.word}{printable(why_of(job, detail))}"
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
            print(f"cluster: {self._what} may go on: the scheduler has not answered", file=sys.stderr)

    def _interrupted(self) -> None:
        if self._cancelling or self._have_ended:
            self._give_up()
        elif self._asking or not is_terminal():
            self._answered("c")
        else:
            self._ask()

    def _terminated(self) -> None:
        if self._cancelling or self._have_ended:
            self._give_up()
        else:
            self._answered("c")

    def _ask(self) -> None:
        self._asking = True
        self._flowing.clear()
        if self._progress:
            self._progress.hide()
        it = "it" if self._is_one else "them"
        sys.stderr.write(
            f"\ncluster: {self._what} {self._goes} on. [c]ancel {it}, [l]eave {it} running, [g]o on here? "
        )
        sys.stderr.flush()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), self._read_answer)

    def _read_answer(self) -> None:
        line = os.read(sys.stdin.fileno(), 1024)
        word = line.decode(errors="replace").strip().lower()[:1] or ("g" if line else "c")
        if word in "clg":
            self._answered(word, typed=bool(line))
        else:
            sys.stderr.write("c, l or g? ")
            sys.stderr.flush()

    def _answered(self, word: str, *, typed: bool = False) -> None:
        """c: cancel, l: leave, g: go on. What is `typed` has ended the question's line."""
        if self._asking:
            if not typed:
                print(file=sys.stderr)
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._asking = False
            if self._progress:
                self._progress.show()
            self._flowing.set()
        if word == "c":
            self._cancelling = asyncio.create_task(self._cancel())
            print(f"cluster: cancelling {self._what}", file=sys.stderr)
        elif word == "l":
            self._give_up()

    async def _cancel(self, reason: str = "") -> bool:
        try:
            await self._client.cancel(*(job.id for job in self._jobs), reason=reason)
        except ClusterError as error:
            print(f"cluster: {self._what} could not be cancelled: {printable(str(error))}", file=sys.stderr)
            return False
        return True

    def _give_up(self) -> None:
        for leaving in (self._left, self._left_at_once):
            if not leaving.done():
                leaving.set_result(None)
                return

    async def _leave(self) -> int:
        ended = "has ended" if self._is_one else "have ended"
        what = ended if self._have_ended else f"{self._goes} on"
        if self._cancelling:
            await self._wait_for_the_answer(self._cancelling)
            if not self._cancelling.done():
                what = "may go on: the scheduler has not answered"
            elif self._cancelling.result():
                what = f"{self._is} being cancelled"
        shows = "shows its output" if self._is_one else "tells"
        print(f"cluster: {self._what} {what}; {self._look} {shows}", file=sys.stderr)
        return INTERRUPTED

    async def _wait_for_the_answer(self, cancelling: asyncio.Task[bool]) -> None:
        """Waits until the scheduler has taken or refused the cancellation, or a signal says not to wait for that."""
        either: list[asyncio.Future[Any]] = [cancelling, self._left_at_once]
        done, _ = await asyncio.wait(either, timeout=PATIENCE_BEFORE_WHY, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            print("cluster: waiting for the scheduler to answer; once more leaves without", file=sys.stderr)
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
