"""The containers of a runner's attempts: orders and stops them in threads, watches them, copies what they write, and
tells the runner what has happened to each."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.engine_core import ContainerSeen, EngineCore
from cluster.domain.launcher.sightings import Sight, Sighting
from cluster.domain.launcher.slots import IF_UNBEGUN, Attempt
from cluster.domain.launcher.template import Item, Template
from cluster.domain.worker.engine_orders import OWNER_LENGTH, container_name, not_there, order_of
from cluster.domain.worker.journal import keys_of
from cluster.worker.runners.engine import Engine, EngineDeclined, EngineFull, EngineRefused
from cluster.worker.runners.engine_output import EngineOutput
from cluster.worker.runners.engine_store import HeldContainer

logger = logging.getLogger(__name__)

PAUSE = 2.0  # seconds until an engine that has no room, or does not answer, is asked again
LOOK = 1.0  # seconds between two looks for more output of one container
DOUBTED_FOR = 600.0  # seconds in which an order without an answer may still come to its engine, after it was given up
LOOK_DOUBTED = 5.0  # seconds between two questions whether it has
_SILENT = (Sight.PENDING, Sight.UNMADE)  # of these nothing was written

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Container:
    """`stopping`: the least grace, in seconds, with which it was told to end; None: it was not. `early`: what was seen
    of it last before the answer to its order came."""

    key: str
    name: str
    output: EngineOutput
    reference: str = ""
    node: str = ""
    made: bool = False
    stopping: float | None = None
    last: Sighting | None = None
    early: Sighting | None = None
    ended: bool = False
    news: asyncio.Event = field(default_factory=asyncio.Event)  # set when something has happened to it
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class EngineContainers:
    """`over` is set when the agent leaves: nothing more is told then."""

    def __init__(
        self,
        engine: Engine,
        core: EngineCore,
        owner: str,
        pool: Executor,
        tell: Callable[[ev.Event | ContainerSeen], None],
    ) -> None:
        self.over = threading.Event()
        self._engine, self._core, self._owner, self._pool, self._tell = engine, core, owner, pool, tell
        self._by_key: dict[str, Container] = {}
        self._by_name: dict[str, Container] = {}
        self._news: list[tuple[str, str, str]] = []
        self._loop = asyncio.get_running_loop()
        self._chores: set[asyncio.Task[None]] = set()
        self._forgetting: dict[str, asyncio.Task[None]] = {}  # by names of containers
        self._full = ""  # why the engine has taken nothing lately
        self._doubted: dict[str, float] = {}  # names of what nobody wants, and until when the engine may get it yet
        self._doubts: list[tuple[str, float]] = []  # names, and until when, to be written down; 0: it is settled

    def checked(self, template: Template) -> Template:
        """The template as it is for an engine: no user of this machine, and refused if it asks for what is not
        there."""
        refusal = template.refusal or not_there(template, self._engine.name)
        return replace(template, uid=None, gid=None, refusal=refusal)

    def start(self) -> None:
        """Begins to watch. The thread may wait for its engine when the program ends, and holds up nobody."""
        threading.Thread(target=self._watch_all, name="engine-watch", daemon=True).start()

    def take_news(self) -> list[tuple[str, str, str]]:
        """Key, reference and node of each container of which these have become known."""
        news, self._news = self._news, []
        return news

    def take_doubts(self) -> list[tuple[str, float]]:
        """Names of orders that were given up without an answer, and until when these may still come to the engine (Unix
        seconds); 0: no more."""
        doubts, self._doubts = self._doubts, []
        return doubts

    # -- what is to be done

    def doubt(self, name: str, until: float) -> None:
        """The engine may get an order of that name yet, until then: what nobody wants by then is ended, and what has
        ended keeps its name, so that it is not made anew."""
        if until <= (before := self._doubted.get(name, 0.0)):
            return
        self._doubted[name] = until
        self._doubts.append((name, until))
        if not before:
            self._chore(self._settle(name))

    def adopt(self, held: HeldContainer) -> None:
        container = self._add(held.item, held.template)
        container.reference, container.made = held.reference, bool(held.reference)
        if not container.made:
            self._do(container, self._make(container, held.item, held.template, None, adopted=True))
        self._do(container, self._copy(container))

    def order(self, spawn: ev.Spawn) -> None:
        container = self._add(spawn.item, spawn.template)
        self._do(container, self._make(container, spawn.item, spawn.template, spawn.by))
        self._do(container, self._copy(container))

    def recall(self, slot: int) -> None:
        """What has not begun is to come back. What was only asked back goes on, as it is made already."""
        for attempt in list(self._core.slots[slot].queue):
            container = self._by_key.get(attempt.key)
            if attempt.wanted == IF_UNBEGUN and (container is None or container.made):
                self._tell(ev.SlotReturned(slot, []))
            elif container is not None and container.made:
                self.stop(attempt.key, 0.0)

    def stop(self, key: str, grace: float) -> None:
        container = self._by_key.get(key)
        if container is not None and (container.stopping is None or grace < container.stopping):
            container.stopping = grace
            if container.made:
                self._do(container, self._stop(container))

    def ended(self, key: str) -> None:
        """Its end is kept."""
        container = self._by_key.pop(key, None)
        if container is not None:
            self._by_name.pop(container.name, None)
            container.ended = True
            container.news.set()

    def forget(self, gone: Iterable[tuple[str, str]], anew: Iterable[tuple[str, str]]) -> None:
        """Keys and references of what nobody asks for any more, and of what could not be begun and is ordered anew."""
        for key, reference in gone:
            if (name := self._name(key)) not in self._doubted:
                self._forget_soon(name, reference)
        for key, reference in anew:
            self._forget_soon(self._name(key), reference)

    def _name(self, key: str) -> str:
        return container_name(self._owner, keys_of((key,))[0])

    def _forget_soon(self, name: str, reference: str) -> None:
        forgetting = self._forgetting[name] = self._chore(self._forget(name, reference))
        forgetting.add_done_callback(lambda _: self._forgetting.pop(name, None))

    def _chore(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task

    async def close(self) -> None:
        self.over.set()
        tasks = [*self._chores, *(task for container in self._by_key.values() for task in container.tasks)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- its tasks

    def _add(self, item: Item, template: Template) -> Container:
        [key] = keys_of((item.key,))
        container = Container(item.key, self._name(item.key), EngineOutput(key, template))
        self._by_key[item.key] = self._by_name[container.name] = container
        return container

    def _do(self, container: Container, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        container.tasks.add(task)
        task.add_done_callback(container.tasks.discard)

    async def _make(
        self, container: Container, item: Item, template: Template, by: float | None, adopted: bool = False
    ) -> None:
        """Orders it until the engine has taken it, or refused, or nobody wants it any more. An order without an answer
        may have been taken: it is not given back before the engine was asked for it."""
        order, is_unsure = order_of(container.name, item, template), False
        if forgetting := self._forgetting.get(container.name):
            await asyncio.wait([forgetting])  # what was given back comes again: its new container is not forgotten
        if adopted:
            self.doubt(container.name, time.time() + DOUBTED_FOR)
            if not await self._find(container):
                return
        while (attempt := self._attempt(container)) is not None:
            late = by is not None and time.clock_gettime(time.CLOCK_BOOTTIME) >= by
            if attempt.wanted is not None or (late and attempt.slot is not None):
                if is_unsure:
                    is_unsure = False
                    if not await self._find(container):
                        return
                    continue
                await self._call(container.output.remove_empty)
                if self._attempt(container) is not attempt or attempt.slot is None:
                    continue
                self.ended(container.key)
                self._tell(ev.SlotReturned(attempt.slot.number, [container.key]))
                return
            try:
                await self._call(container.output.prepare)
                seen = await self._call(self._engine.make, order)
            except EngineRefused as refusal:
                self._told(container, Sighting(container.name, Sight.UNMADE, text=str(refusal)))
                return
            except (EngineFull, OSError) as full:
                if isinstance(full, EngineFull) and not isinstance(full, EngineDeclined):
                    is_unsure = True
                    self.doubt(container.name, time.time() + DOUBTED_FOR)
                if str(full) != self._full:
                    self._full = str(full)
                    logger.warning("%s takes nothing more just now: %s", self._engine.name, full)
                await self._pause(container, PAUSE)
                continue
            self._full = ""
            self._made(container, seen)
            return

    async def _find(self, container: Container) -> bool:
        """Whether the engine has no container of this name yet, which an agent has ordered and not seen."""
        while not container.ended:
            try:
                seen = await self._call(self._engine.find, container.name)
            except EngineFull as full:
                logger.warning("%s does not say whether there is %s: %s", self._engine.name, container.name, full)
                await self._pause(container, PAUSE)
                continue
            if seen is None:
                return True
            self._made(container, seen)
            return False
        return False

    def _made(self, container: Container, seen: Sighting) -> None:
        attempt = self._attempt(container)
        container.made = True
        if container.stopping is not None or (attempt is not None and attempt.wanted not in (None, IF_UNBEGUN)):
            container.stopping = container.stopping or 0.0
            self._do(container, self._stop(container))
        self._told(container, seen)
        if container.early is not None and seen.is_same(container.early):
            self._told(container, container.early)

    async def _stop(self, container: Container) -> None:
        while not container.ended and container.stopping is not None:
            grace = container.stopping
            try:
                await self._call(self._engine.stop, container.name, container.reference, grace)
            except EngineFull as full:
                logger.warning("%s does not stop %s: %s; trying again", self._engine.name, container.name, full)
                await self._pause(container, PAUSE)
                continue
            if grace == container.stopping:
                return

    async def _copy(self, container: Container) -> None:
        """Copies its output, until all is there when it is over; then tells that."""
        while not container.ended:
            seen = container.last
            over = seen is not None and seen.sight.over
            more = False
            try:
                if container.reference and seen is not None and seen.sight not in _SILENT:
                    more = await self._call(container.output.copy, self._engine, container.name, container.reference)
            except (EngineFull, OSError) as error:
                if not over:
                    await self._pause(container, PAUSE)
                    continue
                logger.warning("the rest of what %s has written cannot be had: %s", container.name, error)
            if more:
                continue
            if over and seen is not None:
                await self._call(container.output.remove_empty)
                self._tell_all(container, seen)
                return
            await self._pause(container, LOOK)

    async def _forget(self, name: str, reference: str) -> None:
        try:
            await self._call(self._engine.forget, name, reference)
        except EngineFull as full:
            logger.warning("%s keeps %s, which has ended: %s", self._engine.name, name, full)

    async def _settle(self, name: str) -> None:
        """Ends that container whenever the engine has it and nobody wants it, until none can come any more."""
        while time.time() < self._doubted[name]:
            try:
                seen = None if name in self._by_name else await self._call(self._engine.find, name)
                if seen is not None and not seen.sight.over and name not in self._by_name:
                    logger.warning("%s has %s, which nobody wants any more: it is ended", self._engine.name, name)
                    await self._call(self._engine.discard, name, seen.reference)
            except EngineFull as full:
                logger.info("%s does not say whether it has %s: %s", self._engine.name, name, full)
            await asyncio.sleep(LOOK_DOUBTED)
        del self._doubted[name]
        self._doubts.append((name, 0.0))
        if name not in self._by_name:
            self._forget_soon(name, "")

    async def _pause(self, container: Container, seconds: float) -> None:
        """Until something has happened to it, at most so long."""
        try:
            async with asyncio.timeout(seconds):
                await container.news.wait()
        except TimeoutError:
            return
        container.news.clear()

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        return await self._loop.run_in_executor(self._pool, function, *arguments)

    # -- what is seen

    def _attempt(self, container: Container) -> Attempt | None:
        return None if self._by_key.get(container.key) is not container else self._core.attempts.get(container.key)

    def _watch_all(self) -> None:
        def tell(seen: Sighting) -> None:
            if not self.over.is_set():
                self._loop.call_soon_threadsafe(self._seen, seen)

        try:
            self._engine.watch(self._owner[:OWNER_LENGTH], self._wanted, tell, self.over)
        except Exception:
            logger.exception("a fault of ours: the containers are watched no more")

    def _wanted(self) -> Mapping[str, str]:
        return {container.name: container.reference for container in list(self._by_name.values()) if container.made}

    def _seen(self, seen: Sighting) -> None:
        container = self._by_name.get(seen.name)
        if container is None:
            self._seen_unknown(seen)
        elif not container.made:
            container.early = seen
        elif container.last is None or container.last.is_same(seen):  # else it was of that name, and was not begun
            self._told(container, seen)

    def _seen_unknown(self, seen: Sighting) -> None:
        """Its end is kept, or an earlier agent was told so, and has not come to say that nobody asks for it; or its
        order was given up, and came to the engine all the same."""
        if not seen.sight.over:
            self.doubt(seen.name, time.time() + DOUBTED_FOR)
        elif seen.name not in self._forgetting and seen.name not in self._doubted:
            self._forget_soon(seen.name, seen.reference)

    def _told(self, container: Container, seen: Sighting) -> None:
        """What is over stays over. That is told when its output is there."""
        before = container.last
        if before == seen or (before is not None and before.sight.over):
            return
        container.last = seen
        container.news.set()
        if (seen.reference, seen.node) != (container.reference, container.node) and seen.reference:
            container.reference, container.node = seen.reference, seen.node
            self._news.append((container.key, seen.reference, seen.node))
        if not seen.sight.over:
            self._tell_all(container, seen)

    def _tell_all(self, container: Container, seen: Sighting) -> None:
        sizes = (container.output.size, 0) if seen.sight.over else (0, 0)
        self._tell(ContainerSeen(container.key, seen, time.time_ns() // 1000, sizes))
