"""`cluster run -- true` and `cluster --version` as whole processes, beside Python importing gRPC.

python3 -m bench.start [--rounds 20]
"""

import argparse
import subprocess
import sys

from bench.harness import call, cluster, in_turn, show, timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    args = parser.parse_args()
    grpc = [sys.executable, "-c", "import grpc.aio"]
    with cluster() as env:
        call(env, "run", "--", "true")
        beside = {}
        for what in (("run", "--", "true"), ("job", "list"), ("--version",)):
            beside[what] = in_turn(
                args.rounds,
                lambda what=what: timed(lambda: call(env, *what)),  # type: ignore[misc]
                lambda: timed(lambda: subprocess.run(grpc, check=True)),
            )
    for what, pairs in beside.items():
        show(f"cluster {' '.join(what)}", [ours for ours, _ in pairs], "s")
        show("  python3 -c 'import grpc.aio'", [theirs for _, theirs in pairs], "s")
        show("  ratio", [ours / theirs for ours, theirs in pairs], "")


if __name__ == "__main__":
    main()
