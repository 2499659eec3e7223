"""Attempts a second that write more than rides along with a report (8 KiB), until the scheduler has kept it on disk,
beside `xargs -P` doing the same into files that are synced.

    python3 -m bench.outputs [--tasks 1000] [--cpus 2] [--rounds 3]
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from bench.harness import call, cluster, in_turn, show, timed

WRITES = "head -c 8192 /dev/zero"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with cluster(args.cpus) as env, tempfile.TemporaryDirectory(dir=env["CLUSTER_HOME"]) as directory:
        pairs = in_turn(
            args.rounds,
            lambda: args.tasks / timed(lambda: _kept(env, args.tasks)),
            lambda: args.tasks / timed(lambda: _synced(args.tasks, args.cpus, directory)),
        )
    show("cluster, 8 KiB of output each, kept", [ours for ours, _ in pairs], "tasks/s")
    show(f"xargs -P{args.cpus}, 8 KiB into a synced file each", [theirs for _, theirs in pairs], "tasks/s")
    show("ratio", [ours / theirs for ours, theirs in pairs], "")


def _kept(env: Mapping[str, str], tasks: int) -> None:
    job = call(env, "job", "submit", "--quiet", "--array", f"1-{tasks}", "--", "sh", "-c", WRITES).strip()
    call(env, "job", "wait", "--quiet", job)
    outputs = Path(env["CLUSTER_HOME"], "scheduler", "outputs", job)
    while sum(name.endswith(".out") for name in os.listdir(outputs)) < tasks:
        time.sleep(0.01)


def _synced(tasks: int, cpus: int, directory: str) -> None:
    numbers = "\n".join(map(str, range(tasks)))
    xargs = ["xargs", "-P", str(cpus), "-I{}", "sh", "-c", f"{WRITES} > {directory}/{{}} && sync {directory}/{{}}"]
    subprocess.run(xargs, input=numbers, text=True, check=True)


if __name__ == "__main__":
    main()
