"""What a provider is: it makes, tells and removes the machines of one pool.

Names are chosen by the pool, written down before `start` is called, and never used for another machine: a provider puts
name, pool and cluster on what it makes (label, tag, marker), so that all of it is found again by a `cluster pools` that
was started anew; and where its engine knows an idempotency key, the name is that.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cluster.domain.base.errors import ClusterError
from cluster.domain.pools.settings import MACHINE_LABEL, POOL_LABEL
from cluster.domain.pools.told import ToldMachine


class ProviderError(ClusterError):
    """The engine refuses, or cannot be reached. The message is one line: who says so, what, and what to do."""


@dataclass(frozen=True, slots=True)
class NewMachine:
    """`name`: lower-case letters, digits and hyphens, at most 40 characters. `join`: a token by which one worker joins,
    once, within an hour, or within `start_within` where that is longer."""

    name: str
    join: str


@dataclass(frozen=True, slots=True)
class PoolTable:
    """One pool of pools.toml. `options`: the table called as its provider, values as TOML has them. `where`: the
    beginning of a message about it, as in `pools.toml: pool gpu`. `cluster`: the cluster's id, 16 hex digits.
    `worker_options`: of `cluster worker`, beside those that `worker_arguments` gives."""

    name: str
    provider: str
    cluster: str
    where: str
    options: Mapping[str, Any]
    worker_options: Sequence[str] = ()
    start_within: float = 300.0  # seconds
    base: Path = Path()  # where the files are that it names
    millicpus: int = 1000  # that each worker offers
    amounts: Mapping[str, int] = field(default_factory=dict)  # the same of each other resource; memory in bytes


class Provider(Protocol):
    """Made by `open_provider(table: PoolTable) -> Provider` of its module, which raises InvalidInput for a wrong table,
    with key and value, and touches nothing. All methods but `changes` may be called at once, several times."""

    async def check(self) -> None:
        """Called once, first. ProviderError where it cannot work: no such command, host, namespace, right."""

    async def start(self, machines: Sequence[NewMachine]) -> Mapping[str, str]:
        """Why each of those was not made that was certainly not, by name, one line each; others were, or may have been.
        A name that there is already stays the one machine that it is. ProviderError: none was made."""

    async def list(self) -> Sequence[ToldMachine]:
        """All machines of this pool in this cluster that are there or come, however they were started. One that has
        ended is not told; one that is broken is, until it was stopped. ProviderError."""

    async def stop(self, machines: Sequence[ToldMachine]) -> None:
        """Removes them, whatever they do; what is gone already is no error. Of a machine that was never told the id is
        empty. ProviderError."""

    def changes(self) -> AsyncIterator[None]:
        """Something each time that `list` might tell something else, as the engine says so; without end. An engine that
        cannot be watched says it every few seconds."""

    async def close(self) -> None:
        """Nothing is called after that. The machines stay."""


class Unwatched:
    """What providers have in common whose engine does not tell of changes, and to which no connection stays open."""

    list_every: float  # seconds between two lists

    async def changes(self) -> AsyncIterator[None]:
        while True:
            await asyncio.sleep(self.list_every)
            yield

    async def close(self) -> None:
        pass


def worker_arguments(table: PoolTable, name: str) -> list[str]:
    """What follows `cluster` where a machine's worker is started. Its join token goes into the variable
    CLUSTER_WORKER_JOIN, where no list of processes shows it."""
    labels = [f"--label={POOL_LABEL}={table.name}", f"--label={MACHINE_LABEL}={name}"]
    return ["worker", f"--name={name}", *labels, *table.worker_options]
