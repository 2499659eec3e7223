"""The launcher gives out what a machine has: no unit to two attempts, no more of anything than there is."""

from typing import Any

from cluster.domain.launcher.core import LauncherCore
from cluster.domain.launcher.messages import (
    AgentConnected,
    Effect,
    Ended,
    Event,
    JournalReport,
    OfferMade,
    ProcessEnded,
    ProcessStarted,
    SlotLost,
    Spawn,
    StartRequested,
    StopRequested,
)
from cluster.domain.launcher.template import Item, Template
from cluster.domain.session.offer import Offer

NOW = 1000.0
A, B, C, D = (Item(f"1.{index}#1", index) for index in range(4))


def template(**changes: Any) -> Template:
    return Template(("true",), (), "/out", **changes)


def over(item: Item, took: float = 1.0) -> list[Event]:
    """It has started, and ended."""
    return [ProcessStarted(item.key, 7, 0, NOW), ProcessEnded(item.key, 0, None, round(took * 1e6), 5, 6, (7, 8))]


def with_gpus(capacity: int, gpus: tuple[str, ...], **sums: int) -> LauncherCore:
    core = LauncherCore(capacity)
    core.turn([AgentConnected(capacity), OfferMade(Offer(tuple(sums.items()), gpus))], NOW)
    return core


def spawned(effects: list[Effect]) -> list[tuple[str, tuple[str, ...]]]:
    return [(e.item.key, e.gpus) for e in effects if isinstance(e, Spawn)]


def test_no_unit_is_held_by_two_attempts() -> None:
    core, two = with_gpus(8000, ("0", "2", "5")), template(amounts=(("gpus", 2),))
    one = template(amounts=(("gpus", 1),))
    assert spawned(core.turn([StartRequested(two, [A]), StartRequested(one, [B, C])], NOW)) == [
        (A.key, ("0", "2")),
        (B.key, ("5",)),
    ]
    core.turn([AgentConnected(8000)], NOW)  # an agent that has restarted has said nothing of gpus yet
    core.turn([OfferMade(Offer(gpus=("0", "2", "5")))], NOW)
    assert spawned(core.turn(over(A), NOW)) == [(C.key, ("0",))]


def test_a_slot_that_goes_on_with_its_like_hands_on_its_units() -> None:
    core, one = with_gpus(8000, ("0",)), template(amounts=(("gpus", 1),))
    core.turn([StartRequested(one, [A, B, C])], NOW)
    effects = core.turn([over(A, took=0.001)[1]], NOW + 0.001)
    assert spawned(effects) == [(B.key, ("0",)), (C.key, ("0",))], "B in its place, C behind it in the same slot"
    assert len({e.slot for e in effects if isinstance(e, Spawn)}) == 1


def test_units_of_a_slot_that_was_killed_are_free_again() -> None:
    core, one = with_gpus(8000, ("0",)), template(amounts=(("gpus", 1),))
    core.turn([StartRequested(one, [A, B])], NOW)
    assert spawned(core.turn([SlotLost(0, [])], NOW)) == [(B.key, ("0",))]


def test_sums_are_kept_as_cpus_are() -> None:
    core, some = with_gpus(8000, (), mem=5, licence=9), template(amounts=(("licence", 1), ("mem", 2)))
    assert [key for key, _ in spawned(core.turn([StartRequested(some, [A, B, C])], NOW))] == [A.key, B.key]
    assert not core.turn([StartRequested(template(amounts=(("mem", 6),)), [D])], NOW), "it waits behind C"
    effects = core.turn(over(A), NOW)
    assert [key for key, _ in spawned(effects)] == [C.key]
    (refused,) = [e.report for e in effects if isinstance(e, JournalReport) and e.report.key == D.key]
    assert isinstance(refused, Ended)
    assert refused.text == "it needs 6 B mem; this worker has 5 B"


def test_what_took_too_much_memory_and_failed_ends_so() -> None:
    def reason(code: int | None, signal: str | None, *before: Event) -> str:
        core = with_gpus(8000, (), mem=5)
        core.turn([StartRequested(template(amounts=(("mem", 2),)), [A])], NOW)
        core.turn([over(A)[0], *before], NOW)
        end = ProcessEnded(A.key, code, signal, 10_000_000, 5, 6, (7, 8), oom=True)
        (report,) = [e.report for e in core.turn([end], NOW + 10) if isinstance(e, JournalReport)]
        assert isinstance(report, Ended)
        return report.reason

    assert reason(None, "SIGKILL") == "oom"
    assert reason(137, None) == "oom", "a shell whose command was killed"
    assert reason(0, None) == "ok", "it has coped"
    assert reason(None, "SIGKILL", StopRequested([A.key], grace=0.0)) == "cancelled"


def test_what_is_to_be_alone_waits_for_all_others_and_all_others_for_it() -> None:
    core, alone = with_gpus(8000, ()), template(exclusive=True)
    core.turn([StartRequested(template(), [A])], NOW)
    assert not spawned(core.turn([StartRequested(alone, [B]), StartRequested(template(), [C])], NOW))
    assert [key for key, _ in spawned(core.turn(over(A), NOW))] == [B.key]
    assert [key for key, _ in spawned(core.turn(over(B), NOW))] == [C.key]
