"""Which attempts are a worker's own: it holds them now, or they have ended on it."""

from collections.abc import Sequence

from cluster.domain.base.ids import AttemptKey
from cluster.domain.scheduler.core import SchedulerCore
from cluster.scheduler.driver import Driver
from cluster.store.interface import Store


async def own_among(driver: Driver, worker_id: str, keys: Sequence[AttemptKey]) -> set[AttemptKey]:
    """Those of these attempts that are, or were, the worker's."""

    def held(core: SchedulerCore) -> set[AttemptKey]:
        return {key for key in keys if _holds(core, worker_id, key)}

    def ended(store: Store) -> set[AttemptKey]:
        return {key for key in others if _has_ended(store, worker_id, key)}

    own = await driver.read(held)
    others = [key for key in keys if key not in own]
    return own | await driver.fetch(ended) if others else own


def _holds(core: SchedulerCore, worker_id: str, key: AttemptKey) -> bool:
    job = core.jobs.get(key.job)
    held = job.held.get((worker_id, key.attempt)) if job else None
    return held is not None and key.index in held


def _has_ended(store: Store, worker_id: str, key: AttemptKey) -> bool:
    ends = store.ends_of_task(key.job, key.index)
    return any((end.attempt, end.worker_id) == (key.attempt, worker_id) for end in ends)
