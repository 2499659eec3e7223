"""Who cuts a leash when, and what docs/reliability.md promises of it."""

import pytest

from cluster.domain.job.spec import DEFAULT_LOST_AFTER
from cluster.domain.scheduler.state import LEASE
from cluster.domain.session.leashes import (
    LEAST_MARGIN,
    SLOT_MARGIN,
    WATCHDOG_MARGIN,
    cut_at,
    is_out,
    leash_of,
    lost_after_in_force,
    survived_absence,
)

WISHED = (1.0, 2.0, 17.0, 20.0, 60.0, 3600.0, 1e6)
LEASES = (0.1, 1.0, 3.0, 9.0, 15.0, 120.0)


@pytest.mark.parametrize("lease", LEASES)
@pytest.mark.parametrize("wished", WISHED)
def test_a_leash_ends_after_a_healthy_worker_has_renewed_it_and_before_the_scheduler_gives_up(
    wished: float, lease: float
) -> None:
    lost_after = lost_after_in_force(wished, lease)
    leash = leash_of(lost_after)
    assert lost_after >= wished
    assert leash >= lease  # so long a worker waits for the answer to a heartbeat before it connects anew
    assert leash + WATCHDOG_MARGIN < lost_after - LEAST_MARGIN / 4
    assert lost_after - leash >= LEAST_MARGIN


def test_running_jobs_outlive_as_long_an_absence_as_the_readme_says() -> None:
    assert survived_absence(DEFAULT_LOST_AFTER, LEASE) >= 45.0
    assert survived_absence(3600.0, LEASE) == 3600 * 7 / 8 - 7.0
    assert lost_after_in_force(2.0, LEASE) == 20.0


def test_each_cuts_after_its_own_margin() -> None:
    assert not is_out(152.4, 100.0, 52.5)
    assert is_out(152.5, 100.0, 52.5)
    assert not is_out(152.9, 100.0, 52.5, SLOT_MARGIN)
    assert cut_at(100.0, 52.5, WATCHDOG_MARGIN) == 153.5
