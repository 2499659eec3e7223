"""Directories on one machine have one clock and one power: a simulation in which they had not found faults that were
its own (seeds 3499, 4286 and 5882, in which a copy was made while the machine was down)."""

from cluster.store.memory import Disk, MemoryStore
from tests.sim.machine import Machine
from tests.sim.scheduler import SchedulerHost
from tests.sim.truth import Truth
from tests.sim.world import World


def machine() -> Machine:
    world, truth = World(1), Truth()
    scheduler = SchedulerHost(world, truth, lambda: MemoryStore(Disk()), 15.0)
    scheduler.start()
    return Machine(world, truth, scheduler, "m", 1000, 0.0)


def test_what_is_copied_while_the_machine_is_down_starts_with_it_and_has_its_clock() -> None:
    first = machine()
    first.start_agent()
    first.world.run(until=5.0)
    first.box.reboot(back_after=20.0)
    copy = first.is_copied("copy", same_machine=True)
    first.world.run(until=24.0)
    assert (first.agent, copy.agent) == (None, None)
    first.world.run(until=26.0)
    assert first.agent is not None
    assert copy.agent is not None
    assert copy.agent.core.home == copy.home == first.home._replace(directory="copy-copy")
    assert copy.box.clock == first.box.clock < 2.0
    while (due := copy.agent.core.next_deadline()) is None and copy.box.clock < 10.0:
        first.world.run(first.world.now + 0.1)
    assert due is not None
    assert due < 20.0


def test_what_is_copied_to_another_machine_runs_while_the_first_is_down() -> None:
    first = machine()
    first.box.reboot(back_after=20.0)
    copy = first.is_copied("copy", same_machine=False)
    assert copy.agent is not None
    assert copy.home.is_elsewhere(first.home)
    first.world.run(until=21.0)
    assert copy.box.clock > 10.0 > first.box.clock


def test_what_is_gone_for_good_starts_no_more() -> None:
    first = machine()
    copy = first.is_copied("copy", same_machine=True)
    copy.destroy()
    first.box.reboot(back_after=1.0)
    first.world.run(until=2.0)
    assert copy.agent is None
    assert first.agent is not None
