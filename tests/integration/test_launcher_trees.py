"""Whatever shape a job's processes take, nothing of them outlives it, and no neighbour is harmed. Real processes."""

import asyncio
import os
import shutil
import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from cluster.domain.launcher.messages import Ended
from cluster.launcher import client, clock, tree
from tests.integration.fifos import let_go, reach
from tests.integration.grounds import CGROUPS, USERS, Ground, missing
from tests.integration.launchers import Agent, Watched, one, run
from tests.integration.tree_shapes import SHAPES

pytestmark = pytest.mark.slow

GRACE = 0.2
BAR = 2.0  # seconds after the grace: what is promised
MARGIN = 10.0  # more, for a machine that has other things to do
REASONS = {"cancel": "cancelled", "timeout": "timeout:run", "end": "ok", "lost": "lease", "killed": "lost"}
LIMITS = {"timeout": "timeout", "lost": "leash"}
ENDINGS = tuple(REASONS)
# All shapes with one of each: of who runs it, of what cgroups there are, and of the ends that take no time to come.
USUAL = [
    ("nobody", "v1", "cancel"),
    ("own", "none", "end"),
    ("own", "none", "killed"),
    ("root", "v2", "killed"),
]
EVERYTHING = [(user, cgroups, ending) for user in USERS for cgroups in CGROUPS for ending in ENDINGS]
needs_root = pytest.mark.skipif(missing() is not None, reason=missing() or "")


class Trial:
    """All shapes, one after another, on one ground, each ended in the same way."""

    def __init__(self, ground: Ground, ending: str, bystander: Watched) -> None:
        """`bystander`: what another launcher runs."""
        self.ground, self.ending, self._bystander = ground, ending, bystander
        self.count, self.slowest = 0, 0.0
        self._agent: Agent
        self._key = ""
        self._ended: asyncio.Task[Ended]  # who waits for its end

    async def run(self) -> None:
        """Raises AssertionError with all that survived."""
        self._agent = await self.ground.connect()
        failed = []
        for shape in SHAPES:
            if not (shape.startswith("nginx") and not shutil.which("nginx")):
                failed += await self._try(shape)
                self.count += 1
        print(f"{self.count} shapes, {len(failed)} failed, slowest {self.slowest:.2f} s")
        assert not failed, "\n".join(failed)

    async def _try(self, shape: str) -> list[str]:
        neighbour = one(self._agent, self.ground.template("sleep", "1000"), f"1.{1000 + self.count}#1")
        neighbour_pid = (await self._agent.start_of(neighbour)).pid
        process = tree.read_process(neighbour_pid)
        since = await self._begin_to_end(shape)
        failed = await self._outlived(shape, since, () if self.ending == "killed" else (neighbour_pid,))
        if self.ending == "killed":
            self._agent = await self.ground.connect()
            await self._agent.end_of(neighbour)
            reason = (await self._agent.end_of(self._key)).reason
        else:
            reason = (await self._ended).reason
            now = tree.read_process(neighbour_pid)
            if process is None or now is None or now.start != process.start:
                failed.append(f"{shape}: its neighbour was ended, too")
        if reason not in (REASONS[self.ending], *(["lost"] if shape == "kills_its_slot" else [])):
            failed.append(f"{shape}: its end was called {reason}")
        if self.ending != "killed":
            self._agent.client.stop([neighbour])
            await self._agent.end_of(neighbour)
        if self._bystander.is_gone():
            failed.append(f"{shape}: what another launcher runs was ended, too")
        return failed

    async def _begin_to_end(self, shape: str) -> float:
        """Start the job and end it when it has taken its shape. Answers when it was to end (monotonic clock)."""
        self._key = f"2.{self.count}#1"
        if self.ending in ("timeout", "lost"):
            return await self._let_run_out(shape)
        ready, gate = self.ground.fifo(), self.ground.fifo()
        one(self._agent, self.ground.shape(shape, ready, gate, grace=GRACE), self._key)
        if not await self._is_shaped(ready):
            raise AssertionError(f"{shape}: {self.ground.error(self._key)}")
        if shape == "kills_its_slot" and self.ground.user != "nobody":
            await asyncio.wait((self._ended,))  # with slot and launcher killed at once, what is left is nobody's
        since = time.monotonic()
        if self.ending == "cancel":
            self._agent.client.stop([self._key])
        elif self.ending == "end":
            if not self._ended.done():
                await let_go(gate)
        else:
            os.kill(self._agent.hello.pid, signal.SIGKILL)
            await asyncio.wait((self._ended,))
            self._ended.exception()  # there may be no end to hear of
            await self._agent.client.close()
        return since

    async def _let_run_out(self, shape: str) -> float:
        for attempt, seconds in enumerate((1.0, 5.0, 50.0), 1):  # the longer ones where even a start takes longer
            self._key = f"2.{self.count}#{attempt}"
            ready = self.ground.fifo()
            self._agent.client.confirm_lease(clock.now())
            since = time.monotonic() + seconds
            limit = {LIMITS[self.ending]: seconds}
            one(self._agent, self.ground.shape(shape, ready, self.ground.fifo(), grace=GRACE, **limit), self._key)
            if await self._is_shaped(ready):
                return since
        raise AssertionError(f"{shape}: no shape within {seconds} s")

    async def _is_shaped(self, ready: Path) -> bool:
        """Whether it tells so before it ends; or killed its slot, and was killed for that before it told."""
        shaped = asyncio.create_task(reach(ready))
        self._ended = asyncio.create_task(self._agent.end_of(self._key))
        await asyncio.wait((shaped, self._ended), return_when=asyncio.FIRST_COMPLETED)
        if shaped.done():
            return True
        shaped.cancel()
        return self._ended.result().reason == "lost"

    async def _outlived(self, shape: str, since: float, others: tuple[int, ...]) -> list[str]:
        """What is left of it when it should be gone, and the margin has passed."""
        left = await self.ground.outlived(since + GRACE + BAR + MARGIN, self._agent.hello.pid, *others)
        self.slowest = max(self.slowest, time.monotonic() - since)
        said = [f"{shape}: {len(left)} survived, such as {self.ground.describe(left)}"] if left else []
        for process in left:
            tree.send(process, signal.SIGKILL)
        return said


@pytest.fixture(autouse=True)
def agents_may_be_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent of each launcher here is the test itself. Launchers let root in; agents want to be their user."""
    monkeypatch.setattr(client, "peer_uid", lambda connection: os.geteuid())


def try_all(user: str, cgroups: str, ending: str) -> None:
    async def main() -> None:
        async with bystander.agent() as other:
            watched = Watched((await other.start_of(one(other, bystander.template("sleep", "1000")))).pid)
            await Trial(ground, ending, watched).run()
            await ground.quit()

    with closing(Ground(user, cgroups)) as ground, closing(Ground(user, cgroups)) as bystander:
        run(main())


@needs_root
@pytest.mark.parametrize(("user", "cgroups", "ending"), USUAL)
def test_nothing_outlives_its_attempt(user: str, cgroups: str, ending: str) -> None:
    try_all(user, cgroups, ending)


@needs_root
@pytest.mark.extra_trees
@pytest.mark.parametrize(("user", "cgroups", "ending"), EVERYTHING)
def test_nothing_outlives_its_attempt_anywhere(user: str, cgroups: str, ending: str) -> None:
    try_all(user, cgroups, ending)
