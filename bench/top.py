"""What `cluster top` costs, on a terminal as large as people have: one that takes all at once, and a slow one.

    python3 -m bench.top [--rounds 10] [--seconds 20] [--rate 50] [--bytes 25000]

`start`: milliseconds from the start of the process to its first whole frame, and to the jobs and workers of the
cluster in it, with the cpu it took until then; beside `python3 -S -I -c pass`, run in turn. The slow terminal takes so
many bytes a second (`--bytes`). `keeping`: cpu of the process while nothing happens and while events come at `--rate`,
how often the whole screen was drawn anew (the first frame is one), and how much was written.
"""

import argparse
import fcntl
import os
import select
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext

from bench.harness import call, cluster, command, cpu_seconds, timed
from bench.page import ending

SIZES = ((80, 24), (200, 50))
CLEAR = b"\x1b[2J"
FOOT = b"q quit"  # in the last row of each frame
THERE = b"online"  # of a worker


class Terminal:
    """Takes what is written, at most so many bytes a second; 0: at once."""

    def __init__(self, fd: int, pid: int, rate: float) -> None:
        self._fd, self.pid, self._rate = fd, pid, rate
        self.seen = b""

    def read(self, until: float) -> None:
        """Reads for some milliseconds."""
        if not select.select([self._fd], [], [], max(0.0, until - time.perf_counter()))[0]:
            return
        pause = 0.01
        self.seen += os.read(self._fd, int(self._rate * pause) if self._rate else 65536)
        if self._rate:
            time.sleep(pause)

    def wait_for(self, words: bytes) -> float:
        """Seconds of the clock when they are here."""
        give_up = time.perf_counter() + 30
        while words not in self.seen:
            if time.perf_counter() > give_up:
                sys.exit(f"cluster top has not shown {words!r}: {self.seen!r}")
            self.read(give_up)
        return time.perf_counter()

    def take(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            self.read(until)


@contextmanager
def started(env: Mapping[str, str], size: tuple[int, int], rate: float) -> Iterator[Terminal]:
    ours, theirs = os.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    line = ["setsid", "--ctty", *command(), "top"]
    # The variable of the worker is none that a user has, and all commands are loaded to say so if it is misspelt.
    its = {**{name: value for name, value in env.items() if name != "CLUSTER_WORKER_RUNNER"}, "TERM": "xterm"}
    process = subprocess.Popen(line, env=its, stdin=theirs, stdout=theirs, stderr=theirs)
    try:
        yield Terminal(ours, process.pid, rate)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)


def one_start(env: Mapping[str, str], size: tuple[int, int], rate: float) -> tuple[float, float, float]:
    """Milliseconds until the first frame and until the cluster is in it, and of cpu until then."""
    began = time.perf_counter()
    with started(env, size, rate) as terminal:
        drawn = terminal.wait_for(FOOT)
        there = terminal.wait_for(THERE)
        return 1000 * (drawn - began), 1000 * (there - began), 1000 * cpu_seconds(terminal.pid)


def start(env: Mapping[str, str], args: argparse.Namespace) -> None:
    nothing = [sys.executable, "-S", "-I", "-c", "pass"]
    for size in SIZES:
        for rate in (0.0, args.bytes):
            pairs = []
            for _ in range(args.rounds):
                python = 1000 * timed(lambda: subprocess.run(nothing, check=True))
                pairs.append((*one_start(env, size, rate), python))
            drawn, there, cpu, python = map(statistics.median, zip(*pairs, strict=True))
            worst = max(pair[1] for pair in pairs)
            where = f"{size[0]} x {size[1]}, {f'{rate / 1000:g} kB/s' if rate else 'at once':>8}"
            print(
                f"{where}: first frame {drawn:4.0f} ms, the cluster in it {there:4.0f} ms (worst {worst:.0f}), "
                f"{cpu:4.0f} ms of cpu; python {python:.0f} ms: {drawn / python:.0f} and {there / python:.0f} times",
                flush=True,
            )


def keeping(env: Mapping[str, str], args: argparse.Namespace) -> None:
    for size in SIZES:
        for rate in (0.0, args.bytes):
            for events in (0.0, args.rate):
                with started(env, size, rate) as terminal, ending(env, events) if events else nullcontext():
                    terminal.wait_for(THERE)
                    terminal.take(3)
                    before, seen = cpu_seconds(terminal.pid), len(terminal.seen)
                    terminal.take(args.seconds)
                    used = 100 * (cpu_seconds(terminal.pid) - before) / args.seconds
                    written = (len(terminal.seen) - seen) / args.seconds
                    whole = terminal.seen.count(CLEAR)
                where = f"{size[0]} x {size[1]}, {f'{rate / 1000:g} kB/s' if rate else 'at once':>8}"
                print(
                    f"{where}, {events:3g} events/s: {used:4.1f} % of a core, {whole} full repaint"
                    f"{'s' if whole != 1 else ''}, {written:,.0f} bytes/s",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--bytes", type=float, default=25_000)
    parser.add_argument("--only", default="start,keeping")
    args = parser.parse_args()
    wanted = args.only.split(",")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with cluster(CLUSTER_WORKER_RUNNER="null") as env:
        for _ in range(3):
            call(env, "run", "--", "true")
        if "start" in wanted:
            start(env, args)
        if "keeping" in wanted:
            keeping(env, args)
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
