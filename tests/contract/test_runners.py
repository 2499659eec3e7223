"""The contract of `cluster.worker.runners.interface`, for each runner that there is: whatever starts attempts, an agent
may rely on this."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.domain.launcher.messages import Ended
from cluster.domain.launcher.template import Item, Template
from cluster.worker.runners import ECS, KUBERNETES, LOCAL, NULL, runner
from cluster.worker.runners.interface import Connect, Reports, Runner
from tests.engines.aws import aws  # noqa: F401 (a fixture)
from tests.engines.kube import kube  # noqa: F401 (a fixture)
from tests.patience import PATIENCE

EVERY = [
    pytest.param(LOCAL, marks=pytest.mark.slow),
    pytest.param(ECS, marks=pytest.mark.slow),
    pytest.param(KUBERNETES, marks=[pytest.mark.slow, pytest.mark.extra_kube]),
    NULL,
]
KEYS = [f"5.{index}#1" for index in range(6)]


def items(keys: list[str]) -> list[Item]:
    """Tasks of an array."""
    return [Item(key, AttemptKey.parse(key).index) for key in keys]


class Agent:
    """Starts attempts and remembers what it is told."""

    def __init__(self, there: Runner) -> None:
        self.runner = there
        self.reports: Reports = []
        self._batches = there.batches()

    async def until_ended(self, count: int) -> list[Ended]:
        while len(ends := [report for report in self.reports if isinstance(report, Ended)]) < count:
            self.reports += await anext(self._batches)
        return ends

    async def until_gone(self) -> None:
        async for reports in self._batches:
            self.reports += reports


class Bench:
    def __init__(self, connect: Connect, directory: Path) -> None:
        self.outputs = directory / "outputs"
        self._work = directory / "work"
        self._connect = connect
        self._agents: list[Agent] = []

    async def agent(self) -> Agent:
        self._agents.append(Agent(await self._connect()))
        return self._agents[-1]

    def template(self, *argv: str) -> Template:
        env = (("PATH", "/usr/bin:/bin"),)
        return Template(argv, env, str(self.outputs), str(self._work), fresh_cwd=True, grace=0.0)

    async def clean_up(self) -> None:
        """Of the runner that the last agent has found: what is left ends."""
        last = self._agents[-1]
        last.runner.quit(kill=True)
        await last.until_gone()
        for agent in self._agents:
            await agent.runner.close()


Case = Callable[[Bench], Awaitable[None]]


@pytest.fixture(params=EVERY)
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Case], None]:
    """Runs a case with one of the runners."""

    engine = None
    if request.param == ECS:
        engine = request.getfixturevalue("aws").engine()
    elif request.param == KUBERNETES:
        engine = request.getfixturevalue("kube").engine("admin")

    async def run(case: Case) -> None:
        bench = Bench(runner(request.param, tmp_path / "runner", 2000, engine=engine), tmp_path)
        bench.outputs.mkdir()
        async with asyncio.timeout(PATIENCE):
            try:
                await case(bench)
            finally:
                await bench.clean_up()

    return lambda case: asyncio.run(run(case))


def test_a_fresh_one_holds_nothing(check: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        hello = (await bench.agent()).runner.hello
        assert hello.incarnation
        assert (list(hello.running), list(hello.backlog), hello.unacked) == ([], [], 0)

    check(case)


def test_all_that_is_started_ends_once_and_says_how(check: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        agent = await bench.agent()
        one, other = (agent.runner.define(bench.template("true")) for _ in range(2))
        assert one != other
        agent.runner.start(one, items(KEYS[:3]))
        agent.runner.start(other, items(KEYS[3:]))
        ends = await agent.until_ended(len(KEYS))
        assert sorted(end.key for end in ends) == KEYS
        assert {(end.reason, end.code, end.signal, end.text) for end in ends} == {("ok", 0, None, "")}
        assert all(end.started_at > 0 and end.duration >= 0 for end in ends)
        numbers = [report.seq for report in agent.reports]
        assert numbers == sorted(set(numbers))

    check(case)


def test_nothing_starts_twice_before_its_end_is_acknowledged(check: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        agent = await bench.agent()
        template = agent.runner.define(bench.template("true"))
        agent.runner.start(template, items([KEYS[0], KEYS[0]]))
        await agent.until_ended(1)
        agent.runner.start(template, items(KEYS[:2]))
        assert [end.key for end in await agent.until_ended(2)] == KEYS[:2]
        agent.runner.ack(agent.reports[-1].seq)
        agent.runner.start(template, items(KEYS[2:3]))
        assert [end.key for end in await agent.until_ended(3)] == KEYS[:3]

    check(case)


def test_an_id_may_mean_something_else_from_then_on(check: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        agent = await bench.agent()
        template = agent.runner.define(bench.template("true"))
        agent.runner.start(template, items(KEYS[0:1]))
        agent.runner.redefine(template, bench.template("env"))
        agent.runner.start(template, items(KEYS[1:2]))
        assert {end.code for end in await agent.until_ended(2)} == {0}

    check(case)


def test_what_has_ended_or_is_not_known_is_neither_stopped_nor_given_back(check: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        agent = await bench.agent()
        template = agent.runner.define(bench.template("true"))
        agent.runner.start(template, items(KEYS[0:1]))
        await agent.until_ended(1)
        for keys in ([KEYS[0]], [KEYS[5]]):
            agent.runner.stop(keys)
            agent.runner.recall(keys)
        agent.runner.start(template, items(KEYS[1:2]))
        assert [(end.key, end.reason) for end in await agent.until_ended(2)] == [(KEYS[0], "ok"), (KEYS[1], "ok")]

    check(case)


def test_as_much_is_in_the_outputs_as_the_end_says(check: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        agent = await bench.agent()
        template = agent.runner.define(bench.template("sh", "-c", "echo out; echo error >&2"))
        agent.runner.start(template, items(KEYS[0:1]))
        [end] = await agent.until_ended(1)
        for suffix, said in (("out", end.out), ("err", end.err)):
            file = bench.outputs / f"0.1.{suffix}"
            assert (file.stat().st_size if file.exists() else 0) == said

    check(case)


def test_who_connects_again_hears_what_was_not_acknowledged_or_that_it_may_be_forgotten(
    check: Callable[[Case], None],
) -> None:
    async def case(bench: Bench) -> None:
        first = await bench.agent()
        first.runner.start(first.runner.define(bench.template("true")), items(KEYS[:2]))
        await first.until_ended(2)
        await first.runner.close()
        second = await bench.agent()
        if second.runner.hello.incarnation == first.runner.hello.incarnation:
            assert second.runner.hello.unacked == len(first.reports)
            await second.until_ended(2)
            assert second.reports == first.reports

    check(case)


def test_one_that_is_not_needed_goes(check: Callable[[Case], None]) -> None:
    async def case(bench: Bench) -> None:
        agent = await bench.agent()
        agent.runner.confirm_lease(0.0)
        agent.runner.quit()
        await agent.until_gone()
        assert agent.reports == []

    check(case)
