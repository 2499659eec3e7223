"""A cluster of its own for a benchmark: in a directory that vanishes, on this machine alone.

Every benchmark prints what it measured beside something that everybody has, run in turn with it (A B A B …), and the
ratio pair by pair: machines are noisy, and a ratio holds where a number does not.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


def command() -> list[str]:
    """The one file when it has been built (what users run), else this checkout."""
    file = ROOT / "dist" / "cluster"
    return [sys.executable, str(file)] if file.exists() else [sys.executable, "-m", "cluster"]


@contextmanager
def cluster(cpus: int = 2, where: str | None = None, **variables: str) -> Iterator[Mapping[str, str]]:
    """An embedded cluster; yields the environment in which `cluster` finds it. Stopped and deleted at the end.

    Its directory is made in `where`: another file system, say.
    """
    with home(where, variables) as env:
        call(env, "up", "--cpus", str(cpus))
        try:
            yield env
        finally:
            call(env, "down", "--yes")


@contextmanager
def cluster_of_roles(cpus: int = 2, where: str | None = None, **variables: str) -> Iterator[Mapping[str, str]]:
    """The same as a scheduler and a worker that somebody started: as root, jobs run as nobody, each in a directory of
    its own."""
    with home(where, variables) as env, ExitStack() as stack:
        for name, *options in (
            ("scheduler", "--listen", "127.0.0.1:0", "--join-listen", "127.0.0.1:0"),
            ("worker", "--listen", "127.0.0.1:0", "--cpus", str(cpus), "--stop-jobs"),
        ):
            stack.enter_context(role(env, name, *options))
        yield env


@contextmanager
def home(where: str | None = None, variables: Mapping[str, str] = MappingProxyType({})) -> Iterator[Mapping[str, str]]:
    with tempfile.TemporaryDirectory(prefix="cluster-bench-", dir=where) as home:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("CLUSTER_")}
        yield {**clean, "CLUSTER_HOME": home, "PYTHONPATH": str(ROOT), **variables}


@contextmanager
def role(env: Mapping[str, str], name: str, *options: str, log_name: str = "") -> Iterator[None]:
    reader, writer = os.pipe()
    log = Path(env["CLUSTER_HOME"], f"{log_name or name}.log")
    with log.open("wb") as file, os.fdopen(reader) as ready:
        argv = [*command(), name, *options, "--ready-fd", str(writer)]
        process = subprocess.Popen(argv, env=env, cwd=env["CLUSTER_HOME"], stderr=file, pass_fds=[writer])
        os.close(writer)
        if not ready.read():
            sys.exit(f"the {name} did not start:\n{log.read_text()}")
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def call(env: Mapping[str, str], *args: str) -> str:
    """Runs `cluster ARGS` and returns what it printed. Anything but success ends the benchmark."""
    argv = [*command(), *args]
    done = subprocess.run(argv, env=env, cwd=env["CLUSTER_HOME"], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"cluster {' '.join(args)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def scheduler_pid(env: Mapping[str, str]) -> int:
    facts = json.loads(Path(env["CLUSTER_HOME"], "scheduler", "scheduler.json").read_text())
    return int(facts["pid"])


def cpu_seconds(pid: int) -> float:
    """User and system time that the process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def timed(work: Callable[[], object]) -> float:
    """Wall seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turn(rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> list[tuple[float, float]]:
    """(ours, theirs) of each round, the two run one after the other."""
    return [(ours(), theirs()) for _ in range(rounds)]


def show(what: str, values: Sequence[float], unit: str) -> None:
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"{what:<52} median {middle:>10.3f} {unit:<12} min {low:.3f}  max {high:.3f}")
