"""Tasks a second through the launcher, beside a bare `subprocess.Popen` loop that opens the same two files.

    python -m bench.launcher [TASKS] [ROUNDS]

Both run /bin/true two at a time, in turns, so that whatever else the machine does hits both. Also shown: how long
a launcher takes to start, its memory, and its CPU time for each task.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cluster.domain.launcher.messages import Ended
from cluster.domain.launcher.template import Item, Template
from cluster.launcher.client import LauncherClient

AT_ONCE = 2
ENV = {"PATH": os.defpath, "HOME": "/", "LANG": "C.UTF-8"}


def bare_loop(tasks: int, outputs: Path) -> float:
    """Tasks a second of the loop that anyone would write."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
    running: dict[int, subprocess.Popen[bytes]] = {}
    begin = time.perf_counter()
    for i in range(tasks):
        if len(running) == AT_ONCE:
            reap_one(running)
        files = [os.open(outputs / f"{i}.{suffix}", flags, 0o600) for suffix in ("out", "err")]
        process = subprocess.Popen(
            ["/bin/true"],
            stdin=subprocess.DEVNULL,
            stdout=files[0],
            stderr=files[1],
            env=ENV,
            start_new_session=True,
        )
        running[process.pid] = process
        for fd in files:
            os.close(fd)
    while running:
        reap_one(running)
    return tasks / (time.perf_counter() - begin)


def reap_one(running: dict[int, "subprocess.Popen[bytes]"]) -> None:
    """Wait until one of these ends (the launcher of the round before is a child of ours, too)."""
    while (process := running.pop(os.wait()[0], None)) is None:
        pass
    process.returncode = 0


async def through_launcher(tasks: int, directory: Path) -> tuple[float, float, float]:
    """Tasks a second, microseconds of the launcher's CPU for each, and seconds that it took to start."""
    (directory / "out").mkdir()
    begin = time.perf_counter()
    client = await LauncherClient.connect_or_start(str(directory / "launcher"), AT_ONCE * 1000)
    startup = time.perf_counter() - begin
    template = client.define(Template(("/bin/true",), tuple(ENV.items()), str(directory / "out")))
    before = cpu_seconds(client.hello.pid)
    begin = time.perf_counter()
    client.start(template, [Item(f"1.{i}#1", i) for i in range(tasks)])
    ended = 0
    batches = client.batches()
    while ended < tasks:
        reports = await anext(batches)
        ended += sum(isinstance(r, Ended) for r in reports)
        client.ack(reports[-1].seq)
    rate = tasks / (time.perf_counter() - begin)
    cpu = (cpu_seconds(client.hello.pid) - before) / tasks * 1e6
    print(f"  launcher: {memory(client.hello.pid)}")
    client.quit()
    async for _ in batches:
        pass
    await client.close()
    return rate, cpu, startup


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, from /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> str:
    """Its largest resident size so far."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith("VmHWM"))


def main(tasks: int = 3000, rounds: int = 5) -> None:
    ratios = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as bare, tempfile.TemporaryDirectory() as launched:
            loop = bare_loop(tasks, Path(bare))
            rate, cpu, startup = asyncio.run(through_launcher(tasks, Path(launched)))
        ratios.append(rate / loop)
        print(
            f"  Popen loop {loop:.0f}/s, launcher {rate:.0f}/s: {rate / loop:.0%};"
            f" {cpu:.0f} µs of its CPU a task, started in {startup * 1000:.0f} ms"
        )
    print(f"launcher / Popen loop, median of {rounds}: {statistics.median(ratios):.0%}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
