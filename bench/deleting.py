"""What deleting 100,000 jobs costs those who submit meanwhile, and how much of the disk comes back.

Bars: no submit is delayed by more than 50 ms, and 90 % of what the jobs took is given back. One client submits jobs
that are held, one after another: for some seconds while nothing else goes on, then while jobs are deleted and the
room is given back (`prune`, or `job delete all`, which returns before that). A submit is delayed by what it takes more
than the median of those before. Beside it: a file that is written to and synced at the same pace, what the disk alone
delays at its worst.

    python3 -m bench.deleting [--jobs 100000] [--output 200] [--how prune|delete]
"""

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from bench.harness import call, command, home, role, show
from bench.history import AT_ONCE, SCHEDULER, saves
from cluster.client import Client
from cluster.domain.job.records import SmallOutput
from cluster.store.sqlite.store import SqliteStore, stored_cluster_id

PACE = 0.01  # seconds between two submits
QUIET = 10.0  # seconds of submits before the deleting
DELAY = 50.0  # ms: the bar


def fill(path: Path, count: int, output: int) -> None:
    """Puts so many jobs into the store, each with so many bytes of output."""
    store = SqliteStore(path, stored_cluster_id(path) or "")
    first = store.load().next_job_number
    for start in range(first, first + count, AT_ONCE):
        numbers = range(start, min(first + count, start + AT_ONCE))
        store.commit([save for number in numbers for save in saves(number, ended=True)])
        store.commit([SmallOutput(number, 0, 1, bytes(output), b"") for number in numbers])
    store.close()


class Submits:
    """Submits in a thread, from the first line of a `with` to its end."""

    def __init__(self, client: Client, beside: Path) -> None:
        self.took: list[float] = []  # ms
        self.synced: list[float] = []  # ms, of the file beside
        self._client, self._beside = client, beside
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work) for work in (self._submit, self._sync)]

    def __enter__(self) -> "Submits":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _submit(self) -> None:
        while not self._stop.wait(PACE):
            began = time.perf_counter()
            self._client.submit(["true"], hold=True)
            self.took.append((time.perf_counter() - began) * 1e3)

    def _sync(self) -> None:
        with self._beside.open("wb", buffering=0) as file:
            while not self._stop.wait(PACE):
                began = time.perf_counter()
                file.write(bytes(4096))
                os.fdatasync(file.fileno())
                self.synced.append((time.perf_counter() - began) * 1e3)


def sizes(path: Path) -> int:
    """Bytes of the database and its log."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


def measure(env: Mapping[str, str], path: Path, how: str, jobs: int, empty: int) -> None:
    full = sizes(path)
    words = ["prune", "--keep-jobs", "1s", "--yes"] if how == "prune" else ["job", "delete", "all", "--yes"]
    beside = Path(env["CLUSTER_HOME"], "beside")
    with Client.connect(home=env["CLUSTER_HOME"]) as client:
        with Submits(client, beside) as before:
            time.sleep(QUIET)
        began = time.perf_counter()
        with Submits(client, beside) as during:
            subprocess.run([*command(), *words], env=env, check=True, stdout=sys.stderr)
            took = time.perf_counter() - began
            call(
                env, "prune", "--keep-jobs", "forever", "--keep-output", "forever", "--yes"
            )  # returns when all is done
            all_done = time.perf_counter() - began
    left, submitted = path.stat().st_size, len(before.took) + len(during.took)
    print(
        f"{jobs} jobs in {full / 1e6:.0f} MB: the command took {took:.1f} s, all {all_done:.1f} s; "
        f"{submitted} submits beside"
    )
    for name, some in (("before", before), ("while they are deleted", during)):
        show(f"submit {name}", some.took, "ms")
        show(f"write and sync {name}", some.synced, "ms")
    usual = statistics.median(before.took)
    over = [one - usual for one in during.took if one - usual > DELAY]
    print(f"submits delayed by more than {DELAY:g} ms: {len(over)} of {len(during.took)}; before: "
          f"{sum(one - usual > DELAY for one in before.took)} of {len(before.took)}")  # fmt: skip
    print(f"most: {max(during.took) - usual:.0f} ms, before {max(before.took) - usual:.0f} ms (bar {DELAY:g})")
    print(
        f"database: {full / 1e6:.1f} MB, then {left / 1e6:.1f} MB with the jobs that were submitted beside, and what is"
    )
    print(f"remembered of 20,000 deleted ones; given back: {(full - left) / (full - empty):.1%} (bar 90 %)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--output", type=int, default=200)
    parser.add_argument("--how", choices=("prune", "delete"), default="prune")
    args = parser.parse_args()
    with home() as env:
        path = Path(env["CLUSTER_HOME"], "scheduler", "cluster.db")
        with role(env, "scheduler", *SCHEDULER):
            pass
        empty = sizes(path)
        fill(path, args.jobs, args.output)
        with role(env, "scheduler", *SCHEDULER):
            measure(env, path, args.how, args.jobs, empty)


if __name__ == "__main__":
    main()
