"""The launcher's order of steps, told step by step."""

from collections.abc import Iterable
from typing import Any

from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.core import ALONE, LauncherCore
from cluster.domain.launcher.template import Item, Template
from cluster.launcher.journal import Begun, Memory
from cluster.launcher.journal_pipeline import JournalPipeline, LauncherStep

KEY = "1.0#1"
TEMPLATE = Template(("true",), (), "/")


class Host:
    """Also journal, slots and their notes: `said` is all that was asked of it, in order."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.time = 0.0
        self.has_agent = self.has_news = self.exits = False
        self.is_ours = True
        self.told: list[ev.Event] = []  # by slots
        self.pipeline = JournalPipeline(LauncherCore(1000), self, self, self, self)

    def now(self) -> float:
        return self.time

    def wall_us(self) -> int:
        return 0

    def confirmed_at(self) -> float:
        return 0.0

    def send(self, line: Any) -> None:
        self.has_news = True
        self.said.append(("send", type(line).__name__))

    def greet(self, welcome: ev.Greet) -> None:
        self.send(welcome)

    def flush(self) -> None:
        self.has_news = False
        self.said.append("flush")

    def exit(self) -> None:
        self.exits = True

    def log(self, text: str) -> None: ...

    def begin(self, begun: Begun) -> None:
        self.said.append(("begin", begun.key))

    def back(self, key: str) -> None:
        self.said.append(("back", key))

    def report(self, report: ev.Started | ev.Ended) -> ev.Started | ev.Ended:
        self.said.append(("report", type(report).__name__))
        return report

    def unwrite_begins(self) -> None: ...

    def write(self) -> None:
        self.said.append("write")

    def due(self) -> bool:
        return False

    def rewrite(self, seq: int, begun: Iterable[Begun], unacked: Iterable[ev.Started | ev.Ended]) -> None:
        self.said.append("rewrite")

    def has_begun(self, slot: int, number: int) -> bool:
        return number < 5

    def clear(self) -> None:
        self.said.append("clear")

    def next_number(self) -> int:
        return 1

    def hand(self, spawn: ev.Spawn, number: int) -> bool:
        self.said.append(("hand", spawn.item.key))
        return True

    def read(self) -> list[ev.Event]:
        told, self.told = self.told, []
        return told

    def freeze(self, slot_number: int, key: str, thaw: bool) -> None: ...

    def recall(self, slot_number: int) -> list[str]:
        return []

    def signal(self, slot_number: int, key: str, number: int, leader: int) -> bool:
        return True

    def kill(self, slot_number: int, key: str) -> None: ...
    def kill_slot(self, slot_number: int, key: str) -> None: ...
    def retire(self, slot_number: int) -> None: ...
    def lost(self, pid: int) -> ev.SlotLost | None:
        return None


def connected() -> Host:
    host = Host()
    list(host.pipeline.said([ev.AgentConnected(1000)], lambda: setattr(host, "has_agent", True)))
    list(host.pipeline.round())
    host.said.clear()
    return host


def test_a_start_is_in_the_journal_before_a_slot_gets_it() -> None:
    host = connected()
    host.pipeline.events.append(ev.StartRequested(TEMPLATE, [Item(KEY)]))
    seen = [(step, list(host.said)) for step in host.pipeline.round()]
    assert seen == [
        (LauncherStep.JOURNAL, [("begin", KEY)]),
        (LauncherStep.SLOTS, [("begin", KEY), "write"]),
    ]
    assert host.said == [("begin", KEY), "write", ("hand", KEY)]


def test_an_end_is_in_the_journal_before_the_agent_hears_of_it() -> None:
    host = connected()
    host.pipeline.events.append(ev.StartRequested(TEMPLATE, [Item(KEY)]))
    list(host.pipeline.round())
    host.said.clear()
    host.told = [ev.ProcessEnded(KEY, 0, None, 10, 10, 10, (0, 0), wall_us=1)]
    steps = list(host.pipeline.round())
    assert steps == [LauncherStep.JOURNAL, LauncherStep.AGENT]
    assert host.said == [("report", "Ended"), ("send", "Ended"), "write", "flush"]
    assert not host.pipeline.begun


def test_of_what_a_predecessor_left_only_what_had_begun_is_lost() -> None:
    host = Host()
    begun = {f"1.{n}#1": Begun(f"1.{n}#1", 0.0, 0, 0, 0, n) for n in (4, 5)}
    list(host.pipeline.take_over(Memory("", 0, [], begun)))
    assert [(report.key, report.seq) for report in host.pipeline.core.unacked] == [("1.4#1", 1)]
    assert host.said[:2] == ["rewrite", "clear"]


def test_a_launcher_that_stood_still_for_long_hears_an_agent_before_it_counts_itself_as_alone() -> None:
    host = Host()
    host.pipeline.events.append(ev.AgentLost())
    list(host.pipeline.round())
    host.time = ALONE + 1
    list(host.pipeline.said([ev.AgentConnected(1000)], lambda: setattr(host, "has_agent", True)))
    list(host.pipeline.round())
    assert not host.exits
    host.pipeline.events.append(ev.AgentLost())
    list(host.pipeline.round())
    host.time += ALONE + 1
    list(host.pipeline.round())
    assert host.exits
