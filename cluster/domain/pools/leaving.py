"""Which machines of a pool go: broken ones at once, surplus and idle ones by draining."""

from collections.abc import Iterator

from cluster.domain.base.quantities import format_setting
from cluster.domain.pools.pool import DRAINED_IS_LATE, Machine, Pool
from cluster.domain.pools.told import DrainMachine, MachineState, PoolEffect, StopMachine


def leave(pool: Pool, now: float, *, waits: bool) -> Iterator[PoolEffect]:
    """`waits`: there are tasks that a worker of the pool would take."""
    if not pool.told_at:
        return
    for machine in list(pool.machines.values()):
        yield from _look_after(pool, machine, now)
    if pool.is_paused:
        return
    for machine in _surplus(pool):
        yield from _let_go(pool, machine, now, f"the pool is to have {pool.maximum}")
    if waits:
        return  # who has just come has nothing yet, and who has just ended its task gets the next
    spare = pool.stays - pool.minimum
    for machine in sorted(pool.machines.values(), key=lambda each: each.idle_since or now):
        if spare <= 0:
            break
        if machine.is_idle and now - (machine.idle_since or now) >= pool.settings.idle:
            yield from _let_go(pool, machine, now, f"idle for {format_setting(pool.settings.idle)}")
            spare -= 1


def _look_after(pool: Pool, machine: Machine, now: float) -> Iterator[PoolEffect]:
    """What follows from how it is, whatever is wanted of the pool."""
    if machine.stop_asked:
        if machine.is_told and now - machine.stop_asked >= DRAINED_IS_LATE:
            yield _stop(pool, machine, now, machine.reason)
    elif why := _broken(pool, machine):
        if not machine.has_joined:
            pool.failed(f"{machine.name}: {why}", now)
        yield _stop(pool, machine, now, why)
    elif machine.drain_asked:
        worker = machine.worker
        if worker is None or (not worker.held and (worker.is_drained or not worker.is_online)):
            yield _stop(pool, machine, now, machine.reason)
        elif not worker.is_drained and now - machine.drain_asked >= DRAINED_IS_LATE:
            yield from _let_go(pool, machine, now, machine.reason)


def _broken(pool: Pool, machine: Machine) -> str:
    """Why nothing is to be expected of it any more; empty: it is well."""
    if machine.is_told and machine.state is MachineState.BROKEN:
        return machine.why or "its provider says that it is broken"
    if machine.is_online or pool.heard < pool.is_late_at(machine):
        return ""
    if not machine.has_joined:
        return machine.why or f"its worker was not there within {format_setting(pool.settings.start_within)}"
    return f"its worker is offline for {format_setting(pool.settings.lost_after)}"


def _surplus(pool: Pool) -> list[Machine]:
    """Those above what the pool is to have: first what comes last, then who has nothing, then the others."""

    def worth(machine: Machine) -> tuple[int, float]:
        return 0 if machine.comes else 1 if machine.is_idle else 2, -machine.began

    staying = sorted((each for each in pool.machines.values() if not each.leaves), key=worth)
    return staying[: max(0, pool.stays - pool.maximum)]


def _let_go(pool: Pool, machine: Machine, now: float, reason: str) -> Iterator[PoolEffect]:
    """By draining, where there is a worker to drain."""
    if machine.worker is None or not machine.is_online:
        yield _stop(pool, machine, now, reason)
        return
    machine.drain_asked, machine.reason = now, reason
    yield DrainMachine(pool.name, machine.name, machine.worker.id, f"pool {pool.name}: {reason}")


def _stop(pool: Pool, machine: Machine, now: float, reason: str) -> StopMachine:
    machine.stop_asked, machine.reason = now, reason
    worker = machine.worker.id if machine.worker else ""
    return StopMachine(pool.name, machine.name, machine.id, worker, reason)
