"""How long the scheduler takes to accept an array that waits, and what it weighs with it pending.

Beside it: the same for an array of one task, over the same connection.

    python3 -m bench.large_array [--tasks 1000000] [--rounds 5]
"""

import argparse
import os

from bench.harness import cluster, in_turn, resident_mib, scheduler_pid, show, timed
from cluster.client import Client


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with cluster() as env:
        os.environ["CLUSTER_HOME"] = env["CLUSTER_HOME"]
        pid = scheduler_pid(env)
        with Client.connect() as client:
            client.list()
            too_large = 1_000_000  # thousandths of a cpu: no worker has as many, so the tasks stay pending

            def accept(tasks: int) -> float:
                return timed(lambda: client.submit(["true"], array=f"1-{tasks}", millicpus=too_large))

            pairs = in_turn(args.rounds, lambda: accept(args.tasks), lambda: accept(1))
        weight = resident_mib(pid)
    show(f"accept an array of {args.tasks}", [ours for ours, _ in pairs], "s")
    show("accept an array of 1", [theirs for _, theirs in pairs], "s")
    show("ratio", [ours / theirs for ours, theirs in pairs], "")
    show(f"scheduler with {args.rounds} of them pending", [weight], "MiB")


if __name__ == "__main__":
    main()
