"""What a child costs its job: a job hands in children by the Python client, one after another; and by the command line,
in turn with starts of that which only tell its version. Beside it the same on the scheduler's own machine, outside of a
job, where the client comes by TLS and the command line by the scheduler's own socket.

    python3 -m bench.children [--children 100] [--rounds 5]
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence

from bench.harness import ROOT, call, cluster, command, show

MEASURING = """
import json, subprocess, sys, time

program, children, rounds = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sys.path.insert(0, sys.argv[4])
from cluster.client import Client

def each(*words):
    started = time.perf_counter()
    for _ in range(children):
        subprocess.run([*program, *words], check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - started) / children * 1e3

def by_client():
    with Client.connect() as client:
        client.submit(["/bin/true"], cpus=0.001)
        started = time.perf_counter()
        for _ in range(children):
            client.submit(["/bin/true"], cpus=0.001)
        return (time.perf_counter() - started) / children * 1e3

CHILD = ("job", "submit", "-q", "--cpus", "0.001", "--", "/bin/true")
print(json.dumps([(by_client(), each(*CHILD), each("--version")) for _ in range(rounds)]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    counts = (str(args.children), str(args.rounds), str(ROOT))
    with cluster() as env:
        measuring = [sys.executable, "-c", MEASURING]
        inside = json.loads(call(env, "run", "--", *measuring, json.dumps(["cluster"]), *counts))
        outside = json.loads(_output([*measuring, json.dumps(command()), *counts], env))
    for where, rounds in (("inside a job", inside), ("outside", outside)):
        show(f"{where}: by the client", [client for client, _, _ in rounds], "ms")
        show(f"{where}: job submit", [submit for _, submit, _ in rounds], "ms")
        show(f"{where}: --version", [version for _, _, version in rounds], "ms")


def _output(argv: Sequence[str], env: Mapping[str, str]) -> str:
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    main()
