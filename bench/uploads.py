"""Many tasks over one upload on two workers: what is sent to each, how often it is copied there, and what the tasks
take beside those that find nothing.

    python3 -m bench.uploads [--tasks 1000] [--megabytes 100] [--cpus 2] [--shared]
"""

import argparse
import os
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench.harness import call, home, role

MB = 1_000_000
FETCHED = re.compile(r"fetched (\d+) bytes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--shared", action="store_true", help="by --upload-shared")
    args = parser.parse_args()
    with home() as env, ExitStack() as stack:
        stack.enter_context(role(env, "scheduler", "--listen", "127.0.0.1:0", "--join-listen", "127.0.0.1:0"))
        for name in ("one", "two"):
            options = ("--name", name, "--directory", name, "--cpus", str(args.cpus), "--listen", "none", "--stop-jobs")
            stack.enter_context(role(env, "worker", *options, log_name=name))
        data = Path(env["CLUSTER_HOME"], "data")
        data.write_bytes(os.urandom(args.megabytes * MB))
        plain = _timed(env, args.tasks)
        shared = ["--upload-shared"] if args.shared else []
        found = _timed(env, args.tasks, "--upload", str(data), *shared)
        again = _timed(env, args.tasks, "--upload", str(data), *shared)
        copies = _copies(env)
        print(f"{args.tasks} tasks that find nothing: {plain:.1f} s")
        print(f"over {args.megabytes} MB: {found:.1f} s, once more: {again:.1f} s")
        for name in ("one", "two"):
            log = Path(env["CLUSTER_HOME"], f"{name}.log").read_text()
            sent = sum(map(int, FETCHED.findall(log)))
            print(f"worker {name}: {sent / MB:.1f} MB were sent to it in all")
        print(f"files that the tasks of the last job have found, on each worker: {sorted(copies.values())}")


def _timed(env: Mapping[str, str], tasks: int, *options: str) -> float:
    started = time.monotonic()
    script = "echo $(dirname $(dirname $PWD)) $(stat -c %w data 2>/dev/null | tr -d ' ')"
    job = call(env, "job", "submit", "--quiet", *options, "--array", f"1-{tasks}", "--", "sh", "-c", script).strip()
    call(env, "job", "wait", "--quiet", job)
    return time.monotonic() - started


def _copies(env: Mapping[str, str]) -> Mapping[str, int]:
    """How many files, by when they were made, the last job's tasks have found, below the directory of each worker."""
    seen: dict[str, set[str]] = {}
    for line in call(env, "job", "logs", "last").splitlines():
        worker, born = line.split()
        seen.setdefault(worker, set()).add(born)
    return {worker: len(files) for worker, files in seen.items()}


if __name__ == "__main__":
    main()
