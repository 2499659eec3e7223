"""Results: taking in what attempts have left for keeps, telling who has left what, and giving it out."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial

from cluster.domain.base.errors import NotFound
from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.intervals import IntervalSet
from cluster.domain.files.pieces import ContentPiece
from cluster.domain.job import endings
from cluster.domain.job.results import EndedAttempt, KeptResults, ResultsState, WantedResults, wanted_results
from cluster.domain.job.selectors import Selection
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import ENDED
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.retention import FilesExpired
from cluster.domain.trust.identity import Caller
from cluster.scheduler.access import select_some
from cluster.scheduler.driver import Driver
from cluster.scheduler.job_reading import JobReader
from cluster.scheduler.operations.contents import check_digests, messages_of, sender_of
from cluster.scheduler.own_attempts import own_among
from cluster.scheduler.sessions import Line
from cluster.scheduler.threads import to_its_end
from cluster.store.contents.interface import Contents
from cluster.store.interface import Store

TASKS_AT_ONCE = 1000  # that are looked up, and told of, together
# Seconds after which a worker that has gone is missed, and one that is there is asked where results are that have not
# come: an earlier agent may have begun to send them, and somebody may have removed their directory since.
PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class ShownResults:
    """Of one task: what its last attempt has left, or the one that was selected."""

    kept: KeptResults
    task_number: int
    state: ResultsState
    worker: str = ""  # its name, where they are not here,
    worker_id: str = ""  # and its id


class _Late:
    """Which results a follower waits for, since when, and whom it has asked for them."""

    def __init__(self) -> None:
        self._since: dict[AttemptKey, float] = {}  # by the loop's clock
        self._asked: dict[AttemptKey, Line] = {}

    def look(self, coming: Iterable[tuple[AttemptKey, Line | None]]) -> None:
        """These are not here yet; each with the session of its worker. Each session is asked once for each."""
        now = asyncio.get_running_loop().time()
        for key, line in coming:
            if now - self._since.setdefault(key, now) >= PATIENCE / 2 and line and self._asked.get(key) is not line:
                self._asked[key] = line
                line.ask_results([key])

    def forget(self, key: AttemptKey) -> None:
        """It was told."""
        self._since.pop(key, None)
        self._asked.pop(key, None)


@dataclass(slots=True)
class _Followed:
    """How far a job has been told."""

    job: JobReader
    spec: JobSpec
    tasks: IntervalSet  # that are still to be told
    attempts: dict[int, int] = field(default_factory=dict)  # by index, where one was selected
    late: _Late = field(default_factory=_Late)
    expired: FilesExpired | None = None  # None: its files are kept; else all but those of these trees went
    still: Collection[bytes] = ()


class ResultOperations:
    def __init__(self, driver: Driver, contents: Contents, line_of: Callable[[str], Line | None]) -> None:
        """`line_of` answers the session of the worker with that id."""
        self._driver, self._contents, self._line_of = driver, contents, line_of

    # -- for workers

    async def wanted(self, caller: Caller, key: AttemptKey) -> WantedResults | None:
        """What of the files of an attempt of the calling worker's is to be kept. NotFound for another's."""
        if not await own_among(self._driver, caller.identity.name, [key]):
            raise NotFound(f"job {key.job}: {key.in_words} is not known as yours")
        return wanted_results(await JobReader(self._driver, key.job).spec())

    async def keep(self, caller: Caller, results: Sequence[KeptResults]) -> list[int]:
        """What attempts of the calling worker have left is on disk when this returns. The places of those that are not,
        and were not, its own. MissingContents where it has not sent all of what a tree names."""
        for kept in results:
            kept.check()
        own = await own_among(self._driver, caller.identity.name, [kept.key for kept in results])
        mine = [kept for kept in results if kept.key in own]
        by_job: dict[int, set[bytes]] = {}
        for kept in mine:
            if kept.tree:
                by_job.setdefault(kept.job, set()).add(bytes.fromhex(kept.tree))
        for number, trees in by_job.items():
            job_id, owner = await JobReader(self._driver, number).read(lambda job: (job.record.id, job.record.owner))
            await to_its_end(partial(self._contents.use, job_id, sender_of(caller), sorted(trees), owner=owner))
        if mine:
            await self._driver.save(*mine)
            for number in {kept.job for kept in mine}:
                self._driver.watchers.changed(number)
        return [place for place, kept in enumerate(results) if kept.key not in own]

    # -- for users

    async def listed(
        self, caller: Caller, selectors: Sequence[str], *, follow: bool
    ) -> AsyncGenerator[Sequence[ShownResults], None]:
        """What the selected tasks have left, some at a time. With `follow` each is told when its task has ended and its
        results are here; at the end those that will not come soon."""
        selection = await select_some(self._driver, caller, selectors)
        followed = [await self._followed(selection, number) for number in selection.numbers()]
        if not any(each.spec.out for each in followed):
            raise NotFound(_none_asked_for(followed))
        followed = [each for each in followed if each.spec.out]
        changes = self._driver.watchers.changes([each.job.number for each in followed], PATIENCE)
        async with aclosing(changes):
            async for _ in changes:
                for each in followed:
                    async with aclosing(self._news_of(each, follow=follow)) as several:
                        async for some in several:
                            if some:
                                yield some
                followed = [each for each in followed if each.tasks]
                if not followed or not follow:
                    return

    async def _followed(self, selection: Selection, number: int) -> _Followed:
        job = JobReader(self._driver, number)
        spec = await job.spec()
        tasks = selection.tasks(number)
        attempts = {index: n for (job_number, index), n in selection.attempts.items() if job_number == number}
        whole = IntervalSet([(0, spec.task_count)])
        followed = _Followed(job, spec, whole if tasks is None else tasks.copy(), attempts)
        followed.expired, followed.still = await self._expired(job)
        return followed

    async def _expired(self, job: JobReader) -> tuple[FilesExpired | None, Collection[bytes]]:
        """When and why its files went, if they did, and the trees that are kept since then: it was tried again."""
        job_id = await job.read(lambda job: job.record.id)
        if found := await asyncio.to_thread(self._contents.expired, job_id):
            return FilesExpired(*found), await asyncio.to_thread(self._contents.used_by, job_id)
        return None, ()

    async def _news_of(self, followed: _Followed, *, follow: bool) -> AsyncGenerator[Sequence[ShownResults], None]:
        """What is to be told of a job now. Those are left in `tasks` that are to be told later."""
        at = followed.tasks.first() if followed.tasks else None
        while at is not None:
            some, at = _next_of(followed.tasks, at)
            ended = await followed.job.read(lambda job, some=some: _ended(job.sets, some))  # type: ignore[misc]
            looked = ended if follow and not followed.attempts else some
            told = await self._told(followed, looked, ended) if looked else []
            if follow:
                coming = [each for each in told if each.state is ResultsState.COMING]
                followed.late.look((each.kept.key, self._line_of(each.worker_id)) for each in coming)
                told = [each for each in told if each.state is not ResultsState.COMING]
            followed.tasks.difference_update(IntervalSet((each.kept.index, each.kept.index + 1) for each in told))
            if not follow:
                followed.tasks.difference_update(some)
            yield told

    async def _told(self, followed: _Followed, tasks: IntervalSet, ended: IntervalSet) -> list[ShownResults]:
        number, first, stop = followed.job.number, tasks.first(), tasks.last() + 1

        def look(store: Store) -> tuple[list[EndedAttempt], list[KeptResults]]:
            return store.last_attempts(number, first, stop), store.results(number, first, stop)

        attempts, kept = await self._driver.fetch(look)
        last = {each.index: each for each in attempts if each.index in tasks}
        found = {each.key: each for each in kept}
        told = []
        for index in tasks:
            end = last.get(index)
            wanted = followed.attempts.get(index) or (end.attempt if end else 0)
            results = found.get(AttemptKey(number, index, wanted))
            if results is None and end is None and index not in ended:
                continue  # none of its attempts has ended
            task_number = followed.spec.number_of(index)
            if results is not None:
                followed.late.forget(results.key)
                state = ResultsState.GONE if results.have_vanished else ResultsState.KEPT
                if followed.expired and results.tree and bytes.fromhex(results.tree) not in followed.still:
                    state, results = ResultsState.GONE, replace(results, tree="", notes=(followed.expired.said,))
                told.append(ShownResults(results, task_number, state))
                continue
            nothing = KeptResults(number, index, wanted)
            state, worker = ResultsState.NONE, ""
            if end is not None and end.began and end.attempt == wanted:
                state, worker = self._driver.peek(partial(_where, end))
            told.append(ShownResults(nothing, task_number, state, worker, end.worker_id if end else ""))
        return told

    async def read(
        self, caller: Caller, key: AttemptKey, digests: Sequence[bytes], offset: int
    ) -> AsyncGenerator[Sequence[ContentPiece], None]:
        """Contents of the results of an attempt: their tree, and what it names; of the first those bytes from `offset`
        on. NotFound for any others."""
        check_digests(digests)
        await select_some(self._driver, caller, [str(key.job)])
        found = await self._driver.fetch(lambda store: store.results(key.job, key.index, key.index + 1))
        kept = next((each for each in found if each.attempt == key.attempt and each.tree), None)
        if kept is None:
            raise NotFound(f"job {key.job}: {key.in_words} has left no results")
        tree = bytes.fromhex(kept.tree)
        others = [digest for digest in digests if digest != tree]
        expired, still = await self._expired(JobReader(self._driver, key.job))
        if expired and tree not in still:
            raise NotFound(f"job {key.job}: {expired.said}")
        if others and not await asyncio.to_thread(self._contents.is_held, tree, others):
            raise NotFound(f"job {key.job}: not all of these contents are results of {key.in_words}")
        messages = messages_of(self._contents, digests, offset)
        while pieces := await asyncio.to_thread(next, messages, None):
            yield pieces


def _next_of(tasks: IntervalSet, at: int) -> tuple[IntervalSet, int | None]:
    """Some of these tasks, from one on, and where the next begin; None: there are no more."""
    stop = at + TASKS_AT_ONCE
    some = IntervalSet(tasks.overlap(at, stop))
    rest = next((piece for piece in tasks.overlap(stop, tasks.last() + 1)), None)
    return some, rest.start if rest else None


def _ended(sets: "dict[object, IntervalSet]", tasks: IntervalSet) -> IntervalSet:
    found = IntervalSet()
    for state in ENDED:
        found.update(sets[state].intersection(tasks))
    return found


def _where(end: EndedAttempt, core: SchedulerCore) -> tuple[ResultsState, str]:
    """Where results are that are not here, and the worker's name."""
    worker = core.workers.get(end.worker_id)
    if worker is None:
        return ResultsState.AWAY, end.worker_id
    record = worker.record
    is_here = worker.session is not None or not (record.offline or record.is_silent or record.removed)
    is_coming = is_here and end.reason != endings.LOST
    return (ResultsState.COMING if is_coming else ResultsState.AWAY), record.name


def _none_asked_for(followed: Sequence[_Followed]) -> str:
    what = f"job {followed[0].job.number} was" if len(followed) == 1 else "these jobs were"
    return f"{what} submitted without --out, so no files are kept: name what is to be, as in --out 'out/*'"
