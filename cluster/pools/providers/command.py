"""The provider `command`: three commands of the operator's own start, list and stop machines."""

import asyncio
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.domain.base.errors import InvalidInput
from cluster.domain.pools.told import ToldMachine
from cluster.pools.providers.interface import NewMachine, PoolTable, ProviderError, Unwatched, worker_arguments
from cluster.pools.providers.options import TableReader
from cluster.pools.providers.running import LateError, run_program

AT_ONCE = 8  # commands of one pool


@dataclass(frozen=True, slots=True)
class CommandOptions:
    """Each with its arguments."""

    start: Sequence[str]
    list: Sequence[str]
    stop: Sequence[str]
    time_limit: float  # seconds, of each


def open_provider(table: PoolTable) -> "CommandProvider":
    read = TableReader.of(table)
    start, list_, stop = (_command(read, key) for key in ("start", "list", "stop"))
    time_limit = read.time_limit()
    read.done()
    return CommandProvider(table, CommandOptions(start, list_, stop, time_limit))


def _command(read: TableReader, key: str) -> list[str]:
    words = read.texts(key)
    if not words:
        raise read.wrong(key, words, 'a command with its arguments, as in ["./machines", "start"]')
    return words


class CommandProvider(Unwatched):
    list_every = 5.0

    def __init__(self, table: PoolTable, options: CommandOptions) -> None:
        self._table, self._options = table, options
        self._free = asyncio.Semaphore(AT_ONCE)
        self._ours = re.compile(re.escape(table.name) + r"-[a-z0-9]+-[0-9]+")

    async def check(self) -> None:
        for key, words in (("start", self._options.start), ("list", self._options.list), ("stop", self._options.stop)):
            if shutil.which(words[0]) is None:
                raise InvalidInput(
                    f"{self._table.where}: [pool.command]: {key}: there is no program {words[0]!r} that may be run"
                )
        await self.list()

    async def start(self, machines: Sequence[NewMachine]) -> Mapping[str, str]:
        async def one(machine: NewMachine) -> None:
            arguments = shlex.join(worker_arguments(self._table, machine.name))
            secret = {"CLUSTER_WORKER_JOIN": machine.join, "CLUSTER_MACHINE_WORKER": arguments}
            await self._run("start", self._options.start, machine.name, secret)

        ended = await asyncio.gather(*map(one, machines), return_exceptions=True)
        refused = {}
        for machine, error in zip(machines, ended, strict=True):
            if isinstance(error, LateError):
                continue  # it may have been made
            if isinstance(error, ProviderError):
                refused[machine.name] = str(error)
            elif error is not None:
                raise error
        return refused

    async def list(self) -> Sequence[ToldMachine]:
        names = (await self._run("list", self._options.list)).split()
        for name in names:
            if not self._ours.fullmatch(name):
                raise ProviderError(f"list printed {name[:80]!r}, which is no machine of pool {self._table.name}")
        return [ToldMachine(name, name) for name in dict.fromkeys(names)]

    async def stop(self, machines: Sequence[ToldMachine]) -> None:
        runs = [self._run("stop", self._options.stop, machine.name) for machine in machines]
        errors = [each for each in await asyncio.gather(*runs, return_exceptions=True) if not isinstance(each, str)]
        if errors:
            raise errors[0]

    async def _run(self, key: str, words: Sequence[str], machine: str = "", beside: Mapping[str, str] = {}) -> str:
        """What it writes. ProviderError."""
        env = {**os.environ, **beside, "CLUSTER_POOL_NAME": self._table.name, "CLUSTER_ID": self._table.cluster}
        if machine:
            env["CLUSTER_MACHINE"] = machine
        async with self._free:
            ended = await run_program(key, words, env, b"", self._options.time_limit)
        if ended.code:
            reason = f": {ended.said}" if ended.said else ""
            raise ProviderError(f"{key}: {words[0]} ended with code {ended.code}{reason}")
        return ended.out
