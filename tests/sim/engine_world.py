"""A world of one worker whose attempts an engine runs: the runner itself with its file, below an agent that is killed
between any two things that it does, and above an engine whose orders and answers are lost, or come late.

Checked: a runner that is asked what it holds names all that it was told to start and that it has begun; each attempt
runs to its own end once; what is given back never ran, but for an order that came late; that one is ended. At the end
the engine has nothing that runs.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

import pytest

from cluster.domain.job import endings
from cluster.domain.launcher.messages import Ended, Started
from cluster.domain.launcher.template import Item, Template
from cluster.domain.session.offer import Offer
from cluster.worker.runners import engine_containers, engine_runner, engine_store
from cluster.worker.runners.engine_runner import EngineRunner
from cluster.worker.runners.engine_store import EngineStore
from tests.sim.engine_cloud import Box, Cloud, Weather, code_of
from tests.sim.engine_time import Killed, Process, Time

WEATHERS = (
    Weather(lives=2.0),
    Weather(lives=2.0, forgets=False),
    Weather(silent=0.1, unanswered=0.1, full=0.1, lives=5.0),
    Weather(silent=0.1, unanswered=0.1, full=0.1, lives=5.0, forgets=False),
    Weather(late=0.3, silent=0.1, lives=5.0),
    Weather(late=0.5, latest=10.0, lives=5.0),
    Weather(late=0.5, latest=10.0, lives=5.0, forgets=False),
    Weather(late=0.3, full=0.2, lives=5.0, forgets=False),
)
TASKS, MILLICPUS = 12, 4000
MOST_KILLS = 12
LONGEST = 4000.0  # seconds in which all must be done
QUIET = engine_containers.DOUBTED_FOR + 60.0  # seconds after which nothing comes any more


class Wrong(AssertionError):
    """What must never be."""


class EngineWorld:
    def __init__(self, seed: int, directory: Path) -> None:
        self.random = Random(seed)
        self.time = Time(self.random)
        self.weather = WEATHERS[seed % len(WEATHERS)]
        self.cloud = Cloud(self.time, self.weather)
        self._directory = directory
        self._template = Template(("true",), (), str(directory / "out"), cpus=1000, grace=2.0)
        keys = [f"7.{index}#1" for index in range(TASKS)]
        self.ready = dict.fromkeys(keys)  # as the scheduler has them
        self.held: dict[str, bool] = {}  # whether it was told to have begun
        self.stopped: set[str] = set()
        self.ends: dict[str, Ended] = {}
        self.kills = 0

    # -- the lives of its agents

    def live(self) -> None:
        with self._clocks():
            while not self._one_life():
                self.kills += 1
                self.time.now += self.random.uniform(0.0, 5.0)
        self._check_the_end()

    @contextmanager
    def _clocks(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for module in (engine_runner, engine_containers, engine_store):
                patch.setattr(module, "time", self.time)
            yield

    def _one_life(self) -> bool:
        self._process = process = Process(self.time, self._is_on_its_way)
        store = EngineStore(self._directory)
        store._db.execute("pragma synchronous=off")  # processes die here, and no power fails
        self.cloud.is_watched.clear()
        try:
            return process.live(self._agent(store))
        finally:
            self.cloud._tell = None
            store.close()
            if process.wrong is not None:
                raise process.wrong

    def _is_on_its_way(self, function: object) -> bool:
        """What was said to the engine may arrive; what was to be written never is."""
        does = getattr(function, "__self__", None) is self.cloud and self.random.random() < 0.5
        self.cloud.is_orphan = does and getattr(function, "__name__", "") == "make"
        return does

    # -- the agent, and its scheduler

    async def _agent(self, store: EngineStore) -> None:
        runner = self._runner = EngineRunner(self.cloud, store, MILLICPUS, Offer(()))
        self.cloud.is_watched.wait()
        self.time.after(self.random.uniform(0.0, 0.5), self._in_life(self.cloud.look))
        self._acked = 0
        self._id = runner.define(self._template)
        self._compare([*runner.hello.running, *runner.hello.backlog], [end.key for end in _ends(store.unacked())])
        self._over = asyncio.Event()
        reading = asyncio.create_task(self._read())
        self.time.after(0.0, self._in_life(self._wish))
        self._perhaps_killed()
        await self._over.wait()
        await asyncio.sleep(QUIET)
        reading.cancel()
        runner._containers.over.set()
        runner._loop.cancel()

    def _in_life(self, what: Callable[[], None]) -> Callable[[], None]:
        """`what`, unless this process is dead by then."""
        process = self._process

        def do() -> None:
            if not process.is_dead:
                what()

        return do

    def _perhaps_killed(self) -> None:
        """At any moment between two things that happen."""
        if self.kills < MOST_KILLS:
            self.time.after(self.random.expovariate(1 / self.weather.lives), self._in_life(_killed))

    def _compare(self, held: list[str], ended: list[str]) -> None:
        for key, has_begun in list(self.held.items()):
            if key not in held and key not in ended:
                if has_begun:
                    raise Wrong(f"{key} has begun, and the runner does not know it")
                del self.held[key]
                self.ready[key] = None

    async def _read(self) -> None:
        at = 0.0
        async for reports in self._runner.batches():
            at = max(at, self.time.now + self.random.choice((0.0, 0.1, 2.0)) * self.random.random())
            for report in reports:
                self.time.after(at - self.time.now, self._in_life(partial(self._reported, report)))

    def _reported(self, report: Started | Ended) -> None:
        key = report.key
        if isinstance(report, Started):
            if key in self.held:
                self.held[key] = True
        elif key in self.held:
            has_begun = self.held.pop(key)
            if report.reason == endings.RETURNED:
                if has_begun:
                    raise Wrong(f"{key} has begun, and is given back")
                self.ready[key] = None
            else:
                self._check_end(report)
        self._acked = max(self._acked, report.seq)
        ack = self._in_life(lambda: self._runner.ack(self._acked))
        if self.random.random() < 0.5:
            ack()
        else:  # another report before it is not settled
            self.time.after(self.random.uniform(0.0, 1.0), ack)
        if self.random.random() < 0.5:
            self._assign()

    def _check_end(self, end: Ended) -> None:
        code = code_of(end.key)
        own = (endings.reason_of(code, None), code)
        allowed = [own]
        if (end.reason, end.code) not in allowed and end.key not in self.stopped:
            raise Wrong(f"{end.key} ends by {end.reason}, code {end.code} {end.text}; its own code is {code}")
        self.ends[end.key] = end

    def _wish(self) -> None:
        """What is wanted changes all the time."""
        keys = [key for key, has_begun in self.held.items() if not has_begun]
        chance = self.random.random()
        if chance < 0.3 and keys:
            self._runner.recall(self.random.sample(keys, 1))
        elif chance < 0.32 and self.held:
            key = self.random.choice(list(self.held))
            self.stopped.add(key)
            self._runner.stop([key], grace=self.random.choice((0.0, 2.0)))
        elif chance < 0.9:
            self._assign()
        if len(self.ends) == TASKS:
            self._over.set()
            return
        if self.time.now > LONGEST:
            raise Wrong(f"not done by then: {sorted(self.ready)} wait, {self.held} are held")
        self.time.after(self.random.uniform(0.0, 2.0), self._in_life(self._wish))

    def _assign(self) -> None:
        keys = self.random.sample(list(self.ready), min(len(self.ready), self.random.randint(1, 4)))
        for key in keys:
            del self.ready[key]
            self.held[key] = False
        if keys:
            self._runner.start(self._id, [Item(key) for key in keys])

    # -- what must be

    def _check_the_end(self) -> None:
        if alive := self.cloud.alive():
            raise Wrong(f"nobody wants {[box.key for box in alive]}, and they are there")
        if thrown := [box.key for box in self.cloud.boxes if box.given_up and box.began and not box.late]:
            raise Wrong(f"{thrown} ran, and were thrown away")
        ran: dict[str, list[Box]] = {}
        for box in self.cloud.boxes:
            if box.began and not box.given_up:
                ran.setdefault(box.key, []).append(box)
        for key, boxes in ran.items():
            if len(boxes) > 1:
                raise Wrong(f"{key} ran {len(boxes)} times")


def _killed() -> None:
    raise Killed


def _ends(reports: list[Started | Ended]) -> list[Ended]:
    return [report for report in reports if isinstance(report, Ended)]


def play(seed: int, directory: Path) -> EngineWorld:
    """One life. Wrong says what must not be."""
    world = EngineWorld(seed, directory)
    try:
        world.live()
    except Exception as error:
        since = world.time.now
        raise Wrong(f"seed {seed}, {since:.1f} s, {world.kills} kills: {type(error).__name__}: {error}") from error
    return world
