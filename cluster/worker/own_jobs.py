"""Jobs that were started on this worker itself: same launcher, same outputs, no scheduler and no lease.

A job is on disk before the launcher hears of it, and its launcher's incarnation with it. So after a crash in between
it is known whether it can have run: with the same incarnation, a job that the launcher does not know never started.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from cluster.domain.errors import Conflict, InvalidInput, Unreachable
from cluster.domain.ids import AttemptKey
from cluster.domain.job import JobSpec, validate
from cluster.domain.launcher_events import Ended, Started
from cluster.domain.reporting import exit_code
from cluster.domain.selectors import check_name
from cluster.domain.states import TaskState
from cluster.domain.worker_messages import OWN
from cluster.worker.agent import Agent
from cluster.worker.own_store import OwnJob, OwnStore, OwnStoreFailed
from cluster.worker.readers import Phase
from cluster.worker.templates import Templates

logger = logging.getLogger(__name__)

_PHASES = {TaskState.READY: Phase.QUEUED, TaskState.RUNNING: Phase.RUNNING}

FIRST_PAUSE, LONGEST_PAUSE = (
    0.5,
    5.0,
)  # seconds before what could not be written is tried again; twice as long each time
LOST_EXIT = 70  # EX_SOFTWARE, as the scheduler says it of a task whose end nobody knows
_SPECIAL_EXITS = {"lost": LOST_EXIT, "withdrawn": 143}  # stopped before it ran: 128 + SIGTERM, as if it had begun


def key_of(number: int) -> AttemptKey:
    """The launcher's key of a job: it is a task of job 0, in its first and only attempt."""
    return AttemptKey(OWN, number, 1)


class OwnJobs:
    """Starts, stops and remembers them. `agent` is asked for because the two need each other."""

    def __init__(self, store: OwnStore, templates: Templates, agent: Callable[[], Agent]) -> None:
        self._store = store
        self._templates = templates
        self._agent = agent
        self._waiting: dict[int, set[asyncio.Event]] = {}
        self._unsaved: dict[int, OwnJob] = {}  # what could not be written yet; nobody is told of it
        self._pause = FIRST_PAUSE
        self._closed = self._stopping = False

    @property
    def store(self) -> OwnStore:
        """To read from."""
        return self._store

    def start(self, job_id: str, owner: str, spec: JobSpec) -> OwnJob:
        """Accept a job; the same id again answers the same job. InvalidInput, Conflict, or Unreachable (no launcher, or
        the worker ends, and nothing was accepted)."""
        known = self._store.by_id(job_id)
        if known is not None:
            if known.owner != owner:
                raise Conflict(f"job id {job_id} is taken: make a new UUID for each job")
            return known
        validate(spec)
        check_name(spec.name)
        if spec.is_array:
            raise InvalidInput("an array needs a scheduler to spread it: a worker's own job has one task")
        if spec.retries:
            raise InvalidInput(f"{spec.retries} retries need a scheduler: a worker's own job is tried once")
        if self._closed:
            raise Unreachable("this worker is being stopped, and takes no more jobs; try again when it is back")
        launcher = self._agent().launcher_or_error()
        self._agent().expect_room()
        incarnation = launcher.hello.incarnation
        job = OwnJob(self._store.next_number(), job_id, owner, spec, time.time(), incarnation)
        self._store.save([job])
        logger.info("job %d: accepted from %s", job.number, owner)
        self._launch(job)
        with suppress(OwnStoreFailed):  # the next one will
            if gone := self._store.forget_old(job.number):
                self._agent().outputs.remove(tuple(key_of(number) for number in gone))
        return job

    def stop(self, job: OwnJob, grace: float | None, by: str, reason: str) -> None:
        """Stop a job and its whole tree. One that has ended stays as it is."""
        if job.state.ended:
            return
        launcher = self._agent().launcher_or_error()  # before anything is written down that does not happen then
        job = replace(self._latest(job), cancelled_by=by, cancel_reason=reason)
        saved = self._save([job])
        launcher.stop([str(key_of(job.number))], "cancelled", grace)
        if not saved:  # stopping needs no disk, and it may be the very job that fills it
            raise OwnStoreFailed(f"job {job.number} is being stopped, but the disk does not take that down just now")
        logger.info("job %d: stopping, as %s asked%s", job.number, by, f": {reason}" if reason else "")

    def close(self) -> None:
        """Accept no more: the launcher is about to go, and would take them along."""
        self._closed = True

    async def stop_all(self) -> None:
        """The worker ends and takes its jobs along: returns when all have ended."""
        self._stopping = True
        self._stop_unfinished()
        await self.all_ended()

    async def all_ended(self) -> None:
        """Returns when none is unfinished."""
        for job in self._unfinished():
            await self.ended(job.number)

    @property
    def left(self) -> int:
        """How many are unfinished."""
        return len(self._unfinished())

    def _stop_unfinished(self) -> None:
        """Without a launcher it is for the next one, which is told as soon as it is there."""
        launcher, unfinished = self._agent().launcher, self._unfinished()
        if launcher is not None and unfinished:
            launcher.stop([str(key_of(job.number)) for job in unfinished], "cancelled", None)

    async def ended(self, number: int) -> OwnJob | None:
        """Waits for the job's end. None when there is no such job (any more)."""
        event = asyncio.Event()
        waiting = self._waiting.setdefault(number, set())
        waiting.add(event)
        try:
            while (job := self._store.get(number)) is not None and not job.state.ended:
                event.clear()
                await event.wait()
            return job
        finally:
            waiting.discard(event)
            if not waiting:
                self._waiting.pop(number, None)

    # -- what the agent asks and tells

    def phase_of(self, number: int) -> Phase:
        """How far a job is, for whoever reads its output."""
        job = self._store.get(number)
        if job is None:
            return Phase.UNKNOWN
        return _PHASES.get(job.state, Phase.ENDED)

    def limits(self) -> dict[int, int]:
        """Of those that run: how many bytes of each stream are kept."""
        running = (job for job in self._store.unfinished() if job.state is TaskState.RUNNING)
        return {job.number: job.spec.max_output for job in running}

    def handed_over(self, reports: Sequence[Started | Ended]) -> None:
        """Reports of the launcher, in order. On disk when this returns, unless `all_saved` says no. Said twice they
        change nothing."""
        changed: dict[int, OwnJob] = {}
        for report in reports:
            number = AttemptKey.parse(report.key).index
            job = changed.get(number) or self._unsaved.get(number) or self._store.get(number)
            if job is not None and not job.state.ended:
                changed[number] = _after(job, report)
        self._save(changed.values())

    def launcher_held(self, incarnation: str, held: set[AttemptKey]) -> None:
        """A launcher is there, and this is all it has or has reported: settle what it does not know."""
        now, settled = time.time(), []
        for job in self._unfinished():
            if key_of(job.number) in held:
                if job.cancelled_by:  # an agent may have been killed between writing that down and telling the launcher
                    self._stop_held(job)
                continue
            if job.incarnation != incarnation or job.state is not TaskState.READY:
                logger.warning("job %d: lost, its launcher died and nobody knows how it ended", job.number)
                end = replace(job, state=TaskState.FAILED, reason="lost", exit_code=LOST_EXIT, ended_at=now)
                settled.append(end)
            elif job.cancelled_by:  # the launcher that was to stop it was dead, and nobody had noticed
                code = _SPECIAL_EXITS["withdrawn"]
                end = replace(job, state=TaskState.CANCELLED, reason="cancelled", exit_code=code, ended_at=now)
                settled.append(end)
            else:
                with suppress(Unreachable):  # this one has died as well: then the next one starts it
                    self._launch(job)
        self._save(settled)
        if self._stopping:
            self._stop_unfinished()

    def _stop_held(self, job: OwnJob) -> None:
        """Once more, which changes nothing where the launcher knows."""
        if launcher := self._agent().launcher:
            launcher.stop([str(key_of(job.number))], "cancelled", None)

    def _launch(self, job: OwnJob) -> None:
        template = self._templates.make(OWN, job.id, job.spec, None, shown=job.number)
        self._agent().start_own(key_of(job.number), template)

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

    def _latest(self, job: OwnJob) -> OwnJob:
        return self._unsaved.get(job.number, job)

    def _unfinished(self) -> list[OwnJob]:
        return [job for job in map(self._latest, self._store.unfinished()) if not job.state.ended]

    def _save(self, jobs: Collection[OwnJob]) -> bool:
        """Whether they are on disk. If not they wait, and it is tried again."""
        waiting = bool(self._unsaved)
        self._unsaved |= {job.number: job for job in jobs}
        return not waiting and (not jobs or self._save_what_waits())

    def _save_what_waits(self) -> bool:
        try:
            self._store.save(self._unsaved.values())
        except OwnStoreFailed as error:
            if self._pause == FIRST_PAUSE:
                logger.warning("%s: it is tried again, and what runs goes on", error)
            asyncio.get_running_loop().call_later(self._pause, self._save_what_waits)
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
            return False
        saved, self._unsaved, self._pause = self._unsaved, {}, FIRST_PAUSE
        for number in saved:
            for event in self._waiting.get(number, ()):
                event.set()
        self._agent().own_jobs_saved()
        return True


def _after(job: OwnJob, report: Started | Ended) -> OwnJob:
    if isinstance(report, Started):
        return replace(job, state=TaskState.RUNNING, started_at=report.at / 1e6)
    if report.reason == "ok":
        state, reason = TaskState.SUCCEEDED, "ok"
    elif report.reason in ("cancelled", "withdrawn"):
        state, reason = TaskState.CANCELLED, "cancelled"
    else:
        state, reason = TaskState.FAILED, report.reason
    ended_at = (report.started_at + report.duration) / 1e6 or time.time()
    return replace(
        job,
        state=state,
        reason=reason,
        exit_code=_SPECIAL_EXITS.get(report.reason) or exit_code(report),
        signal=report.signal or "",
        detail=report.text,
        started_at=report.started_at / 1e6,
        ended_at=ended_at,
        cpu_seconds=report.cpu / 1e6,
        peak_memory=report.peak * 1024,
    )
