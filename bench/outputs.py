"""Attempts a second that write something, until the scheduler has kept it on disk, beside `xargs -P` doing the same
into files that are synced. Up to 16 KiB ride along with the end of the attempt; more is pushed and becomes a file.

    python3 -m bench.outputs [--tasks 1000] [--cpus 2] [--rounds 3] [--bytes 8192]
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from bench.harness import call, cluster, in_turn, show, timed
from cluster.domain.worker.report_making import SMALL_OUTPUT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--bytes", type=int, default=8192)
    args = parser.parse_args()
    with cluster(args.cpus) as env, tempfile.TemporaryDirectory(dir=env["CLUSTER_HOME"]) as directory:
        pairs = in_turn(
            args.rounds,
            lambda: args.tasks / timed(lambda: _kept(env, args.tasks, args.bytes)),
            lambda: args.tasks / timed(lambda: _synced(args.tasks, args.cpus, directory, args.bytes)),
        )
        assert len(call(env, "job", "logs", "last")) == args.tasks * args.bytes
    show(f"cluster, {args.bytes} bytes of output each, kept", [ours for ours, _ in pairs], "tasks/s")
    show(f"xargs -P{args.cpus}, the same into a synced file each", [theirs for _, theirs in pairs], "tasks/s")
    show("ratio", [ours / theirs for ours, theirs in pairs], "")


def _kept(env: Mapping[str, str], tasks: int, size: int) -> None:
    job = call(env, "job", "submit", "--quiet", "--array", f"1-{tasks}", "--", "sh", "-c", _writes(size)).strip()
    call(env, "job", "wait", "--quiet", job)  # what rides along is kept before its end is known
    if size > SMALL_OUTPUT:
        outputs = Path(env["CLUSTER_HOME"], "scheduler", "outputs", job)
        while sum(name.endswith(".out") for name in os.listdir(outputs)) < tasks:
            time.sleep(0.01)


def _synced(tasks: int, cpus: int, directory: str, size: int) -> None:
    numbers = "\n".join(map(str, range(tasks)))
    xargs = [
        "xargs",
        "-P",
        str(cpus),
        "-I{}",
        "sh",
        "-c",
        f"{_writes(size)} > {directory}/{{}} && sync {directory}/{{}}",
    ]
    subprocess.run(xargs, input=numbers, text=True, check=True)


def _writes(size: int) -> str:
    return f"head -c {size} /dev/zero"


if __name__ == "__main__":
    main()
