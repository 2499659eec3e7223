"""The launcher that the agent is connected to: what it is told, and what it was told about each job."""

import asyncio
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from cluster.domain.base.errors import Unreachable
from cluster.domain.base.ids import AttemptKey
from cluster.domain.job import endings
from cluster.domain.job.results import WantedResults, wanted_results
from cluster.domain.job.spec import DEFAULT_LOST_AFTER, MOST_MAX_OUTPUT
from cluster.domain.launcher.template import Item, Template
from cluster.domain.session.leashes import leash_of
from cluster.domain.worker.held_attempts import HeldAttempts
from cluster.domain.worker.messages import (
    OWN,
    ConfirmLease,
    Define,
    FreezeAttempts,
    RecallAttempts,
    Start,
    StartItem,
    StopAttempts,
    WorkerEffect,
)
from cluster.launcher.client import LauncherUnavailable
from cluster.worker.output.files import Outputs
from cluster.worker.runners.interface import Connect, Runner
from cluster.worker.templates import Templates

logger = logging.getLogger(__name__)

UNKNOWN_LEASH = leash_of(DEFAULT_LOST_AFTER)  # seconds, of jobs that were adopted and not assigned since: the usual one

_OWN_TEMPLATE = -1  # beside those that the core numbers, for jobs of the worker's own API


@dataclass(slots=True)
class LauncherLink:
    """`runner`: the present launcher, None: there is none. `known`: it has said what it holds. `fresh`: jobs whose
    attempts get a directory of their own."""

    connect: Connect
    templates: Templates
    outputs: Outputs
    runner: Runner | None = None
    known: bool = False
    quitting: bool = False  # no other launcher is wanted after this one
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # set while there is none
    fresh: set[int] = field(default_factory=set)
    _defined: dict[int, tuple[int, int]] = field(default_factory=dict)  # core's number: job, launcher's
    _leashes: dict[int, float] = field(default_factory=dict)  # job: seconds
    _limits: dict[int, int] = field(default_factory=dict)  # job: bytes of each stream that are kept
    _owners: dict[int, str] = field(default_factory=dict)  # job: whose it is
    _wanted: dict[int, WantedResults | None] = field(default_factory=dict)  # job: None: no results of it are
    # Seconds for which attempts may write nothing, where that has a limit: by job, those of the own API by number.
    _quiet: dict[int, float] = field(default_factory=dict)
    _own_quiet: dict[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.gone.set()

    def adopt(self, runner: Runner | None) -> None:
        self.runner, self.known = runner, False
        if runner is None:
            self.gone.set()
        else:
            self.gone.clear()
        self._defined.clear()

    def runner_or_error(self) -> Runner:
        """Unreachable while there is none, or it is not known yet what it holds: what is started meanwhile would be
        taken for something that an earlier one lost."""
        if self.runner is None or not self.known:
            raise Unreachable("the worker's launcher does not answer; try again in a moment")
        return self.runner

    def limit_of(self, job: int) -> int:
        """Bytes of each stream that are kept. Not known of adopted attempts: they may write as much as there is room
        for."""
        return self._limits.get(job, MOST_MAX_OUTPUT)

    def wanted_of(self, job: int) -> tuple[bool, WantedResults | None]:
        """Whether results of the job may be wanted, and what of them, None: not known, as of adopted attempts."""
        return self._wanted.get(job, True) is not None, self._wanted.get(job)

    def owner_of(self, job: int) -> str:
        """Whose the job is, by the user's id. Not known of adopted attempts: each such job counts as one user's."""
        return self._owners.get(job) or f"the owner of job {job}"

    @property
    def any_quiet(self) -> bool:
        """Whether anything has a limit to how long it may write nothing."""
        return bool(self._quiet or self._own_quiet)

    def quiet_limit_of(self, key: AttemptKey) -> float:
        """Seconds for which it may write nothing; 0: there is no such limit. Asked once of each, when it has begun."""
        return self._own_quiet.pop(key.index, 0.0) if key.job == OWN else self._quiet.get(key.job, 0.0)

    def stop_quiet(self, keys: Iterable[AttemptKey]) -> None:
        """These have written nothing for too long. While there is no launcher nobody can stop them: the next
        connection says how long they may be quiet, and that counts anew."""
        if self.runner is not None:
            self.runner.stop(map(str, keys), endings.QUIET_TIMEOUT)

    def shortest_leash(self, running: Iterable[AttemptKey]) -> float:
        """The shortest leash of these attempts, in seconds, as far as is known."""
        return min((self._leashes[key.job] for key in running if key.job in self._leashes), default=UNKNOWN_LEASH)

    # -- what it is told

    def perform(self, effect: WorkerEffect, held: HeldAttempts) -> None:
        """The effects that are the launcher's. While there is none they have no meaning: it will say what it holds."""
        runner = self.runner
        if runner is None:
            return
        match effect:
            case Define():
                self._leashes[effect.job], self._limits[effect.job] = effect.leash, effect.spec.max_output
                self._quiet.pop(effect.job, None)
                self._wanted[effect.job] = wanted_results(effect.spec)
                self._owners[effect.job] = effect.owner
                if effect.spec.quiet_timeout:
                    self._quiet[effect.job] = effect.spec.quiet_timeout
                template = self.templates.make(effect.job, effect.job_id, effect.spec, effect.leash)
                if effect.refusal:
                    template = replace(template, refusal=effect.refusal)
                self._define(runner, effect.template, effect.job, template, held)
            case Start():
                runner.start(self._defined[effect.template][1], map(_item, effect.items))
            case ConfirmLease():
                runner.confirm_lease(effect.at)
            case StopAttempts():
                runner.stop(map(str, effect.keys), endings.CANCELLED, effect.grace)
            case RecallAttempts():
                runner.recall(map(str, effect.keys))
            case FreezeAttempts():
                runner.freeze(map(str, effect.keys), effect.thaw)

    def start_own(self, key: AttemptKey, template: Template, held: HeldAttempts) -> None:
        """Start a job of the worker's own API. Unreachable while there is no launcher."""
        runner = self.runner_or_error()
        if template.quiet_timeout:
            self._own_quiet[key.index] = template.quiet_timeout
        self._define(runner, _OWN_TEMPLATE, OWN, template, held)
        runner.start(self._defined[_OWN_TEMPLATE][1], [Item(str(key), key.index)])

    def _define(self, runner: Runner, number: int, job: int, template: Template, held: HeldAttempts) -> None:
        """Uses the launcher's template ids over and over: it would keep each for as long as we are connected."""
        if template.fresh_cwd or template.script:
            self.fresh.add(job)
        before = self._defined.get(number)
        if before is None:
            self._defined[number] = job, runner.define(template)
            return
        runner.redefine(before[1], template)
        self._defined[number] = job, before[1]
        if before[0] not in {job for job, _ in self._defined.values()} and not held.count_of(before[0]):
            self._forget(before[0])

    def _forget(self, job: int) -> None:
        """Nothing of the job is here any more."""
        self.outputs.remove_job(job)
        self.fresh.discard(job)
        self._leashes.pop(job, None)
        self._limits.pop(job, None)
        self._owners.pop(job, None)
        self._wanted.pop(job, None)
        self._quiet.pop(job, None)

    # -- its end

    async def absent_for(self, patience: float) -> None:
        """Returns when there is none so many seconds after one has gone."""
        while True:
            await self.gone.wait()
            await asyncio.sleep(patience)
            if self.runner is None:
                return

    async def quit(self, patience: float, *, kill: bool, even_another: bool) -> None:
        """Ends the launcher, and waits until it has gone. With `kill`, what runs all the same is killed. Where there is
        none, with `even_another`, one is found or started that ends what an earlier one may have left."""
        self.quitting = True
        try:
            async with asyncio.timeout(patience):
                if self.runner is not None:
                    self.runner.quit(kill=kill)
                    await self.gone.wait()
                elif even_another:
                    await self._quit_another()
        except TimeoutError:
            logger.error("the launcher has not ended within %g s", patience)

    async def _quit_another(self) -> None:
        """The jobs may still run that we were to stop: of a launcher that has died, or that a fault of ours let go."""
        try:
            runner = await self.connect()
        except LauncherUnavailable as error:
            logger.error("what runs goes on: %s", error)
            return
        runner.quit(kill=True)
        async for _ in runner.batches():
            pass
        await runner.close()


def _item(item: StartItem) -> Item:
    return Item(str(item.key), item.number, None if item.line is None else os.fsdecode(item.line))
