"""Which faults happen together in one life."""

from collections.abc import Sequence
from random import Random

from tests.sim.bad_luck import BadLuck, Fault

# What keeps a worker from its scheduler for long, while those who should cut its leashes stall.
STALLS: tuple[Fault, ...] = (
    BadLuck.link_is_blocked,
    BadLuck.two_stop,
    BadLuck.two_stop,
    BadLuck.guards_stop,
    BadLuck.slots_are_alone,
    BadLuck.disk_freezes,
    BadLuck.mount_freezes,
    BadLuck.launcher_dies,
    BadLuck.launcher_and_agent_die,
)
# What lets somebody else have tasks before their worker is back and tells of them.
ABSENCES: tuple[Fault, ...] = (BadLuck.link_is_blocked, BadLuck.connection_breaks)
# What keeps workers with a scheduler that another one has replaced, or lets them find it again.
TAKEOVERS: tuple[Fault, ...] = (
    BadLuck.scheduler_is_started_twice,
    BadLuck.scheduler_is_started_twice,
    BadLuck.connection_breaks,
    BadLuck.scheduler_stops,
    BadLuck.worker_joins,
)
# What lets a hello arrive when the machine has booted anew and said another.
LATE_HELLOS: tuple[Fault, ...] = (BadLuck.agent_dies_at_hello, BadLuck.machine_reboots)
# What lets a worker give back much at once, and have room again before that is heard.
RESTARTS: tuple[Fault, ...] = (BadLuck.agent_dies, BadLuck.launcher_dies, BadLuck.scheduler_dies)

LONG_REPORTS: tuple[Fault, ...] = (
    BadLuck.disk_is_full_for_a_moment,
    BadLuck.disk_is_full_for_a_moment,
    BadLuck.store_hangs,
    BadLuck.disk_freezes,
)
# What makes launchers forget what they have begun.
UNWRITTEN: tuple[Fault, ...] = (
    BadLuck.launcher_dies_unwritten,
    BadLuck.launcher_dies,
    BadLuck.agent_dies,
    BadLuck.launcher_and_agent_die,
)
# What lets a worker and its copy, on the same machine or another, come one after the other.
COPIES: tuple[Fault, ...] = (
    BadLuck.directory_is_copied,
    BadLuck.machine_reboots,
    BadLuck.link_is_blocked,
    BadLuck.agent_dies,
)
# What proved to be dangerous together.
STORMS: tuple[tuple[Fault, ...], ...] = (
    STALLS,
    (BadLuck.slots_are_alone,),
    (BadLuck.guards_stop, BadLuck.one_stops, BadLuck.launcher_and_agent_die),
    LATE_HELLOS,
    LONG_REPORTS,
    UNWRITTEN,
    (BadLuck.scheduler_stops, BadLuck.agent_dies, BadLuck.link_is_slow),
    COPIES,
)
FAULTS: tuple[Fault, ...] = (
    BadLuck.scheduler_dies,
    BadLuck.scheduler_is_away,
    BadLuck.scheduler_stops,
    BadLuck.scheduler_is_started_twice,
    BadLuck.store_is_slow,
    BadLuck.store_fails,
    BadLuck.store_hangs,
    BadLuck.worker_is_removed,
    BadLuck.worker_joins,
    BadLuck.name_is_wanted,
    BadLuck.connection_breaks,
    BadLuck.link_is_blocked,
    BadLuck.link_is_slow,
    BadLuck.agent_dies,
    BadLuck.agent_dies_at_hello,
    BadLuck.agent_is_asked_to_end,
    BadLuck.one_stops,
    BadLuck.two_stop,
    BadLuck.guards_stop,
    BadLuck.slots_are_alone,
    BadLuck.slot_dies,
    BadLuck.watchdog_dies,
    BadLuck.launcher_dies,
    BadLuck.launcher_and_agent_die,
    BadLuck.launcher_dies_unwritten,
    BadLuck.machine_reboots,
    BadLuck.disk_freezes,
    BadLuck.mount_freezes,
    BadLuck.disk_fills,
    BadLuck.disk_is_full_for_a_moment,
    BadLuck.directory_is_copied,
)


def draw(random: Random) -> Sequence[Fault]:
    """A few kinds of fault in each life find more than a little of everything in all. (Groce et al., "Swarm Testing",
    ISSTA 2012.)"""
    if random.random() < 0.3:
        return random.choice(STORMS)
    return random.sample(FAULTS, random.randint(1, 6))


def with_drains(seed: int) -> Sequence[Fault]:
    """Workers are drained, and a few other things go wrong, of which one at least must not end that."""
    restarts = (BadLuck.connection_breaks, BadLuck.scheduler_dies, BadLuck.agent_is_asked_to_end, BadLuck.agent_dies)
    random = Random(seed)
    drains = [BadLuck.worker_is_drained] * random.randint(1, 4)
    return [*drains, random.choice(restarts), *random.sample(FAULTS, random.randint(0, 3))]


def with_clocks(seed: int) -> Sequence[Fault]:
    """The scheduler's clock is set, it is started anew, and a few other things go wrong."""
    random = Random(seed)
    sets = [BadLuck.clock_is_set] * random.randint(0, 3)
    return [*sets, BadLuck.scheduler_dies, *random.sample(FAULTS, random.randint(0, 3))]


def with_wrong_dates(seed: int) -> Sequence[Fault]:
    """The same, where the clock is sometimes far ahead."""
    return [BadLuck.clock_is_far_ahead, *with_clocks(seed)]
