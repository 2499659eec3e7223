"""What commands take as whole processes on the scheduler's own machine, beside a Python that does nothing.

python3 -m bench.start [--rounds 20]

Each round starts `python3 -S -I -c pass` and every command once, one after another. Shown is, in milliseconds, what a
command took more than that Python in the same round: wall time, and user and system time of the process itself. The
packed file is started by its first line, from a warm cache, with this very Python as `python3` (a shim in PATH would be
measured along). `by TLS` is the way of commands from elsewhere.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.harness import ROOT, call, cluster

NOTHING = ("-S", "-I", "-c", "pass")
COMMANDS = {
    "job submit -- true": ("job", "submit", "--", "true"),
    "job list": ("job", "list"),
    "job list --json": ("job", "list", "--json"),
    "run -- true": ("run", "--", "true"),
    "--version": ("--version",),
}
BY_TLS = ("job submit -- true", "job list", "run -- true")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    file = ROOT / "dist" / "cluster"
    if not file.exists():
        sys.exit("bench.start measures the packed file: make it with `python3 build.py`")
    with tempfile.TemporaryDirectory() as bin_directory, cluster() as env:
        Path(bin_directory, "python3").symlink_to(os.path.realpath(sys.executable))
        env = {**env, "PATH": f"{bin_directory}:{env['PATH']}"}
        other_way = {**env, "CLUSTER_CONFIG": _empty_file(bin_directory)}  # which only the whole command line reads
        lines = {what: ([str(file), *words], env) for what, words in COMMANDS.items()}
        lines |= {f"{what}, by TLS": ([str(file), *COMMANDS[what]], other_way) for what in BY_TLS}
        for _ in range(3):
            call(env, "run", "--", "true")
        taken = _measure(rounds, [sys.executable, *NOTHING], lines)
    heads = (f"{head:>14}" for head in ("wall: median", "worst", "cpu: median", "worst"))
    print(f"{'ms more than python3 ' + ' '.join(NOTHING):<36}{''.join(heads)}")
    for what, samples in taken.items():
        columns = (f"{statistics.median(each):>14.1f}{max(each):>14.1f}" for each in zip(*samples, strict=True))
        print(f"{what:<36}{''.join(columns)}")


def _empty_file(directory: str) -> str:
    path = Path(directory, "config.toml")
    path.touch()
    return str(path)


def _measure(
    rounds: int, nothing: Sequence[str], lines: Mapping[str, tuple[Sequence[str], Mapping[str, str]]]
) -> dict[str, list[tuple[float, float]]]:
    """Of each line (wall, cpu), in milliseconds above `nothing` in the same round."""
    taken: dict[str, list[tuple[float, float]]] = {what: [] for what in ("nothing itself", *lines)}
    for _ in range(rounds):
        wall, cpu = _one(nothing, os.environ)
        taken["nothing itself"].append((wall, cpu))
        for what, (argv, env) in lines.items():
            its_wall, its_cpu = _one(argv, env)
            taken[what].append((its_wall - wall, its_cpu - cpu))
    return taken


def _one(argv: Sequence[str], env: Mapping[str, str]) -> tuple[float, float]:
    """Milliseconds of wall time, and of user and system time."""
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    start = time.perf_counter()
    _, status, usage = os.wait4(os.posix_spawn(argv[0], list(argv), env, file_actions=silent), 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"{' '.join(argv)}: exit {os.waitstatus_to_exitcode(status)}")
    return wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000


if __name__ == "__main__":
    main()
