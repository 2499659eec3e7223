"""Whoever uses a runner with an engine, in tests of these."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.launcher.template import Item, Template
from cluster.domain.session.offer import Offer
from cluster.worker.runners import runner
from cluster.worker.runners.engine import Engine
from cluster.worker.runners.interface import Reports, Runner
from tests.patience import PATIENCE

OFFER = Offer((("mem", 1 << 34),))


class EngineAgent:
    """Whoever uses the runner in this directory, and then the next one."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._connect = runner(engine.name, directory / "launcher", 100_000, OFFER, engine)
        self.reports: Reports = []
        self._directory = directory

    async def begin(self) -> Runner:
        self.runner = await self._connect()
        self._batches = self.runner.batches()
        return self.runner

    def template(self, script: str, **others: object) -> Template:
        template = Template(("sh", "-c", script), (("WORD", "said"),), str(self._directory / "out"), fresh_cwd=True)
        return replace(template, **{"cpus": 250, **others})  # type: ignore[arg-type]

    def start(self, template: Template, *keys: str) -> None:
        self.runner.start(self.runner.define(template), [Item(key, int(key.split(".")[1][0])) for key in keys])

    async def until(self, kind: type[Ended] | type[Started], *keys: str) -> dict[str, Ended | Started]:
        """The reports of this kind about these attempts."""
        while True:
            found = {report.key: report for report in self.reports if isinstance(report, kind) and report.key in keys}
            if len(found) == len(keys):
                return found
            self.reports += await anext(self._batches)

    async def end_of(self, key: str) -> Ended:
        end = (await self.until(Ended, key))[key]
        assert isinstance(end, Ended)
        return end


def run(engine: Engine, directory: Path, case: Callable[[EngineAgent], Awaitable[None]]) -> None:
    async def body() -> None:
        agent = EngineAgent(engine, directory)
        await agent.begin()
        async with asyncio.timeout(PATIENCE):
            try:
                await case(agent)
            finally:
                await agent.runner.close()

    asyncio.run(body())
