"""Jobs that were started on this worker itself: same launcher, same outputs, no scheduler and no lease.

A job is on disk before the launcher hears of it, and its launcher's incarnation with it. So after a crash in between
it is known whether it can have run: with the same incarnation, a job that the launcher does not know never started.

The disk may hang. So the jobs that have not ended are kept in memory too, and the store is read and written in a lane:
whoever asks for a job of this kind waits for it, and never the event loop, where the scheduler's leases are renewed.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from typing import TypeVar

from cluster.domain.base.errors import Conflict, NotFound, Unreachable
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job import endings
from cluster.domain.job.keys import id_in_force, refuse_another
from cluster.domain.job.selectors import check_name
from cluster.domain.job.spec import JobSpec, refuse_what_needs_a_scheduler, validate
from cluster.domain.job.states import TaskState
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.worker.journal import JournalEntry
from cluster.domain.worker.messages import OWN
from cluster.worker.agent import Agent
from cluster.worker.output.lanes import Lanes
from cluster.worker.output.readers import OutputPhase
from cluster.worker.own.store import OwnJob, OwnStore, OwnStoreFailed
from cluster.worker.templates import Templates

logger = logging.getLogger(__name__)

_PHASES = {TaskState.READY: OutputPhase.UNSTARTED, TaskState.RUNNING: OutputPhase.RUNNING}

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0  # seconds before a write that failed is tried again; twice as long each time
PATIENCE = 10.0  # seconds that who starts, stops or asks for a job waits for the disk


def key_of(number: int) -> AttemptKey:
    """The launcher's key of a job: it is a task of job 0, in its first and only attempt."""
    return AttemptKey(OWN, number, 1)


class OwnJobs:
    """Starts, stops and remembers them. `agent` is asked for because the two need each other."""

    def __init__(self, store: OwnStore, templates: Templates, agent: Callable[[], Agent]) -> None:
        """Reads from the store what has not ended."""
        self._store = store
        self._lanes = Lanes(threads=1)
        self._templates = templates
        self._agent = agent
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self._alive = {job.number: job for job in store.unfinished()}  # as they are on disk
        self._highest = store.next_number() - 1
        self._unsaved: dict[int, OwnJob] = {}  # what is not on disk yet; nobody is told of it
        self._not_launched: set[int] = set()  # accepted since this agent began, and told to no launcher yet
        self._saving: asyncio.Task[None] | None = None
        self._accepting: set[asyncio.Task[OwnJob]] = set()
        self._looking: set[asyncio.Task[None]] = set()  # for scripts of jobs that are launched anew
        self._failing = False  # the disk took down nothing when it was last tried
        self._closed = self._stopping = False

    async def read(self, ask: Callable[[OwnStore], T]) -> T:
        """What the store answers; it may be asked for much at once. OwnStoreFailed when the disk does not answer."""
        try:
            return await self._lanes.run(self, lambda: ask(self._store), PATIENCE)
        except OSError:
            raise OwnStoreFailed(f"{self._store.path} does not answer: its disk hangs; try again later") from None

    async def start(self, job_id: str, owner: str, spec: JobSpec) -> OwnJob:
        """Accept a job; the same id or key again answers the same job. InvalidInput, Conflict, Unreachable (no
        launcher, or the worker ends, and nothing was accepted), or OwnStoreFailed (it may have been accepted)."""
        job_id = id_in_force(job_id, owner, spec)
        if known := await self.read(lambda store: store.by_id(job_id)):
            refuse_another(known.number, known.spec, spec)
            return _of_owner(known, owner)
        validate(spec)
        check_name(spec.name)
        refuse_what_needs_a_scheduler(spec)
        await self._agent().expect_room()
        if spec.script:
            await self._templates.find_script(spec.script, self._agent().readers.lanes)
        if self._closed:
            raise Unreachable("this worker is being stopped, and takes no more jobs; try again when it is back")
        launcher = self._agent().launcher_or_error()
        wanted = OwnJob(0, job_id, owner, spec, time.time(), launcher.hello.incarnation)
        # Whoever asks may leave before it is on disk; it is started all the same, or it would be one that never runs.
        accepting = asyncio.create_task(self._accept(wanted))
        self._accepting.add(accepting)
        accepting.add_done_callback(self._accepted)
        done, _ = await asyncio.wait({accepting}, timeout=PATIENCE)
        if not done:
            raise OwnStoreFailed(f"{self._store.path} does not answer: its disk hangs; look later whether it was taken")
        return accepting.result()

    def _accepted(self, accepting: "asyncio.Task[OwnJob]") -> None:
        self._accepting.discard(accepting)
        if not accepting.cancelled() and (error := accepting.exception()):
            logger.debug("a job was not accepted: %s", error)  # told to who asked, unless that one has left

    async def _accept(self, wanted: OwnJob) -> OwnJob:
        """Waits for the disk as long as it takes."""
        job, is_new, gone = await self._lanes.run(self, lambda: _take_down(self._store, wanted), inf)
        if not is_new:  # the same id came twice at once, and the other one starts it
            return _of_owner(job, wanted.owner)
        self._alive[job.number] = job
        self._highest = max(self._highest, job.number)
        logger.info("job %d: accepted from %s", job.number, job.owner)
        self._not_launched.add(job.number)
        with suppress(Unreachable):  # the launcher died meanwhile: the next one is told
            self._launch(job)
        if self._stopping:
            self._stop_unfinished()
        if gone:
            self._agent().outputs.remove(tuple(key_of(number) for number in gone))
        return job

    async def stop(self, number: int, grace: float | None, by: str, reason: str) -> None:
        """Stop a job and its whole tree. One that has ended stays as it is."""
        job = self._latest(number)
        if job is None or job.state.ended:
            return
        self._agent().launcher_or_error()  # before anything is written down that does not happen then
        self._save([replace(job, cancelled_by=by, cancel_reason=reason)])
        saved = await self._is_saved(number)
        launcher = self._agent().launcher_or_error()  # where it died meanwhile, the next one is told
        launcher.stop([str(key_of(number))], endings.CANCELLED, grace)
        if not saved:  # stopping needs no disk, and it may be the very job that fills it
            raise OwnStoreFailed(f"job {number} is being stopped, but the disk does not take that down just now")
        logger.info("job %d: stopping, as %s asked%s", number, by, f": {reason}" if reason else "")

    async def record(self, number: int, status: str) -> OwnJob:
        """Takes down what somebody says of a job; how it is now. NotFound, or OwnStoreFailed."""
        job = self._latest(number) or await self.read(lambda store: store.get(number))
        if job is None:
            raise NotFound("the job is no longer kept")
        job = replace(self._latest(number) or job, recorded=status, recorded_at=time.time())
        self._save([job])
        if not await self._is_saved(number):
            raise OwnStoreFailed(f"what is said of job {number} cannot be written just now; try again later")
        return job

    async def close(self) -> None:
        """Accept no more: the launcher is about to go, and would take them along."""
        self._closed = True
        if self._accepting:
            await asyncio.wait(self._accepting, timeout=PATIENCE)

    def close_store(self) -> None:
        """Behind what is under way, without waiting for it."""
        for task in (*self._accepting, *self._looking, *([self._saving] if self._saving else ())):
            task.cancel()
        self._lanes.post(self, self._store.close)
        self._lanes.close()

    async def stop_all(self) -> None:
        """The worker ends and takes its jobs along: returns when all have ended."""
        self._stopping = True
        self._stop_unfinished()
        await self.all_ended()

    async def all_ended(self) -> None:
        """Returns when none is unfinished."""
        while unfinished := self.unfinished():
            await self._has_ended(unfinished[0].number)

    @property
    def left(self) -> int:
        """How many are unfinished."""
        return len(self.unfinished())

    def _stop_unfinished(self) -> None:
        """Stops them. Where there is no launcher the next one is told, as soon as it is there."""
        launcher, unfinished = self._agent().launcher, self.unfinished()
        if launcher is not None and unfinished:
            launcher.stop([str(key_of(job.number)) for job in unfinished], endings.CANCELLED, None)

    async def ended(self, number: int) -> OwnJob | None:
        """Waits for the job's end. None when there is no such job (any more)."""
        await self._has_ended(number)
        return await self.read(lambda store: store.get(number))

    async def _has_ended(self, number: int) -> None:
        while number in self._alive:
            await self._changed(number)

    async def _is_saved(self, number: int) -> bool:
        """Whether what is known of it is on disk; waits a while for that, as long as it has not failed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while number in self._unsaved and not self._failing:
                    await self._changed(number)
        return number not in self._unsaved

    async def _changed(self, number: int) -> None:
        """Returns when something of it has come to disk, or has failed to."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(number, set())
        waiting.add(event)
        try:
            await event.wait()
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(number, None)

    # -- what the agent asks and tells

    def phase_of(self, number: int) -> OutputPhase:
        """How far a job is, for whoever reads its output."""
        if job := self._alive.get(number):
            return _PHASES.get(job.state, OutputPhase.ENDED)
        return OutputPhase.ENDED if number <= self._highest else OutputPhase.UNKNOWN

    def limits(self) -> dict[int, int]:
        """How many bytes of each stream are kept of those that run, by number."""
        running = (job for job in self._alive.values() if job.state is TaskState.RUNNING)
        return {job.number: job.spec.max_output for job in running}

    def unfinished(self) -> list[OwnJob]:
        """The unfinished ones by number. What has ended and is not on disk yet is not among them."""
        latest = {**self._alive, **self._unsaved}
        return [job for _, job in sorted(latest.items()) if not job.state.ended]

    def handed_over(self, reports: Sequence[JournalEntry]) -> None:
        """Reports of the launcher, in order; `all_saved` says when they are on disk. Said twice they change nothing."""
        changed: dict[int, OwnJob] = {}
        for key, report in reports:
            job = changed.get(key.index) or self._latest(key.index)
            if job is not None and not job.state.ended:
                changed[key.index] = _after(job, report)
        self._save(changed.values())

    def launcher_held(self, incarnation: str, held: set[AttemptKey]) -> None:
        """A launcher is there, and this is all it has or has reported: settle what it does not know."""
        now, settled = time.time(), []
        for job in self.unfinished():
            if key_of(job.number) in held:
                if job.cancelled_by:  # an agent may have been killed between writing that down and telling the launcher
                    self._stop_held(job)
                continue
            launched = job.number not in self._not_launched
            if (job.incarnation != incarnation and launched) or job.state is not TaskState.READY:
                logger.warning("job %d: lost, its launcher died and nobody knows how it ended", job.number)
                settled.append(_ended(job, endings.LOST, at=now))
            elif job.cancelled_by:  # the launcher that was to stop it was dead, and nobody had noticed
                settled.append(_ended(job, endings.CANCELLED, at=now))
            else:
                self._launch_anew(job)
        self._save(settled)
        if self._stopping:
            self._stop_unfinished()

    def _stop_held(self, job: OwnJob) -> None:
        """Tells the launcher to stop it; told twice that changes nothing."""
        if launcher := self._agent().launcher:
            launcher.stop([str(key_of(job.number))], endings.CANCELLED, None)

    def _launch_anew(self, job: OwnJob) -> None:
        """By another launcher than it was accepted for. Its script is looked for beside this, since that may hang."""
        if job.spec.script:
            looking = asyncio.create_task(self._look_and_launch(job))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)
            return
        with suppress(Unreachable):  # this one has died as well: then the next one starts it
            self._launch(job)

    async def _look_and_launch(self, job: OwnJob) -> None:
        """Meanwhile it may be stopped, or yet another launcher come, which is asked to start it too: once is enough."""
        await self._templates.find_script(job.spec.script, self._agent().readers.lanes)
        latest = self._latest(job.number)
        if latest is None or latest.state is not TaskState.READY:
            return
        if latest.cancelled_by:
            self._save([_ended(latest, endings.CANCELLED, at=time.time())])
            return
        with suppress(Unreachable):
            self._launch(latest)
        if self._stopping:
            self._stop_unfinished()

    def _launch(self, job: OwnJob) -> None:
        template = self._templates.make(OWN, job.id, job.spec, None, shown=job.number)
        self._agent().start_own(key_of(job.number), template)
        self._not_launched.discard(job.number)

    @property
    def all_saved(self) -> bool:
        """Whether all that launchers have said is on disk, so that they may forget it."""
        return not self._unsaved

    async def unsaved_for(self, patience: float) -> None:
        """Returns when the disk has taken down nothing for so many seconds, though there is something."""
        while True:
            before = dict(self._unsaved)
            await asyncio.sleep(patience)
            if before and before.keys() <= self._unsaved.keys():
                return

    def _latest(self, number: int) -> OwnJob | None:
        """The latest that is known of a job that had not ended, on disk or not."""
        return self._unsaved.get(number) or self._alive.get(number)

    def _save(self, jobs: Iterable[OwnJob]) -> None:
        """They come to disk as soon as that takes them."""
        self._unsaved |= {job.number: job for job in jobs}
        if self._unsaved and self._saving is None:
            self._saving = asyncio.create_task(self._save_what_waits())

    async def _save_what_waits(self) -> None:
        pause = FIRST_PAUSE
        while batch := dict(self._unsaved):
            try:
                await self.read(partial(OwnStore.save, jobs=batch.values()))
            except OwnStoreFailed as error:
                if not self._failing:
                    logger.warning("%s: it is tried again, and what runs goes on", error)
                self._failing = True
                self._wake(batch)
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, 2 * pause)
                continue
            self._failing, pause = False, FIRST_PAUSE
            self._are_saved(batch)
        self._saving = None

    def _are_saved(self, jobs: dict[int, OwnJob]) -> None:
        for number, job in jobs.items():
            if self._unsaved[number] is job:  # else it has changed meanwhile
                del self._unsaved[number]
            if job.state.ended:
                self._alive.pop(number, None)
            else:
                self._alive[number] = job
        self._wake(jobs)
        self._agent().own_jobs_saved([key_of(number) for number in jobs])

    def _wake(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            for event in self._waiting.get(number, ()):
                event.set()


def _of_owner(job: OwnJob, owner: str) -> OwnJob:
    if job.owner != owner:
        raise Conflict(f"job id {job.id} is taken: make a new UUID for each job")
    return job


def _take_down(store: OwnStore, wanted: OwnJob) -> tuple[OwnJob, bool, list[int]]:
    """The job as it is on disk, with its number; whether it is a new one; and the numbers of old ones that were
    forgotten for it."""
    if known := store.by_id(wanted.id):
        return known, False, []
    job = replace(wanted, number=store.next_number())
    store.save([job])
    with suppress(OwnStoreFailed):  # the next one will
        return job, True, store.forget_old(job.number)
    return job, True, []


def _after(job: OwnJob, report: Started | Ended) -> OwnJob:
    if isinstance(report, Started):
        return replace(job, state=TaskState.RUNNING, started_at=report.at / 1e6)
    reason = endings.CANCELLED if report.reason == endings.RETURNED else report.reason
    ended_at = (report.started_at + report.duration) / 1e6 or time.time()
    return replace(
        _ended(job, reason, report.code, report.signal, at=ended_at),
        signal=report.signal or "",
        detail=report.text,
        started_at=report.started_at / 1e6,
        cpu_seconds=report.cpu / 1e6,
        peak_memory=report.peak * 1024,
    )


def _ended(job: OwnJob, reason: str, code: int | None = None, signal: str | None = None, *, at: float) -> OwnJob:
    state, told = endings.state_of(reason), endings.exit_code(reason, code, signal)
    return replace(job, state=state, reason=reason, exit_code=told, ended_at=at)
