"""What docs/reliability.md promises of a scheduler that is away for a while, on real processes and real time."""

import time

import pytest

from cluster.domain.session.leashes import survived_absence
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons

pytestmark = pytest.mark.slow

LEASE, LOST_AFTER = 3.0, 18.0  # seconds: an absence of 13 s is outlived


@pytest.mark.long
def test_jobs_outlive_an_absence_of_the_scheduler_that_is_just_shorter_than_promised(command: Command) -> None:
    """Six tasks run on two workers all the time. (With a fixed leash and slow reconnects all of them were lost.)"""
    with Daemons(command) as daemons:
        before = time.monotonic()
        daemons.start_scheduler("--lease", str(LEASE))
        takes = time.monotonic() - before
        for name in ("w1", "w2"):
            daemons.start_worker(name, "--cpus", "3")
        with daemons.client() as client:
            job = client.submit(["sleep", "25"], array="1-6", lost_after=LOST_AFTER)
            for (seen,) in client.watch(str(job.number)):
                if seen.counts.running == 6:
                    break
        daemons.kill("scheduler")
        # So much earlier that it serves before the time is out, with something to spare on a machine that is busy.
        time.sleep(survived_absence(LOST_AFTER, LEASE) - max(2.0, 1.5 * takes))
        daemons.start_scheduler("--lease", str(LEASE))
        with daemons.client() as client:
            (ended,) = client.wait(str(job.number))
    assert (ended.counts.succeeded, ended.reason) == (6, "ok")


def test_jobs_outlive_a_scheduler_that_was_stopped_for_three_leases(command: Command) -> None:
    """The workers hang up and dial anew, and the first dials hang: the kernel takes them, and nobody answers."""
    with Daemons(command) as daemons:
        daemons.start_scheduler("--lease", str(LEASE))
        for name in ("w1", "w2"):
            daemons.start_worker(name, "--cpus", "1")
        with daemons.client() as client:
            job = client.submit(["sleep", "12"], array="1-2", lost_after=LOST_AFTER)
            for (seen,) in client.watch(str(job.number)):
                if seen.counts.running == 2:
                    break
        with daemons.stopped("scheduler"):
            time.sleep(3 * LEASE)
        with daemons.client() as client:
            (ended,) = client.wait(str(job.number))
    assert (ended.counts.succeeded, ended.reason) == (2, "ok")
