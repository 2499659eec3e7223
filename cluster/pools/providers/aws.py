"""What the providers of Amazon's have in common: keys of their tables, and a provider made of calls that block."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cluster.domain.pools.told import ToldMachine
from cluster.engines.aws_api import AwsRefused, AwsSilent
from cluster.pools.providers.interface import NewMachine, PoolTable, ProviderError, Unwatched, worker_arguments
from cluster.pools.providers.options import TableReader

AT_ONCE = 8  # calls of one pool
CLOCKS_DIFFER = 5.0  # seconds, ours and AWS's; and AWS tells whole ones

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AwsPlace:
    """Where machines are made, and how a worker is run there. `region`, `endpoint`: empty: as boto3 finds them.
    `worker`: further options of `cluster worker`."""

    region: str
    endpoint: str
    subnets: Sequence[str]
    security_groups: Sequence[str]
    program: Sequence[str]
    worker: Sequence[str]
    tags: Mapping[str, str]

    def words(self, table: PoolTable, machine: str) -> list[str]:
        """By which the worker of that machine is started."""
        return [*self.program, *worker_arguments(table, machine), *self.worker]


def read_place(read: TableReader, program: list[str]) -> AwsPlace:
    """`program`: the usual one."""
    worker = read.texts("worker", [])
    if wrong := [each for each in worker if not each.startswith("--")]:
        raise read.wrong("worker", wrong[0], 'options of `cluster worker`, as in "--run-as=ada"')
    tags = read.pairs("tags")
    if wrong := [each for each in tags if each.startswith(("cluster-", "aws:"))]:
        raise read.wrong(f"tags.{wrong[0]}", tags[wrong[0]], "left out: tags that begin so are given by others")
    return AwsPlace(
        optional(read, "region"),
        optional(read, "endpoint"),
        read.texts("subnets", []),
        read.texts("security_groups", []),
        read.texts("program", program),
        worker,
        tags,
    )


def optional(read: TableReader, key: str) -> str:
    """A text; empty where the key is not there."""
    found = read.text(key, "-")
    return "" if found == "-" else found


class AwsMachines(Protocol):
    """The machines of one pool, by calls of one service. All of them block, and raise AwsRefused, AwsSilent."""

    def check(self) -> None:
        """InvalidInput for what its table says and AWS does not have."""

    def make(self, machine: NewMachine) -> str:
        """Why it was certainly not made; empty: it was."""

    def told(self) -> list[ToldMachine]:
        """All that are there or come, and what has broken."""

    def remove(self, id_: str) -> None:
        """Ends that one, and tells it no more when it is over. One that is gone is no error."""


class AwsProvider(Unwatched):
    """Does that in threads, a few calls at once."""

    list_every = 10.0

    def __init__(self, machines: AwsMachines) -> None:
        self._machines = machines
        self._free = asyncio.Semaphore(AT_ONCE)

    async def check(self) -> None:
        await self._call(self._machines.check)
        await self.list()

    async def start(self, machines: Sequence[NewMachine]) -> Mapping[str, str]:
        """Whether AWS has made a machine of which it did not say so, its list will tell."""

        def make(machine: NewMachine) -> str:
            try:
                return self._machines.make(machine)
            except AwsRefused as error:
                return str(error) if error.is_certain else ""
            except AwsSilent:
                return ""

        found = await asyncio.gather(*(self._call(make, machine) for machine in machines))
        return {machine.name: why for machine, why in zip(machines, found, strict=True) if why}

    async def list(self) -> Sequence[ToldMachine]:
        return await self._call(self._machines.told)

    async def stop(self, machines: Sequence[ToldMachine]) -> None:
        def remove(machine: ToldMachine) -> None:
            told = [] if machine.id else self._machines.told()
            for id_ in [machine.id] if machine.id else [each.id for each in told if each.name == machine.name]:
                self._machines.remove(id_)

        await asyncio.gather(*(self._call(remove, machine) for machine in machines))

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        async with self._free:
            try:
                return await asyncio.to_thread(function, *arguments)
            except (AwsRefused, AwsSilent) as error:
                raise ProviderError(str(error)) from None
