"""Output of tasks for a reader, wherever it is: in the store, in the scheduler's files, or still on a worker.

Tasks come one after another in order of index, and of each task the attempts in order: a reader who follows a task that
is tried again sees the end of the first attempt, then the next. With `tail_lines` a task's reading begins with its last
attempt. Followers wait for tasks that have not started, and end when the task has.

Every generator is closed where it is used (aclosing), not when it happens to be collected: a reader who leaves must
give back its transfer at once.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from struct import iter_unpack

from cluster.domain.errors import NotFound, Unreachable
from cluster.domain.ids import AttemptKey
from cluster.domain.intervals import Range
from cluster.domain.job import PACKED, JobSpec, SmallOutput, TaskEnd
from cluster.domain.scheduler_core import SchedulerCore
from cluster.domain.states import TaskState
from cluster.scheduler.driver import Driver
from cluster.scheduler.outputs import OutputFiles, tail_of
from cluster.scheduler.relay import Relay
from cluster.scheduler.sessions import Sessions
from cluster.store.interface import Store
from cluster.v1 import jobs_pb2, scheduler_pb2

STRETCH = 4096  # tasks whose small outputs are fetched together: at most 32 MiB of them

Piece = tuple[bool, bytes]  # (stderr, data)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a reader asked for."""

    stdout: bool
    stderr: bool
    follow: bool
    tail_lines: int | None

    def streams(self) -> list[bool]:
        """As `stderr` flags."""
        return [flag for flag, wanted in ((False, self.stdout), (True, self.stderr)) if wanted]


class OutputReader:
    """Finds output. One for all readers."""

    def __init__(self, driver: Driver, files: OutputFiles, relay: Relay, sessions: Sessions) -> None:
        self.driver = driver
        self._files = files
        self._relay = relay
        self._sessions = sessions

    async def read(
        self, job: int, spec: JobSpec, ranges: tuple[Range, ...], wish: Wish
    ) -> AsyncGenerator[jobs_pb2.ReadOutputResponse, None]:
        """The output of these tasks of a job."""
        async with aclosing(self._read(job, ranges, wish)) as found:
            async for index, attempt, stderr, data in found:
                number = spec.number_of(index)
                yield jobs_pb2.ReadOutputResponse(
                    job=job, task_number=number, attempt=attempt, stderr=stderr, data=data
                )

    async def _read(
        self, job: int, ranges: tuple[Range, ...], wish: Wish
    ) -> AsyncGenerator[tuple[int, int, bool, bytes], None]:
        """(index, attempt, stderr, data). Stretches of plain successes are read at once, other tasks one by one."""
        for tasks in ranges:
            index = tasks.start
            while index < tasks.stop:
                stop = await self.driver.read(partial(_succeeded_until, job, index, min(tasks.stop, index + STRETCH)))
                if stop == index:
                    stop += 1
                    special, outputs = {index}, dict[int, SmallOutput]()
                else:
                    special, outputs = await self.driver.fetch(partial(_stretch, job, index, stop))
                for index in sorted({*special, *outputs}):
                    if index not in special:
                        for stderr in wish.streams():
                            data = outputs[index].stderr if stderr else outputs[index].stdout
                            if data:
                                yield index, 1, stderr, tail_of(data, wish.tail_lines)
                        continue
                    async with aclosing(_TaskReader(self, job, index, wish).read()) as pieces:
                        async for attempt, stderr, data in pieces:
                            yield index, attempt, stderr, data
                index = stop

    async def ended(self, end: TaskEnd, wish: Wish, skip: Mapping[bool, int]) -> AsyncGenerator[Piece, None]:
        """The whole output of an attempt that has ended, without the first `skip` bytes of each stream."""
        key = AttemptKey(end.job, end.index, end.attempt)
        small = await self.driver.fetch(lambda store: store.small_output(key))
        if small:
            for stderr in wish.streams():
                data = small.stderr if stderr else small.stdout
                if rest := tail_of(data, wish.tail_lines)[skip[stderr] :]:
                    yield stderr, rest
            return
        if not end.output_bytes:
            return
        if not self._files.has(key):
            try:
                async with aclosing(self.live(key, end.worker_id, wish, skip)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            except NotFound:
                if not self._files.has(key):  # else it was taken in at this very moment
                    raise
        async with aclosing(self._from_files(key, wish, skip)) as pieces:
            async for piece in pieces:
                yield piece

    async def live(
        self, key: AttemptKey, worker_id: str, wish: Wish, skip: Mapping[bool, int]
    ) -> AsyncGenerator[Piece, None]:
        """As the worker sends it. NotFound when it has no such output, Unreachable when it cannot be asked."""
        line = self._sessions.line_of(worker_id)
        if line is None:
            name = await self.driver.read(lambda core: core.workers[worker_id].record.name)
            raise Unreachable(
                f"the output of {key} is on worker {name}, which is not connected; try again when it is back"
            )
        wanted = scheduler_pb2.OpenOutput(
            job=key.job,
            index=key.index,
            attempt=key.attempt,
            stdout=wish.stdout,
            stderr=wish.stderr,
            follow=wish.follow,
            tail_lines=wish.tail_lines,
        )
        left = dict(skip)
        with self._relay.transfer(line, wanted) as transfer:
            async for stderr, data in transfer.pieces():
                skipped = min(left[stderr], len(data))
                left[stderr] -= skipped
                if skipped < len(data):
                    yield stderr, data[skipped:]

    async def _from_files(self, key: AttemptKey, wish: Wish, skip: Mapping[bool, int]) -> AsyncGenerator[Piece, None]:
        for stderr in wish.streams():
            pieces = self._files.read(key, stderr, wish.tail_lines, skip[stderr])
            while data := await asyncio.to_thread(next, pieces, b""):
                yield stderr, data


def _succeeded_until(job: int, start: int, stop: int, core: SchedulerCore) -> int:
    """The end of the stretch of successes that begins at `start`; `start` itself if there is none."""
    stretch = core.jobs[job].sets[TaskState.SUCCEEDED].overlap(start, stop)
    return stretch[0].stop if stretch and stretch[0].start == start else start


def _stretch(job: int, start: int, stop: int, store: Store) -> tuple[set[int], dict[int, SmallOutput]]:
    """Of tasks that all have succeeded: those that need a closer look (large output, several attempts), and the small
    outputs of the others. Whoever is in neither has written nothing."""
    outputs = {output.index: output for output in store.small_outputs(job, start, stop)}
    special = set[int]()
    for ok in store.ok_ends(job, start, stop, stop - start):
        part = ok.part(max(start, ok.first), min(stop, ok.stop))
        waiting = (bytes_waiting for *_, bytes_waiting in iter_unpack(PACKED, part.packed))
        tasks = zip(range(part.first, part.stop), waiting, strict=True)
        special.update(index for index, large in tasks if large or ok.attempt > 1)
    return special, outputs


class _TaskReader:
    """Reads one task's attempts one after another."""

    def __init__(self, output: OutputReader, job: int, index: int, wish: Wish) -> None:
        self._output = output
        self._driver = output.driver
        self._job = job
        self._index = index
        self._wish = wish
        self._shown = 0  # the last attempt that was given in full
        self._given = {False: 0, True: 0}  # bytes of the attempt after that
        self._over = False

    async def read(self) -> AsyncGenerator[tuple[int, bool, bytes], None]:
        """(attempt, stderr, data)"""
        async with aclosing(self._driver.watchers.changes([self._job])) as changes:
            async for _ in changes:
                async with aclosing(self._read_on()) as pieces:
                    async for piece in pieces:
                        yield piece
                if self._over or not self._wish.follow:
                    return

    async def _read_on(self) -> AsyncGenerator[tuple[int, bool, bytes], None]:
        """All that is to be had before the task changes again."""
        self._driver.check()
        self._over, worker_id, attempt = await self._driver.read(self._where)
        # Asked after the core, so that every end that the core knows of is among them.
        ends = await self._driver.fetch(lambda store: store.ends_of_task(self._job, self._index))
        if self._wish.tail_lines is not None:
            ends = [] if worker_id else ends[-1:]
        for end in ends:
            if end.attempt > self._shown:
                async with aclosing(self._output.ended(end, self._wish, self._given)) as pieces:
                    async for stderr, data in pieces:
                        yield end.attempt, stderr, data
                self._next_attempt(end.attempt)
        if worker_id and attempt > self._shown:
            key = AttemptKey(self._job, self._index, attempt)
            try:
                async with aclosing(self._output.live(key, worker_id, self._wish, dict(self._given))) as pieces:
                    async for stderr, data in pieces:
                        self._given[stderr] += len(data)
                        yield attempt, stderr, data
                self._next_attempt(attempt)
            except NotFound:
                pass  # it has not begun, or has just ended: either will be a change
            except Unreachable:
                resumable = self._wish.tail_lines is None or not any(self._given.values())
                if not (self._wish.follow and resumable):
                    raise
                # Goes on when the worker is back, or the attempt lost.

    def _next_attempt(self, shown: int) -> None:
        self._shown = shown
        self._given = {False: 0, True: 0}

    def _where(self, core: SchedulerCore) -> tuple[bool, str, int]:
        """(whether the task has ended, the worker that holds it, in which attempt)"""
        job = core.jobs[self._job]
        for (worker_id, attempt), tasks in job.held.items():
            if self._index in tasks:
                return False, worker_id, attempt
        return any(self._index in job.sets[state] for state in TaskState if state.ended), "", 0
