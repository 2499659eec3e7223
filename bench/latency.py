"""From submit to the first byte of output through the client library, beside a plain child process on this machine.

python3 -m bench.latency [--rounds 100]
"""

import argparse
import os
import subprocess

from bench.harness import cluster, in_turn, show, timed
from cluster.client import Client


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    with cluster() as env:
        os.environ["CLUSTER_HOME"] = env["CLUSTER_HOME"]
        with Client.connect() as client:

            def first_byte() -> None:
                job = client.submit(["echo", "hello"])
                next(iter(client.logs(str(job.number), follow=True)))

            first_byte()
            pairs = in_turn(
                args.rounds,
                lambda: timed(first_byte) * 1e3,
                lambda: timed(lambda: subprocess.run(["echo", "hello"], capture_output=True, check=True)) * 1e3,
            )
    show("submit to first output byte", [ours for ours, _ in pairs], "ms")
    show("a child process's output", [theirs for _, theirs in pairs], "ms")
    show("ratio", [ours / theirs for ours, theirs in pairs], "")


if __name__ == "__main__":
    main()
