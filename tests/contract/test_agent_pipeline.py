"""The agent's order of steps, told step by step."""

from typing import Any

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.domain.base.now import Now
from cluster.domain.job.records import SmallOutput
from cluster.domain.session.messages import Report, Welcome
from cluster.domain.worker.core import WorkerCore
from cluster.domain.worker.messages import AckJournal, CommandsReceived, SendHeartbeat, SendReport
from cluster.worker.agent_pipeline import AgentPipeline, ReportQueue

KEY = AttemptKey(1, 0, 1)
OUTPUT = SmallOutput(*KEY, b"o", b"")


class Host:
    """Also the launcher's link and the launcher."""

    def __init__(self) -> None:
        self.saved = False
        self.wakes = 0
        self.acks: list[int] = []
        self.runner: Any = self

    def woken(self) -> None:
        self.wakes += 1

    def own_saved(self) -> bool:
        return self.saved

    def ack(self, sequence: int) -> None:
        self.acks.append(sequence)


def pipeline() -> tuple[Host, AgentPipeline]:
    host: Any = Host()
    return host, AgentPipeline(WorkerCore(1000), host, host)


def test_the_core_hears_a_welcome_when_its_epoch_has_been_saved() -> None:
    host, agent = pipeline()
    welcome = Welcome(7, 15.0)
    for step in agent.heard(1, [welcome]):
        assert (step, host.wakes) == (welcome, 0)
    assert host.wakes == 1
    list(agent.turn(Now(0.0, 0.0)))
    assert agent.events == [CommandsReceived(1, [welcome])]


def test_the_launcher_may_forget_what_is_on_disk_and_no_other_launcher_hears_that() -> None:
    host, agent = pipeline()
    agent._perform(AckJournal(5))
    assert host.acks == []
    host.saved = True
    agent.own_jobs_saved()
    agent.own_jobs_saved()
    assert host.acks == [5]
    host.saved = False
    agent._perform(AckJournal(6))
    agent.launcher_changed()
    host.saved = True
    agent.own_jobs_saved()
    assert host.acks == [5]


def test_heartbeats_pass_by_reports_but_not_by_one_that_drains() -> None:
    sent: list[Any] = []
    queue = ReportQueue(sent.append)
    queue.report(SendReport(1, Report(1), (KEY,)))
    queue.heartbeat(SendHeartbeat(1, 10))
    queue.report(SendReport(1, Report(2, draining=True)))
    queue.heartbeat(SendHeartbeat(1, 11))
    assert sent == [SendHeartbeat(1, 10)]
    steps = queue.steps()
    assert next(steps).report.sequence == 1
    assert len(sent) == 1
    assert steps.send([OUTPUT]).report.sequence == 2
    assert sent[1].report.outputs == (OUTPUT,)
    with pytest.raises(StopIteration):
        steps.send([])
    assert [type(item) for item in sent] == [SendHeartbeat, SendReport, SendReport, SendHeartbeat]
