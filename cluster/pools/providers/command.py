"""The provider `command`: three commands of the operator's own start, list and stop machines."""

import asyncio
import os
import re
import shlex
import shutil
import signal
import tempfile
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.printable import printable
from cluster.domain.pools.told import ToldMachine
from cluster.pools.providers.interface import NewMachine, PoolTable, ProviderError, worker_arguments
from cluster.pools.providers.options import TableReader

AT_ONCE = 8  # commands of one pool
EVERY = 5.0  # seconds between two lists
MOST_SAID = 1 << 20  # bytes of a list


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
    time_limit = read.seconds("time_limit", 60.0)
    if not time_limit:
        raise read.wrong("time_limit", time_limit, "more than 0")
    read.done()
    return CommandProvider(table, CommandOptions(start, list_, stop, time_limit))


def _command(read: TableReader, key: str) -> list[str]:
    words = read.texts(key)
    if not words:
        raise read.wrong(key, words, 'a command with its arguments, as in ["./machines", "start"]')
    return words


class CommandProvider:
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
            if isinstance(error, _LateError):
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

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await asyncio.sleep(EVERY)
            yield

    async def close(self) -> None:
        pass

    async def _run(self, key: str, words: Sequence[str], machine: str = "", beside: Mapping[str, str] = {}) -> str:
        """What it writes. Into files: what it leaves running may keep its output open. ProviderError."""
        env = {**os.environ, **beside, "CLUSTER_POOL_NAME": self._table.name, "CLUSTER_ID": self._table.cluster}
        if machine:
            env["CLUSTER_MACHINE"] = machine
        async with self._free:
            with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
                try:
                    process = await asyncio.create_subprocess_exec(
                        *words, env=env, stdin=DEVNULL, stdout=out, stderr=err, start_new_session=True
                    )
                except OSError as error:
                    raise ProviderError(f"{key}: {words[0]} cannot be run: {error.strerror}") from None
                try:
                    code = await asyncio.wait_for(process.wait(), self._options.time_limit)
                except TimeoutError:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()
                    raise _LateError(f"{key}: {words[0]} took longer than {self._options.time_limit:g} s") from None
                out.seek(0)
                if code:
                    raise ProviderError(f"{key}: {words[0]} ended with code {code}{_last_line(err)}")
                return out.read(MOST_SAID).decode(errors="replace")


class _LateError(ProviderError):
    """What the command has done by then is not known."""


def _last_line(err: IO[bytes]) -> str:
    """Of what it wrote to stderr, to follow a message; empty: nothing."""
    err.seek(max(0, err.seek(0, os.SEEK_END) - 4096))
    lines = err.read().decode(errors="replace").strip().splitlines()
    return f": {printable(lines[-1][:300])}" if lines else ""
