"""The provider `slurm`: each machine is a batch job of Slurm's, in which one worker runs, by its own commands.

A job's name is that of its machine, with the cluster's id: by that it is found again, and ended. `squeue --json` is not
used: it tells the jobs of everybody, whatever it is asked for (Slurm 22.05: 4 kB each), has another form in each
release, and is missing where its plugin is.
"""

import asyncio
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.amounts import GPUS, MEMORY
from cluster.domain.pools.slurm_jobs import FIELDS, OLDEST, job_name, read_jobs, version_of
from cluster.domain.pools.told import ToldMachine
from cluster.pools.providers.interface import NewMachine, PoolTable, ProviderError, Unwatched, worker_arguments
from cluster.pools.providers.options import TableReader
from cluster.pools.providers.running import MOST_SAID, EndedProgram, LateError, run_program

AT_ONCE = 4  # commands of one pool
PROGRAMS = ("sbatch", "squeue", "scancel")
OURS = (
    "job-name",
    "array",
    "clusters",
    "nodes",
    "ntasks",
    "cpus-per-task",
    "mem",
    "parsable",
    "wrap",
    "requeue",
    "output",
)

# Of a refusal of sbatch's after which the job may be there all the same.
UNSURE = ("timed out", "Zero Bytes", "Message receive failure", "Unexpected message")
BUSY = "temporarily unable to accept job"  # said by sbatch, which then tries again for two minutes
NOT_NOW = ("not available (down", "temporarily unavailable")  # said of a job that is only tried, which may run later

OVER = ("already completing or completed", "Invalid job id")  # said by scancel of a job that ends just then

# Slurm tells it to end by SIGTERM, and KillWait seconds later by SIGKILL.
SCRIPT = """#!/bin/sh
umask 077
place=$(mktemp -d {directory}/{name}.XXXXXX) || exit
CLUSTER_WORKER_JOIN={join} {words} --stop-jobs --directory "$place" &
worker=$!
trap 'kill $worker' TERM
code=0
wait $worker || code=$?
while kill -0 $worker 2> /dev/null; do
    code=0
    wait $worker || code=$?
done
rm -rf "$place"
exit $code
"""


@dataclass(frozen=True, slots=True)
class SlurmOptions:
    sbatch: Sequence[str]  # further options of it
    program: Sequence[str]  # by which `cluster` is run on a node
    directory: str  # there, in which each worker has one of its own; empty: $TMPDIR, or /tmp
    worker: Sequence[str]  # further options of `cluster worker`
    output: str  # a file for what it writes, as sbatch takes it
    time_limit: float  # seconds, of each command


def open_provider(table: PoolTable) -> "SlurmProvider":
    read = TableReader.of(table)
    options = read.texts("options", [])
    for each in options:
        if not re.match(r"--[a-z]", each):
            raise read.wrong("options", each, 'options of sbatch in their long form, as in "--partition=gpu"')
        if each[2:].partition("=")[0] in OURS:
            raise read.wrong("options", each, f"left out: the pool says that itself (as it does {', '.join(OURS)})")
    program = read.texts("program", ["cluster"])
    if not program:
        raise read.wrong("program", program, 'the words by which cluster is run on a node, as in ["cluster"]')
    worker = read.worker_options()
    directory = read.text("directory", "-")
    output = read.text("output", "/dev/null")
    time_limit = read.time_limit()
    read.done()
    chosen = "" if directory == "-" else directory
    return SlurmProvider(table, SlurmOptions(options, program, chosen, worker, output, time_limit))


class SlurmProvider(Unwatched):
    list_every = 5.0

    def __init__(self, table: PoolTable, options: SlurmOptions) -> None:
        self._table, self._options = table, options
        self._free = asyncio.Semaphore(AT_ONCE)
        self._known: set[str] = set()  # names of machines whose end is to be told: they were there, or asked for

    async def check(self) -> None:
        for program in PROGRAMS:
            if shutil.which(program) is None:
                raise InvalidInput(f"{self._table.where}: there is no program {program} here (Slurm's commands)")
        said = await self._run("sbatch", "--version")
        if (version := version_of(said)) < OLDEST:
            told, oldest = (".".join(f"{each:02}" for each in one) for one in (version, OLDEST))
            what = (
                f"Slurm {told} is too old: {oldest} or later is needed" if any(version) else "sbatch is none of Slurm's"
            )
            raise ProviderError(f"{self._table.where}: {what}")
        words = ["sbatch", "--test-only", *self._asked("check")]
        ended = await self._ended(words, b"#!/bin/sh\n")
        if ended.code and not any(each in ended.said for each in NOT_NOW):
            raise ProviderError(f"{self._table.where}: {_why('sbatch', ended)}")
        await self.list()

    async def start(self, machines: Sequence[NewMachine]) -> Mapping[str, str]:
        found = await asyncio.gather(*map(self._start, machines))
        return {machine.name: why for machine, why in zip(machines, found, strict=True) if why}

    async def list(self) -> Sequence[ToldMachine]:
        words = ["--user", str(os.geteuid()), "--states=all", f"--Format={','.join(f'{each}:|' for each in FIELDS)}"]
        said = await self._run("squeue", *words)
        if len(said) >= MOST_SAID:
            raise ProviderError(f"squeue: user {os.geteuid()} has too many jobs to be told")
        try:
            told = read_jobs(said, self._table.name, self._table.cluster)
        except ValueError as error:
            raise ProviderError(f"squeue: {error}") from None
        self._known.update(each.machine.name for each in told if not each.is_over)
        return [each.machine for each in told if each.machine.name in self._known]

    async def stop(self, machines: Sequence[ToldMachine]) -> None:
        """By name, in case the machine was never told."""

        async def one(machine: ToldMachine) -> None:
            name = job_name(machine.name, self._table.cluster)
            ended = await self._ended(["scancel", "--user", str(os.geteuid()), "--name", name], b"")
            if ended.code and not any(each in ended.said for each in OVER):
                raise ProviderError(_why("scancel", ended))
            self._known.discard(machine.name)

        errors = [each for each in await asyncio.gather(*map(one, machines), return_exceptions=True) if each]
        if errors:
            raise errors[0]

    async def _start(self, machine: NewMachine) -> str:
        """Why it was certainly not made; empty: it was, or may have been."""
        options = self._options
        words = [*options.program, *worker_arguments(self._table, machine.name), *options.worker]
        values = {"name": machine.name, "join": shlex.quote(machine.join), "words": shlex.join(words)}
        values["directory"] = shlex.quote(options.directory) if options.directory else '"${TMPDIR:-/tmp}"'
        self._known.add(machine.name)
        script = SCRIPT
        for key, value in values.items():
            script = script.replace(f"{{{key}}}", value)
        try:
            ended = await self._ended(["sbatch", "--parsable", *self._asked(machine.name)], script.encode())
        except LateError as error:
            return str(error) if BUSY in str(error) and not await self._may_have(machine.name) else ""
        except ProviderError as error:
            return str(error)
        return _why("sbatch", ended) if ended.code and not any(each in ended.said for each in UNSURE) else ""

    async def _may_have(self, name: str) -> bool:
        try:
            return any(each.name == name for each in await self.list())
        except ProviderError:
            return True

    def _asked(self, name: str) -> Sequence[str]:
        """What sbatch is asked for. The operator's own options come first, so that none replaces ours."""
        table, amounts = self._table, self._table.amounts
        asked = [*self._options.sbatch, "--nodes=1", "--ntasks=1", "--no-requeue", f"--output={self._options.output}"]
        asked += [
            f"--job-name={job_name(name, table.cluster)}",
            f"--cpus-per-task={max(1, -(-table.millicpus // 1000))}",
        ]
        if memory := amounts.get(MEMORY, 0):
            asked.append(f"--mem={-(-memory // (1 << 20))}M")
        if gpus := amounts.get(GPUS, 0):
            asked.append(f"--gres=gpu:{gpus}")
        return asked

    async def _run(self, *words: str) -> str:
        """What it writes. ProviderError."""
        ended = await self._ended(words, b"")
        if ended.code:
            raise ProviderError(_why(words[0], ended))
        return ended.out

    async def _ended(self, words: Sequence[str], fed: bytes) -> EndedProgram:
        async with self._free:
            return await run_program("Slurm", words, os.environ, fed, self._options.time_limit)


def _why(program: str, ended: EndedProgram) -> str:
    """In Slurm's words."""
    said = ended.said.removeprefix(f"{program}: ").removeprefix("error: ")
    return f"{program}: {said or f'it ended with code {ended.code}'}"
