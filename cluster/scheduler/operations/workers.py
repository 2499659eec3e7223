"""The list of workers: who is on it, coming, going, and being taken off."""

from collections.abc import Collection, Sequence
from functools import partial
from heapq import nsmallest
from typing import NamedTuple

from cluster.domain.base.errors import InvalidInput, NotPermitted
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job.request import Request, request_of
from cluster.domain.job.spec import JobSpec
from cluster.domain.pools.settings import POOL_LABEL
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.evaluator import takes
from cluster.domain.scheduler.events import WorkerDeregistered, WorkerRegistered, WorkersDrained, WorkersResumed
from cluster.domain.scheduler.family import has_no_say, holds
from cluster.domain.scheduler.view_sizes import size_of_worker
from cluster.domain.scheduler.views import WorkerView, worker_views
from cluster.domain.scheduler.worker_record import Worker
from cluster.domain.scheduler.worker_states import WorkerState
from cluster.domain.session.home import Home
from cluster.domain.session.offer import NOTHING, Offer, check_offer
from cluster.domain.trust.identity import Caller, Vouched, check_name, is_uuid
from cluster.scheduler.driver import Driver
from cluster.scheduler.expulsion import Expelling, Removed
from cluster.scheduler.listing import listed
from cluster.scheduler.message_checks import check_home, check_millicpus, check_seconds, check_text
from cluster.scheduler.spec_checks import check_spec

MAX_DRAIN_REASON = 500  # characters: an answer tells that of many workers


class WorkersWanted(NamedTuple):
    """Which workers a list is to have: those that meet all of it."""

    names: Collection[str] = ()  # ids or names, one of which is theirs; empty: any
    states: Collection[WorkerState] = ()  # in one of which they are; empty: any
    able: JobSpec | None = None  # they are online, and have what a task of such a job needs
    free: bool = False  # and room for one now
    with_jobs: bool = False  # nothing is wanted of them: the jobs of each are told, too


_ALL = WorkersWanted()


class WorkerOperations:
    def __init__(self, driver: Driver, expelling: Expelling) -> None:
        self._driver = driver
        self._expelling = expelling

    async def list(
        self, after: str = "", limit: int = 0, wanted: WorkersWanted = _ALL
    ) -> tuple[Sequence[WorkerView], str]:
        """The workers that are wanted, by name: those after that one (empty: from the first), at most `limit` (0: as
        many as one answer holds); and the name after which to go on, empty: these were the last. InvalidInput for a job
        that could never run, and where room is asked for and no job is given."""
        for name in wanted.names:
            check_text("the worker", name)
        request = None
        if wanted.able is not None:
            await check_spec(wanted.able)
            request = request_of(wanted.able)
        elif wanted.free:
            raise InvalidInput("room for which job? give one with it")

        async def piece(after: str, most: int) -> Sequence[WorkerView]:
            return await self._driver.read(partial(_after, after, most, wanted, request))

        return await listed(piece, lambda worker: worker.record.name, size_of_worker, after, limit)

    async def remove(self, caller: Caller, worker: str, revoke: bool) -> Removed:
        """Takes the one of that id or name off the list; with `revoke` all its certificates are refused. NotFound, or
        Conflict for one that is connected and is not revoked. Who keeps pools may do it with their workers alone."""
        check_text("the worker", worker)
        await self._check_reach(caller, [worker])
        return await self._expelling.remove_worker(worker, revoke)

    async def drain(
        self, caller: Caller, workers: Sequence[str], reason: str = "", within: float | None = None
    ) -> Sequence[WorkerView]:
        """From now on these, by ids or names, get nothing more; answers how they are now. All of them, or NotFound.
        What still runs there after `within` seconds is stopped; None: it goes on. Who keeps pools may do it with their
        workers alone."""
        _check_names(workers)
        await self._check_reach(caller, workers)
        check_text("the reason", reason, MAX_DRAIN_REASON)
        if within is not None:
            check_seconds("a deadline of", within)
            if not within:
                raise InvalidInput("a deadline of 0 s: say how long what runs may go on; `cluster job cancel` ends it")
        by = caller.identity.name
        await self._driver.ask(lambda ask: WorkersDrained(ask, tuple(workers), by, reason, within))
        return await self._driver.read_after(partial(_called, workers))

    async def resume(self, workers: Sequence[str]) -> Sequence[WorkerView]:
        """From now on these take work again; otherwise as `drain`. One that nobody drains stays as it is."""
        _check_names(workers)
        await self._driver.ask(lambda ask: WorkersResumed(ask, tuple(workers)))
        return await self._driver.read_after(partial(_called, workers))

    async def register(
        self,
        caller: Caller,
        name: str,
        millicpus: int,
        address: str,
        version: str,
        home: Home,
        uptime: float,
        offer: Offer = NOTHING,
        trouble: str = "",
    ) -> str:
        """The worker that calls, as what it says of itself; answers the name in force. `address` is host:port of its
        own API, empty: it has none. `uptime` is in seconds, of its machine. `trouble`: why it can start no job. Who it
        is, its certificate says."""
        check_millicpus(millicpus)
        check_offer(offer)
        # A worker says itself what it is called. It may not get the jobs that somebody meant for another one's id.
        if is_uuid(check_name(name)):
            raise InvalidInput(f"the name {name!r} would be taken for the id of a worker: choose another")
        check_text("the address", address)
        check_text("the version", version)
        check_text("what keeps it from starting jobs", trouble)
        check_home(home, uptime)
        worker_id = caller.identity.name
        given: str = await self._driver.ask(
            lambda ask: WorkerRegistered(
                ask, worker_id, name, millicpus, address, version, home, uptime, offer, trouble
            )
        )
        return given

    async def _check_reach(self, caller: Caller, workers: Sequence[str]) -> None:
        """NotPermitted for who keeps pools, where one of these is there and of none."""
        if caller.keeps_pools:
            others = await self._driver.read(partial(_of_no_pool, workers))
            if others:
                raise NotPermitted(f"worker {others[0]} has no label `pool`: the role pools may touch the others alone")

    def vouched(self, caller: Caller, attempt: AttemptKey) -> Vouched:
        """In whose right that attempt calls, which the calling worker holds. NotPermitted where it does not, or not any
        more."""
        worker_id = caller.identity.name
        job = self._driver.peek(lambda core: core.jobs.get(attempt.job))
        if job is None or not holds(job, attempt, worker_id):
            raise NotPermitted(has_no_say(attempt.job))
        return Vouched(attempt, worker_id, job.record.owner, job.record.root)

    async def deregister(self, caller: Caller, reason: str) -> None:
        """The worker that calls goes offline."""
        check_text("the reason", reason)
        await self._driver.ask(lambda ask: WorkerDeregistered(ask, caller.identity.name, reason))


def _check_names(workers: Sequence[str]) -> None:
    """InvalidInput."""
    if not workers:
        raise InvalidInput("no worker is named: give at least one id or name")
    for worker in workers:
        check_text("the worker", worker)


def _of_no_pool(names: Sequence[str], core: SchedulerCore) -> list[str]:
    """Of the workers that are meant."""
    meant = [worker.record for name in names for worker in core.called(name)]
    return [record.name for record in meant if POOL_LABEL not in dict(record.offer.labels)]


def _called(names: Sequence[str], core: SchedulerCore) -> list[WorkerView]:
    """The workers that are meant, by their names."""
    found = {worker.record.name: worker for name in names for worker in core.called(name)}
    return worker_views(core, [worker for _, worker in sorted(found.items())])


def _after(
    name: str, most: int, wanted: WorkersWanted, request: Request | None, core: SchedulerCore
) -> list[WorkerView]:
    there = (
        core.workers.values() if not wanted.names else {w.id: w for n in wanted.names for w in core.called(n)}.values()
    )
    later = [worker for worker in there if worker.record.name > name and _is_wanted(worker, wanted, request)]
    first = nsmallest(most, later, key=lambda worker: worker.record.name)
    return worker_views(core, first, with_jobs=wanted.with_jobs)


def _is_wanted(worker: Worker, wanted: WorkersWanted, request: Request | None) -> bool:
    if wanted.states and worker.state not in wanted.states:
        return False
    return request is None or takes(request, worker, now=wanted.free)
