"""Runs a worker's attempts by an engine, each in a container of its own, below the same core as the launcher's.

What is to survive the agent is in `engine.db` before anything is done about it: what was taken, what was ordered, and
every report until it is acknowledged. A container's name follows from its attempt, so whoever asks for it again finds
the one that there is. After a crash the next agent goes on with what it finds there; leases count on meanwhile, by the
boot clock, and what was out of its leash by then is stopped first of all. While no agent runs nobody stops anything.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cluster.domain.job import endings
from cluster.domain.launcher import messages as ev
from cluster.domain.launcher.engine_core import ContainerSeen, EngineCore
from cluster.domain.launcher.slots import Phase
from cluster.domain.launcher.template import Item, Template
from cluster.domain.session.offer import Offer
from cluster.launcher.client import LauncherUnavailable
from cluster.worker.runners.engine import Engine
from cluster.worker.runners.engine_containers import EngineContainers
from cluster.worker.runners.engine_store import EngineStore
from cluster.worker.runners.interface import Connect, Reports, Runner

logger = logging.getLogger(__name__)

MOST_CALLS = 8  # of the engine's, at once

Told = ev.Event | ContainerSeen


class EngineHello(NamedTuple):
    incarnation: str
    running: Sequence[str]
    backlog: Sequence[str]
    quiet: Mapping[str, float]
    unacked: int
    frozen: Sequence[str] | None = None
    limits_memory: bool = True


class _Said(NamedTuple):
    """`again`: keys of what was given back and comes again. `acked`: number of a report; 0: none."""

    taken: Sequence[ev.StartRequested]
    again: Sequence[str]
    acked: int


class EngineRunner:
    """One agent's use of what `engine.db` in `directory` holds. Nobody else uses that meanwhile."""

    def __init__(self, engine: Engine, store: EngineStore, millicpus: int, offer: Offer) -> None:
        self._store = store
        self._core = EngineCore(millicpus, store.seq, store.unacked())
        self._core.confirmed_at = store.confirmed_at()
        self._events: list[Told] = []
        self._wake = asyncio.Event()
        self._reports: asyncio.Queue[Reports | None] = asyncio.Queue()  # None: it has gone
        self._templates: dict[int, Template] = {}
        self._pool = ThreadPoolExecutor(MOST_CALLS, "engine")
        self._containers = EngineContainers(engine, self._core, store.incarnation, self._pool, self._tell)
        self.hello = self._take_over(millicpus, offer)
        self._loop = asyncio.create_task(self._run())
        for name, until in store.doubted():
            self._containers.doubt(name, until)
        self._containers.start()

    def _take_over(self, millicpus: int, offer: Offer) -> EngineHello:
        """Takes on what an earlier agent has left. What was ordered may run; what was not waits, as before."""
        core, now, wall_us = self._core, _now(), time.time_ns() // 1000
        self._events = [ev.OfferMade(offer)]
        for held in self._store.held():
            if held.ordered:
                core.adopt(held.item, held.template, now, held.began, max(0, wall_us - held.began) / 1e6)
                self._containers.adopt(held)
            else:
                self._events.append(ev.StartRequested(held.template, [held.item]))
        running = [key for key, attempt in core.attempts.items() if attempt.phase is Phase.RUNNING]
        backlog = [key for key in core.attempts if key not in set(running)]
        backlog += [event.items[0].key for event in self._events if isinstance(event, ev.StartRequested)]
        self._events.append(ev.AgentConnected(millicpus))
        unacked: Reports = list(core.unacked)
        if unacked:
            self._reports.put_nowait(unacked)
        self._wake.set()
        limits = ((key, core.attempts[key].template.quiet_timeout) for key in running)
        quiet = {key: limit for key, limit in limits if limit is not None}
        return EngineHello(self._store.incarnation, running, backlog, quiet, len(unacked))

    # -- what an agent says

    def define(self, template: Template) -> int:
        number = len(self._templates) + 1
        self.redefine(number, template)
        return number

    def redefine(self, template_id: int, template: Template) -> None:
        self._templates[template_id] = self._containers.checked(template)

    def start(self, template: int, items: Iterable[Item]) -> None:
        self._tell(ev.StartRequested(self._templates[template], list(items), self._core.confirmed_at or None))

    def recall(self, keys: Iterable[str]) -> None:
        self._tell(ev.RecallRequested(list(keys)))

    def stop(self, keys: Iterable[str], reason: str = endings.CANCELLED, grace: float | None = None) -> None:
        self._tell(ev.StopRequested(list(keys), reason, grace))

    def freeze(self, keys: Iterable[str], thaw: bool = False) -> None:
        """No engine can let a container stand still."""

    def confirm_lease(self, at: float) -> None:
        self._store.confirm(at)
        self._tell(ev.LeaseConfirmed(at))

    def ack(self, seq: int) -> None:
        self._tell(ev.AgentAcked(seq))

    def quit(self, kill: bool = False) -> None:
        self._tell(ev.QuitRequested(kill))

    async def batches(self) -> AsyncIterator[Reports]:
        while (reports := await self._reports.get()) is not None:
            yield reports

    async def close(self) -> None:
        """What runs goes on."""
        if self._containers.over.is_set():
            return
        self._containers.over.set()
        self._loop.cancel()
        with suppress(asyncio.CancelledError):
            await self._loop
        await self._containers.close()
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)
        self._store.close()

    def _tell(self, event: Told) -> None:
        self._events.append(event)
        self._wake.set()

    # -- its turns

    async def _run(self) -> None:
        try:
            while await self._turn():
                pass
        except (sqlite3.Error, OSError) as error:
            logger.error("what is to be remembered of attempts cannot be written: %s", error)
        except Exception:
            logger.exception("a fault of ours; what runs goes on")
        self._reports.put_nowait(None)

    async def _turn(self) -> bool:
        """Waits for what happens next, and does all that follows. False: nobody needs us any more."""
        due = self._core.next_deadline()
        with suppress(TimeoutError):
            async with asyncio.timeout(None if due is None else max(0.0, due - _now())):
                await self._wake.wait()
        self._wake.clear()
        events, self._events = self._events, []
        now = _now()
        said = self._said(events)
        effects = self._core.turn(events or [ev.Tick()], now)  # type: ignore[arg-type] # (and ContainerSeen)
        told = self._containers.take_news(), self._containers.take_doubts()
        gone, anew = await asyncio.to_thread(self._keep, said, effects, *told)
        self._containers.forget(gone, anew)
        reports: Reports = [effect.report for effect in effects if isinstance(effect, ev.JournalReport)]
        for report in reports:
            if isinstance(report, ev.Ended):
                self._containers.ended(report.key)
        if reports:
            self._reports.put_nowait(reports)
        self._perform(effects, now)
        return not any(isinstance(effect, ev.Exit) for effect in effects)

    def _said(self, events: Sequence[Told]) -> _Said:
        """What the agent has said in these events, before the core has heard them: it is kept with what follows from
        it. What the agent says meanwhile is the next turn's: a number that is acknowledged in the one's memory and not
        in the other's file would end, there, what has come again under its key."""
        taken = [event for event in events if isinstance(event, ev.StartRequested)]
        again = [key for request in taken for key in self._core.given_back(item.key for item in request.items)]
        acked = max((event.acked for event in events if isinstance(event, ev.AgentAcked)), default=0)
        return _Said(taken, again, acked)

    def _keep(
        self, said: _Said, effects: list[ev.Effect], news: list[tuple[str, str, str]], doubts: list[tuple[str, float]]
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Writes down what happened, all at once. Answers what nobody asks for any more, and what comes again, as
        `acked` and `again` of the store do. Blocks."""
        with self._store.at_once():
            anew = self._store.again(said.again)
            for request in said.taken:
                self._store.take(request.template, request.items)
            self._store.ordered([effect.item.key for effect in effects if isinstance(effect, ev.Spawn)])
            for key, reference, node in news:
                self._store.refer(key, reference, node)
            for name, until in doubts:
                self._store.doubt(name, until)
            for effect in effects:
                if isinstance(effect, ev.JournalReport):
                    self._store.report(effect.report)
            return self._store.acked(said.acked) if said.acked else [], anew

    def _perform(self, effects: list[ev.Effect], now: float) -> None:
        for effect in effects:
            match effect:
                case ev.Spawn():
                    self._containers.order(effect)
                case ev.RecallFromSlot(slot):
                    self._containers.recall(slot)
                case ev.Signal():
                    self._containers.stop(effect.key, self._core.grace_left(effect.key, now))
                case ev.Kill() | ev.KillSlot():
                    self._containers.stop(effect.key, 0.0)
                case _:
                    pass


def engine_runner(engine: Engine, directory: Path, millicpus: int, offer: Offer) -> Connect:
    """Connects to what is remembered in this directory. LauncherUnavailable where that cannot be used."""

    def open_store() -> EngineStore:
        try:
            return EngineStore(directory)
        except (sqlite3.Error, OSError) as error:
            raise LauncherUnavailable(f"{directory}/engine.db cannot be used: {error}") from None

    async def connect() -> Runner:
        store = await asyncio.to_thread(open_store)
        return EngineRunner(engine, store, millicpus, offer)

    return connect


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
