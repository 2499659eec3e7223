"""A leader that is killed, one that is paused, and a Redis that is killed, again and again under load: nothing that was
acknowledged is lost, nothing runs twice, and who has lost the lead writes nothing. What takeovers took is printed."""

import signal
import statistics
import time

import pytest

from tests.acceptance.command import Command
from tests.acceptance.standbys import LEASE, Load, Site, StandbyHouse, Witness, standby_house

pytestmark = [pytest.mark.slow, pytest.mark.extra_redis]

TAKEN_OVER = 76


def tell(what: str, house: StandbyHouse, load: Load, more: str = "") -> None:
    for name, took in (("the other serves", house.takeovers), ("a job is acknowledged", house.answers)):
        if took:
            middle, last = statistics.median(took), max(took)
            print(f"\n{what}, {len(took)} times, lease {LEASE:g} s: {name} after {middle:.2f} s, at most {last:.2f} s")
    print(f"{what}: {len(load.acknowledged)} jobs acknowledged, refused meanwhile {dict(load.refusals)} {more}")


def test_a_leader_that_is_killed_twenty_times(command: Command) -> None:
    with standby_house(command, 1) as (house, load), Witness(house.server) as witness:
        for _ in range(20):
            killed = house.strike(load, signal.SIGKILL)
            killed.end_of()
            killed.start()
        house.expect_all_once(load)
    assert (witness.stale, witness.commits > 0) == (0, True)
    tell("kill -9 of the leader", house, load, f"{witness.commits} commits")


def test_a_leader_that_is_paused_fifty_times_writes_nothing_when_it_wakes(command: Command) -> None:
    with standby_house(command, 2) as (house, load), Witness(house.server) as witness:
        for _ in range(50):
            paused = house.strike(load, signal.SIGSTOP)
            load.more(house.dice.randrange(1, 20))
            paused.send(signal.SIGCONT)
            assert paused.end_of() == TAKEN_OVER, paused.log()
            paused.start()
        house.expect_all_once(load)
    assert (witness.stale, witness.commits > 0) == (0, True)
    tell("SIGSTOP of the leader", house, load, f"{witness.commits} commits, {witness.refused} refused as stale")


def test_a_leader_is_killed_and_paused_where_redis_is_reached_by_tls_as_a_user_of_its_acl(command: Command) -> None:
    with standby_house(command, 4, tls=True) as (house, load), Witness(house.server) as witness:
        killed = house.strike(load, signal.SIGKILL)
        killed.end_of()
        killed.start()
        paused = house.strike(load, signal.SIGSTOP)
        paused.send(signal.SIGCONT)
        assert paused.end_of() == TAKEN_OVER, paused.log()
        paused.start()
        house.expect_all_once(load)
    assert (witness.stale, witness.commits > 0) == (0, True)
    tell("kill -9 and SIGSTOP, by TLS", house, load, f"{witness.commits} commits")


def test_a_redis_that_is_killed_fifty_times(command: Command) -> None:
    with standby_house(command, 3) as (house, load):
        for _ in range(50):
            load.more(house.dice.randrange(1, 40))
            at = time.monotonic()
            house.server.kill()
            house.server.start()
            house.answers.append(load.more(1) - at)
            for site in house.sites:
                start_again(site)
        house.expect_all_once(load)
    tell("kill -9 of Redis", house, load)


def start_again(site: Site) -> None:
    """As a service manager does, where it has lost the lead."""
    if site.has_ended():
        assert site.end_of() == TAKEN_OVER, site.log()
        site.start()
