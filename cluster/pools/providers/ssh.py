"""The provider `ssh`: machines that are there already, on each of which one worker is started, by OpenSSH's client.

On a host a machine is a directory, `DIRECTORY/CLUSTER-POOL`: its name, the worker's pid and log, and what is the
worker's. It is there as a whole or not at all, by one rename; so nothing that was started is ever without its name.
"""

import asyncio
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.domain.base.errors import InvalidInput
from cluster.domain.pools.told import MachineState, ToldMachine
from cluster.pools.providers.interface import NewMachine, PoolTable, ProviderError, Unwatched, worker_arguments
from cluster.pools.providers.options import TableReader
from cluster.pools.providers.running import LateError, run_program

AT_ONCE = 16  # connections of one pool
TAKEN = 9  # exit code of START where there is another machine of the pool

# Read as a whole before any of it runs: a connection that breaks in the middle leaves nothing half-done.
REMOTE = 'script=$(cat) && eval "$script"'
START = """
start() {
    umask 077
    mkdir -p {parent} || return 1
    command -v {program} > /dev/null || { echo "there is no program {program} there" >&2; return 1; }
    new=$(mktemp -d {parent}/new.XXXXXX) || return 1
    echo {name} > "$new/name" && mkdir "$new/worker" || return 1
    if ! mv -T "$new" {place} 2> /dev/null; then
        rm -r "$new"
        test "$(cat {place}/name)" = {name} && return 0
        echo "it has the machine $(cat {place}/name)" >&2
        return 9
    fi
    cd {place} || return 1
    CLUSTER_WORKER_JOIN={join} setsid {words} --directory "$PWD/worker" > log 2>&1 < /dev/null &
    echo $! > pid.new && mv pid.new pid
}
start
"""
LIST = """
list() {
    test -e {place}/name || return 0
    name=$(cat {place}/name) && cd {place} || { test ! -e {place}/name; return; }  # it may just be going
    if test ! -e pid; then
        state=starting
    elif grep -qs -- "$name" "/proc/$(cat pid)/cmdline"; then
        state=running
    else
        state=broken
    fi
    echo "$name $state $(tail -n 1 log 2> /dev/null | cut -c 1-200)"
}
list
"""
STOP = """
stop() {
    test "$(cat {place}/name 2> /dev/null)" = {name} || return 0
    home=$PWD
    cd {place} || return 1
    pid=$(cat pid 2> /dev/null)
    if grep -qs -- {name} "/proc/$pid/cmdline"; then end "$pid"; fi  # another process may have its number by now
    if test -e worker/launcher/launcher.lock && ! flock -n worker/launcher/launcher.lock true; then
        end "$(cat worker/launcher/launcher.lock)"
    fi
    cd "$home" && rm -rf {place}.gone && mv -T {place} {place}.gone && rm -rf {place}.gone
}
end() {
    kill "$1" 2> /dev/null || return 0
    tries=0
    while kill -0 "$1" 2> /dev/null; do
        tries=$((tries + 1))
        test $tries = 100 && kill -KILL "$1" 2> /dev/null
        sleep 0.1
    done
}
stop
"""


@dataclass(frozen=True, slots=True)
class SshOptions:
    hosts: Sequence[str]  # as ssh takes them
    program: Sequence[str]  # by which `cluster` is run there
    directory: str  # there; relative to the user's home
    worker: Sequence[str]  # further options of `cluster worker`
    config: str  # ssh_config; empty: the user's
    time_limit: float  # seconds, of each connection


def open_provider(table: PoolTable) -> "SshProvider":
    read = TableReader.of(table)
    hosts = read.texts("hosts")
    for host in hosts:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.@:-]*", host):
            raise read.wrong("hosts", host, "hosts as ssh takes them, as in user@host")
    if not hosts or len(set(hosts)) < len(hosts):
        raise read.wrong("hosts", hosts, "at least one host, and each once")
    worker = read.worker_options()
    time_limit = read.time_limit()
    config = read.text("config", "-")
    if config != "-" and not Path(config).is_file():
        raise read.wrong("config", config, "a file of ssh's options, as ssh -F takes it")
    directory = read.text("directory", ".cluster-pools")
    program = read.texts("program", ["cluster"])
    if not program:
        raise read.wrong("program", program, 'the words by which cluster is run there, as in ["cluster"]')
    read.done()
    return SshProvider(
        table, SshOptions(hosts, program, directory, worker, "" if config == "-" else config, time_limit)
    )


class SshProvider(Unwatched):
    list_every = 15.0  # all hosts are asked

    def __init__(self, table: PoolTable, options: SshOptions) -> None:
        self._table, self._options = table, options
        self._free = asyncio.Semaphore(AT_ONCE)
        self._at: dict[str, ToldMachine] = {}  # what each host has, as it said last; its id is the host
        self._silent: set[str] = set(options.hosts)  # hosts that have said nothing when they were asked last
        self._asked: dict[str, str] = {}  # hosts on which a machine is being started: its name

    async def check(self) -> None:
        if shutil.which("ssh") is None:
            raise InvalidInput(f"{self._table.where}: there is no program ssh here (apt-get install openssh-client)")
        why = await self._look()
        if len(why) == len(self._options.hosts):
            raise ProviderError(f"{self._table.where}: no host can be used: {next(iter(why.values()))}")

    async def start(self, machines: Sequence[NewMachine]) -> Mapping[str, str]:
        found = await asyncio.gather(*map(self._start, machines))
        return {machine.name: why for machine, why in zip(machines, found, strict=True) if why}

    async def list(self) -> Sequence[ToldMachine]:
        """A host that says nothing is told with what it had; where that is not known, as a broken machine: so it
        counts."""
        why = await self._look()
        unknown = [
            ToldMachine(self._placeholder(host), host, MachineState.BROKEN, why[host])
            for host in why
            if host not in self._at
        ]
        return [*self._at.values(), *unknown]

    async def stop(self, machines: Sequence[ToldMachine]) -> None:
        for machine in machines:
            hosts = [machine.id] if machine.id else self._options.hosts
            await asyncio.gather(*(self._script(host, STOP, name=machine.name) for host in hosts))

    async def _start(self, machine: NewMachine) -> str:
        """Why it was certainly not made; empty: it was, or may have been."""
        while host := next((each for each in self._options.hosts if self._is_free(each)), ""):
            self._asked[host] = machine.name
            try:
                arguments = [*worker_arguments(self._table, machine.name), *self._options.worker]
                words = shlex.join([*self._options.program, *arguments])
                code, said = await self._try(host, START, name=machine.name, join=machine.join, words=words)
                if code != TAKEN:
                    return said if code else ""
                self._at[host] = ToldMachine("", host)  # whose name the next look tells
            except LateError:
                self._silent.add(host)  # until it says what it has
                return ""
            except ProviderError as error:
                return str(error)
            finally:
                del self._asked[host]
        return f"none of {len(self._options.hosts)} hosts is free: each has a machine or does not answer"

    def _is_free(self, host: str) -> bool:
        return host not in self._at and host not in self._silent and host not in self._asked

    def _placeholder(self, host: str) -> str:
        return f"{self._table.name}-host-{self._options.hosts.index(host) + 1}"

    async def _look(self) -> Mapping[str, str]:
        """Asks all hosts. Answers why each of those said nothing that did not."""
        hosts = self._options.hosts
        answers = await asyncio.gather(*(self._script(host, LIST) for host in hosts), return_exceptions=True)
        silent: dict[str, str] = {}
        for host, answer in zip(hosts, answers, strict=True):
            try:
                if isinstance(answer, BaseException):
                    raise answer
                if machine := _told(host, answer):
                    self._at[host] = machine
                else:
                    self._at.pop(host, None)
            except ProviderError as error:
                silent[host] = str(error)
        self._silent = set(silent)
        return silent

    async def _script(self, host: str, script: str, **values: str) -> str:
        """What it writes there. ProviderError."""
        code, said = await self._try(host, script, **values)
        if code:
            raise ProviderError(said)
        return said

    async def _try(self, host: str, script: str, **values: str) -> tuple[int, str]:
        """The exit code there, and what it wrote; where that is not 0, why, with the host's name. What is secret goes
        by ssh's input. ProviderError where nothing ran there, LateError where that is not known."""
        parent = self._options.directory
        values |= {"parent": parent, "program": self._options.program[0]}
        values["place"] = f"{parent}/{self._table.cluster}-{self._table.name}"
        for key, value in values.items():
            script = script.replace(f"{{{key}}}", value if key == "words" else shlex.quote(value))
        beside = ["-F", self._options.config] if self._options.config else []
        careful = ["BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=10", "ServerAliveInterval=5"]
        words = ["ssh", "-T", *beside, *(f"-o{each}" for each in careful), "--", host, REMOTE]
        async with self._free:
            ended = await run_program(f"host {host}", words, os.environ, script.encode(), self._options.time_limit)
        if ended.code == 255:  # ssh's own: also where the connection broke when all had been sent
            raise LateError(f"host {host}: {ended.said or 'ssh has failed'}")
        return ended.code, ended.out if not ended.code else f"host {host}: {ended.said or f'code {ended.code}'}"


def _told(host: str, answer: str) -> ToldMachine | None:
    """What LIST wrote there; None: there is no machine. ProviderError where a shell's start wrote something, too."""
    if not answer.strip():
        return None
    name, state, last = [*answer.split(None, 2), "", ""][:3]
    if state not in list(MachineState):
        said = answer.strip()[:100]
        raise ProviderError(f"host {host}: it answered {said!r}: a shell may write nothing when it starts there")
    return ToldMachine(name, host, MachineState(state), last.strip())
