"""How long the largest requests take that are within all bounds, on a large array and many jobs: get, list, cancel.

Beside each: a list of one job, asked in turn with it.

    python3 -m bench.large_requests [--tasks 100000000] [--jobs 2000] [--rounds 5]
"""

import argparse
import os
from collections.abc import Callable

from bench.harness import cluster, in_turn, resident_mib, scheduler_pid, show, timed
from cluster.client import Client

TOO_LARGE = 1_000_000  # thousandths of a cpu: no worker has as many, so the tasks stay pending
STRIDE = 50_000  # tasks, of which every other one is cancelled in each round


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100_000_000)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with cluster() as env:
        os.environ["CLUSTER_HOME"] = env["CLUSTER_HOME"]
        with Client.connect() as client:
            segments = ",".join(f"{n}-{n + 1}" for n in range(0, 40_000, 4))
            wide = client.submit(["true"], array=f"1-{args.tasks}", millicpus=TOO_LARGE).number
            apart = client.submit(["true"], array=segments, millicpus=TOO_LARGE).number
            for _ in range(args.jobs):
                client.submit(["true"], millicpus=TOO_LARGE)
            rounds = iter(range(args.rounds))

            def cancel_some() -> object:
                first = next(rounds) * STRIDE + 1
                return client.cancel(f"{wide}.{first}-{first + STRIDE - 2}:2")

            cases: dict[str, Callable[[], object]] = {
                "get 100 tasks of 10,000 segments": lambda: client.get(f"{apart}.0-39996", max_tasks=100),
                "list 100 times every 4th task of 99,999": lambda: client.list(
                    *(f"{wide}.{n}-{n + 960}:4" for n in range(1, 99_000, 990))
                ),
                f"cancel every other one of {STRIDE} tasks": cancel_some,
                f"list {args.jobs} jobs": client.list,
                f"cancel {args.jobs} jobs": lambda: client.cancel("all"),
            }
            for what, work in cases.items():
                times = 1 if what.startswith(f"cancel {args.jobs}") else args.rounds
                pairs = in_turn(times, lambda work=work: timed(work), lambda: timed(lambda: client.list("last")))  # type: ignore[misc]
                show(what, [ours for ours, _ in pairs], "s")
                show("  beside it: list one job", [theirs for _, theirs in pairs], "s")
        show("scheduler", [resident_mib(scheduler_pid(env))], "MiB")


if __name__ == "__main__":
    main()
