"""Tasks a second of /bin/true as an array on one worker, beside `xargs -P` on the same count.

Everything is on: mutual TLS, commits that survive a power cut, output files, the journal. With --roles as a real
cluster: where that is root, each task runs as nobody in a directory of its own. --where DIR: on that file system.

    python3 -m bench.throughput [--tasks 20000] [--cpus 2] [--rounds 3] [--roles] [--where DIR]
"""

import argparse
import subprocess

from bench.harness import call, cluster, cluster_of_roles, in_turn, show, timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--cpus", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--roles", action="store_true")
    parser.add_argument("--where", metavar="DIR")
    args = parser.parse_args()
    numbers = "\n".join(map(str, range(args.tasks)))
    xargs = ["xargs", "-P", str(args.cpus), "-n1", "/bin/true"]
    with (cluster_of_roles if args.roles else cluster)(args.cpus, args.where) as env:
        array = ("run", "--quiet", "--array", f"1-{args.tasks}", "--", "/bin/true")
        pairs = in_turn(
            args.rounds,
            lambda: args.tasks / timed(lambda: call(env, *array)),
            lambda: args.tasks / timed(lambda: subprocess.run(xargs, input=numbers, text=True, check=True)),
        )
    show("cluster run --array -- /bin/true", [ours for ours, _ in pairs], "tasks/s")
    show(f"xargs -P{args.cpus} -n1 /bin/true", [theirs for _, theirs in pairs], "tasks/s")
    show("ratio", [ours / theirs for ours, theirs in pairs], "")


if __name__ == "__main__":
    main()
