"""What engines say of containers, and what that means for attempts, as tables."""

from datetime import UTC, datetime
from typing import Any

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.domain.job import endings
from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.engine_core import ContainerSeen, EngineCore
from cluster.domain.launcher.sightings import Sight, Sighting, code_and_signal
from cluster.domain.launcher.template import Item, Template
from cluster.domain.worker.ecs_tasks import fargate_size, no_room, sighting_of
from cluster.domain.worker.engine_orders import ContainerOrder, container_name, order_of

GIB = 1 << 30
KEY = "5.0#1"
_BEGAN = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "sight", "words"),
    [
        ({"lastStatus": "PROVISIONING"}, Sight.PENDING, ""),
        ({"lastStatus": "DEPROVISIONING"}, Sight.RUNNING, ""),
        ({"stopCode": "EssentialContainerExited", "code": 0, "startedAt": _BEGAN}, Sight.ENDED, ""),
        ({"stopCode": "SpotInterruption", "code": 137, "startedAt": _BEGAN}, Sight.LOST, "its machine was a spot one"),
        (
            {"stopCode": "TerminationNotice", "code": 143, "startedAt": _BEGAN},
            Sight.LOST,
            "its machine was told",
        ),
        ({"stopCode": "TaskFailedToStart", "stoppedReason": "CannotPullContainerError: x"}, Sight.UNMADE, "its image"),
        ({"stopCode": "TaskFailedToStart", "stoppedReason": "ResourceInitializationError"}, Sight.UNMADE, "ECS could"),
        ({"why": "OutOfMemoryError: killed", "code": 137, "startedAt": _BEGAN}, Sight.ENDED, "OutOfMemoryError"),
        ({"stopCode": "UserInitiated", "startedAt": _BEGAN}, Sight.LOST, "ECS does not say how it ended"),
    ],
)
def test_what_ecs_says_of_a_task_has_one_meaning(said: dict[str, Any], sight: Sight, words: str) -> None:
    own = {"name": "main", "reason": said.pop("why", "")} | ({"exitCode": said.pop("code")} if "code" in said else {})
    seen = sighting_of("n", {"lastStatus": "STOPPED", "taskArn": "arn", "containers": [own], **said}, "main")
    assert (seen.sight, seen.reference, seen.oom) == (sight, "arn", "OutOfMemory" in words)
    assert seen.text.startswith(words)


def test_fargate_gives_the_smallest_machine_with_enough() -> None:
    assert fargate_size(250, 0) == ("256", "512")
    assert fargate_size(250, 3 * GIB) == ("512", "3072")
    assert fargate_size(3000, GIB) == ("4096", "8192")
    assert fargate_size(16000, 120 * GIB) == ("16384", "122880")
    assert fargate_size(17000, GIB) is None
    assert fargate_size(1000, 121 * GIB) is None


def test_a_quota_or_a_lack_of_room_may_be_over_later_and_a_wrong_request_not() -> None:
    assert all(map(no_room, ("RESOURCE:MEMORY", "Capacity is unavailable at this time", "limit on the number")))
    assert not no_room("TaskDefinition is inactive")


def test_a_name_is_derived_from_worker_and_attempt() -> None:
    names = {container_name(owner, AttemptKey(5, 0, n)) for owner in ("a" * 32, "b" * 32) for n in (1, 2)}
    assert len(names) == 4
    assert max(map(len, {container_name("a" * 32, AttemptKey(10**9, 10**9, 10**4))})) <= 63


def test_an_order_has_the_line_of_its_task() -> None:
    order = order_of("n", Item(KEY, 3, "a b"), Template(("echo", "<{}>"), (), "/out", "/work/5", fresh_cwd=True))
    assert order == ContainerOrder(
        "n",
        ("echo", "<a b>"),
        (("CLUSTER_ATTEMPT", "1"), ("CLUSTER_TASK", "3"), ("CLUSTER_LINE", "a b")),
        1000,
    )


def test_a_code_of_a_signal_is_one_and_others_are_codes() -> None:
    assert list(map(code_and_signal, (0, 7, 128, 137, 143, 255))) == [
        *((0, None), (7, None), (128, None), (None, "SIGKILL"), (None, "SIGTERM"), (255, None))
    ]


def _ended(core: EngineCore, *events: ev.Event | ContainerSeen, now: float = 1.0) -> list[ev.Ended]:
    effects = core.turn(events, now)  # type: ignore[arg-type]
    return [e.report for e in effects if isinstance(e, ev.JournalReport) and isinstance(e.report, ev.Ended)]


def _seen(sight: Sight, **more: Any) -> ContainerSeen:
    return ContainerSeen(KEY, Sighting("n", sight, **more), 2_000_000)


def _core(**template: Any) -> EngineCore:
    core = EngineCore(4000)
    start = ev.StartRequested(Template(("true",), (), "/out", **template), [Item(KEY)])
    core.turn([ev.AgentConnected(4000), start], 0.0)
    return core


def test_what_the_engine_loses_is_lost_unless_it_was_to_end() -> None:
    core = _core()
    [end] = _ended(core, _seen(Sight.RUNNING), _seen(Sight.LOST, text="evicted"))
    assert (end.reason, end.text) == (endings.LOST, "evicted")
    core = _core()
    assert not _ended(core, _seen(Sight.RUNNING), ev.StopRequested([KEY], grace=5.0))
    [end] = _ended(core, _seen(Sight.LOST, text="gone"), now=2.0)
    assert (end.reason, end.signal, end.text) == (endings.CANCELLED, "SIGTERM", "")


def test_what_never_began_and_is_not_wanted_any_more_is_given_back() -> None:
    core = _core()
    assert _ended(core, _seen(Sight.PENDING), ev.StopRequested([KEY])) == []
    [end] = _ended(core, _seen(Sight.UNMADE))
    assert end.reason == endings.RETURNED


def test_an_adopted_attempt_keeps_its_time_and_its_leash() -> None:
    core = EngineCore(1000)
    core.adopt(Item(KEY), Template(("x",), (), "/out", timeout=10.0, leash=50.0), 100.0, 1_000_000, 4.0)
    core.confirmed_at = 90.0
    assert core.next_deadline() == 106.0
    effects = core.turn([ev.Tick()], 106.0)
    assert [type(effect) for effect in effects] == [ev.Signal]
    core = EngineCore(1000)
    core.adopt(Item(KEY), Template(("x",), (), "/out", leash=50.0), 100.0, 1_000_000, 4.0)
    assert [type(effect) for effect in core.turn([ev.Tick()], 100.0)] == [ev.Kill]  # nobody has confirmed it
