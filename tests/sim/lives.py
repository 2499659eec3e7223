"""Kinds of lives that the tests of the simulation play, from a seed: what goes wrong in them, and what users do."""

from collections.abc import Callable, Mapping

from cluster.domain.job.spec import DEFAULT_LOST_AFTER
from cluster.domain.scheduler.turn_limits import MOST_AT_ONCE
from tests.sim.bad_luck import BadLuck
from tests.sim.climates import (
    ABSENCES,
    COPIES,
    LATE_HELLOS,
    LONG_REPORTS,
    RESTARTS,
    STALLS,
    TAKEOVERS,
    UNWRITTEN,
    with_clocks,
    with_drains,
    with_wrong_dates,
)
from tests.sim.scenario import Scenario, simulate

Life = Callable[[int], Scenario]  # AssertionError when anything is not as it must be

MOST = (2, 7, MOST_AT_ONCE)  # what a turn is given, where turns are to end within what belongs together


def usual(seed: int) -> Scenario:
    return simulate(seed)


def with_long_reports(seed: int) -> Scenario:
    """Much is given back at once, by the only worker."""
    return simulate(seed, climate=LONG_REPORTS, submissions=3, machines=1, shaky=1.0, most=1)


def with_times(seed: int) -> Scenario:
    """Jobs wait for times, have deadlines and come again, and clocks are set."""
    return simulate(seed, climate=with_clocks(seed), clocks=True, submissions=6, most=MOST[seed % 3])


def with_mistyped_dates(seed: int) -> Scenario:
    """The same, with clocks that are far ahead for a while."""
    return simulate(seed, climate=with_wrong_dates(seed), clocks=True, submissions=6, most=MOST[seed % 3])


def with_workflows(seed: int) -> Scenario:
    """Jobs that wait for each other come together."""
    return simulate(seed, workflows=True, most=MOST[seed % 3])


def with_families(seed: int) -> Scenario:
    """Jobs call jobs."""
    return simulate(seed, families=True)


def with_orders(seed: int) -> Scenario:
    """People pause jobs and the queue, and set priorities."""
    return simulate(seed, orders=True)


def with_keepers(seed: int) -> Scenario:
    """Jobs are deleted and pinned, while they and others go on, and wait for each other."""
    return simulate(seed, keepers=True, submissions=10, most=MOST[seed % 3])


def with_stalls(seed: int) -> Scenario:
    """Those who should cut leashes are stopped."""
    return simulate(seed, climate=STALLS, stubborn=True)


def with_absent_workers(seed: int) -> Scenario:
    """Others have a worker's tasks before it is back."""
    return simulate(seed, climate=ABSENCES, stubborn=True, lost_after=2.0)


def with_lonely_slots(seed: int) -> Scenario:
    """Launcher and watchdog stall at once."""
    return simulate(seed, climate=(BadLuck.slots_are_alone,))


def with_late_hellos(seed: int) -> Scenario:
    """They arrive when the machine has booted anew."""
    return simulate(seed, climate=LATE_HELLOS)


def with_takeovers(seed: int) -> Scenario:
    """A second scheduler is started on the store."""
    return simulate(seed, climate=TAKEOVERS, stubborn=True)


def with_unwritten_journals(seed: int) -> Scenario:
    return simulate(seed, climate=UNWRITTEN)


def with_copied_directories(seed: int) -> Scenario:
    """A worker and its copy come."""
    return simulate(seed, climate=COPIES)


def with_drained_workers(seed: int) -> Scenario:
    return simulate(seed, climate=with_drains(seed))


def with_needs(seed: int) -> Scenario:
    """Jobs ask for more than cpus; every other time processes are killed."""
    return simulate(seed, needs=True, climate=RESTARTS if seed % 2 else ())


def with_a_crowd(seed: int) -> Scenario:
    """Several users want more than there is, of large tasks and small ones."""
    return simulate(seed, crowded=True, stubborn=False, submissions=12)


def with_uploads(seed: int) -> Scenario:
    """Jobs find contents that workers must fetch; every other time processes are killed."""
    return simulate(seed, uploads=True, climate=RESTARTS if seed % 2 else ())


def with_an_absence(seed: int) -> Scenario:
    """The scheduler is away, for less than is promised to cost nothing. Nothing else goes wrong, so nothing may die of
    its leash or be lost."""
    life = simulate(seed, climate=(BadLuck.scheduler_is_away,), lost_after=DEFAULT_LOST_AFTER, stubborn=True)
    assert (life.truth.leashed, life.truth.lost) == (0, 0), f"replay with simulate({seed}, ...)"
    return life


# Of each kind the normal tests play so many, from seed 0 on. (The others come among the usual ones.)
PLAYED: Mapping[Life, int] = {
    usual: 150,
    with_long_reports: 30,
    with_times: 40,
    with_mistyped_dates: 12,
    with_workflows: 40,
    with_families: 25,
    with_orders: 30,
    with_keepers: 30,
    with_stalls: 150,
    with_absent_workers: 300,
    with_lonely_slots: 150,
    with_late_hellos: 200,
    with_takeovers: 150,
    with_drained_workers: 60,
    with_needs: 20,
    with_a_crowd: 40,
    with_an_absence: 60,
    with_uploads: 24,
}


PART = 20  # lives that one test plays, so that no core plays for long while the others have nothing left to do


def parts(seeds: range) -> list[range]:
    return [seeds[first : first + PART] for first in range(0, len(seeds), PART)]
