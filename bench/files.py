"""What files that go with jobs cost: one large file beside a plain TLS socket in Python, many small ones beside tar.

Bars: a large file goes at half a TLS socket's rate or more; 20,000 small ones take no longer than twice `tar c | tar
x`; the second time nothing is sent, within a second; client, scheduler and worker stay below 150 MB resident. Jobs are
submitted held, so that no worker fetches anything meanwhile. Then the large file goes all the way: a job finds it and
leaves a copy for keeps. Of that way down the last part (`job fetch`) is put beside the socket, and what
each process had resident at the most is told.

    python3 -m bench.files [--size 512] [--files 20000] [--rounds 3] [--down]      size in MiB; --down: that way, too
"""

import argparse
import filecmp
import json
import os
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from bench.harness import call, command, cpu_seconds, home, resident_mib, role, scheduler_pid, show, timed
from cluster.cli.exit_codes import INTERRUPTED

PIECE = 256 * 1024  # bytes that the socket is given at once
SCHEDULER = ("--listen", "127.0.0.1:0", "--join-listen", "127.0.0.1:0")


def fresh(path: Path, mib: int) -> None:
    """A file that nobody has sent yet."""
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(1 << 20))


def many(directory: Path, count: int) -> None:
    """Small files, 100 in each directory, of 100 to 8,000 bytes."""
    for n in range(count):
        place = directory / f"{n // 100}"
        if n % 100 == 0:
            place.mkdir(parents=True)
        (place / f"{n}.txt").write_bytes(os.urandom(100 + n * 37 % 7900))


def by_tls(path: Path, place: Path) -> float:
    """Seconds until another process has on disk what this one writes into a TLS 1.3 socket."""
    key = place / "key.pem"
    if not key.exists():
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        files = ["-keyout", str(key), "-out", str(place / "cert.pem"), "-subj", "/CN=localhost", "-days", "2"]
        subprocess.run([*make, *files], check=True, capture_output=True)
    server = subprocess.Popen(
        [sys.executable, "-c", RECEIVER, str(place), str(path.stat().st_size)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    port = int(server.stdout.readline())
    context = ssl.create_default_context(cafile=str(place / "cert.pem"))
    context.check_hostname = False
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain) as stream:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                stream.sendall(piece)
        stream.recv(1)  # all is on its disk
    took = time.perf_counter() - start
    server.wait()
    return took


RECEIVER = """
import os, socket, ssl, sys
place, left = sys.argv[1], int(sys.argv[2])
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(place + "/cert.pem", place + "/key.pem")
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    plain, _ = server.accept()
    with context.wrap_socket(plain, server_side=True) as stream, open(place + "/received", "wb") as file:
        while left and (piece := stream.recv(262144)):
            file.write(piece)
            left -= len(piece)
        file.flush()
        os.fsync(file.fileno())
        stream.sendall(b".")
"""


class Submission:
    """What one `cluster job submit` took."""

    def __init__(self, env: Mapping[str, str], *options: str) -> None:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        scheduler = scheduler_pid(env)
        cpu, self.largest = cpu_seconds(scheduler), 0.0
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(scheduler, over))
        watch.start()
        self.seconds = timed(lambda: call(env, "job", "submit", "--hold", *options, "--", "true"))
        over.set()
        watch.join()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.client_cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        self.scheduler_cpu = cpu_seconds(scheduler) - cpu
        self.client_mib = after.ru_maxrss / 1024  # of the largest so far

    def _watch(self, scheduler: int, over: threading.Event) -> None:
        while not over.wait(0.05):
            self.largest = max(self.largest, resident_mib(scheduler))


def large(env: Mapping[str, str], place: Path, mib: int, rounds: int) -> None:
    ratios, rates, others, cpus, again = [], [], [], [], []
    largest = client = 0.0
    path = place / "large"
    for _ in range(rounds):
        fresh(path, mib)
        theirs = by_tls(path, place)
        ours = Submission(env, "--upload", str(path))
        second = Submission(env, "--upload", str(path))
        rates.append(mib / ours.seconds)
        others.append(mib / theirs)
        ratios.append(theirs / ours.seconds)
        cpus.append(ours.client_cpu + ours.scheduler_cpu)
        again.append(second.seconds)
        largest, client = max(largest, ours.largest), ours.client_mib
    show(f"{mib} MiB, a plain TLS socket", others, "MiB/s")
    show(f"{mib} MiB, job submit --upload, as a process", rates, "MiB/s")
    show("its rate, of the socket's", ratios, "times")
    show("cpu of client and scheduler", cpus, "s")
    show("the same again", again, "s")
    print(f"resident at most: client {client:.0f} MiB, scheduler {largest:.0f} MiB")


def down(env: Mapping[str, str], place: Path, mib: int, rounds: int) -> None:
    """To a worker, and back by `job fetch`."""
    ratios, rates, others = [], [], []
    most = dict.fromkeys(("scheduler", "worker", "client"), 0.0)
    path = place / "large"
    options = ("--directory", f"{place}/worker", "--listen", "none", "--cpus", "1", "--stop-jobs")
    with role(env, "worker", *options):
        agent = json.loads((place / "worker" / "worker.json").read_text())["pid"]
        pids = {"scheduler": scheduler_pid(env), "worker": agent}
        for _ in range(rounds):
            fresh(path, mib)
            theirs = by_tls(path, place)
            call(env, "job", "submit", "-q", "--upload", str(path), "--out", "copy", "--", "cp", "large", "copy")
            call(env, "job", "wait", "last")
            call(env, "job", "fetch", "-q", "last", "--to", f"{place}/to")  # which waits for the results
            shutil.rmtree(place / "to")
            begin = time.perf_counter()
            client = subprocess.Popen([*command(), "job", "fetch", "-q", "last", "--to", f"{place}/to"], env=env)
            while client.poll() is None:
                most["client"] = max(most["client"], peak_mib(client.pid))
                time.sleep(0.02)
            took = time.perf_counter() - begin
            if client.returncode or not filecmp.cmp(place / "to" / "copy", path, shallow=False):
                sys.exit("what was fetched is not what was sent")
            shutil.rmtree(place / "to")
            rates.append(mib / took)
            others.append(mib / theirs)
            ratios.append(theirs / took)
        for name, pid in pids.items():
            most[name] = peak_mib(pid)
    show(f"{mib} MiB, a plain TLS socket", others, "MiB/s")
    show(f"{mib} MiB, job fetch, as a process", rates, "MiB/s")
    show("its rate, of the socket's", ratios, "times")
    print("resident at most: " + ", ".join(f"{name} {size:.0f} MiB" for name, size in most.items()))


def peak_mib(pid: int) -> float:
    """What it had resident at the most so far; 0: it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def small(env: Mapping[str, str], place: Path, count: int, rounds: int) -> None:
    times, others, ratios, again, cpus = [], [], [], [], []
    largest = 0.0
    for n in range(rounds):
        directory = place / f"small{n}"
        many(directory, count)
        (place / f"copy{n}").mkdir()
        tar = f"tar -C {directory} -c . | tar -C {place}/copy{n} -x"
        theirs = timed(lambda tar=tar: subprocess.run(["sh", "-c", tar], check=True))  # type: ignore[misc]
        ours = Submission(env, "--upload", str(directory))
        times.append(ours.seconds)
        cpus.append(ours.client_cpu + ours.scheduler_cpu)
        others.append(theirs)
        ratios.append(ours.seconds / theirs)
        time.sleep(2.1)  # what was written just now is not remembered
        Submission(env, "--upload", str(directory))
        again.append(Submission(env, "--upload", str(directory)).seconds)
        largest = max(largest, ours.largest)
    show(f"{count} files, tar c | tar x", others, "s")
    show("cpu of client and scheduler", cpus, "s")
    show(f"{count} files, job submit --upload, as a process", times, "s")
    show("its time, of tar's", ratios, "times")
    show("the same again", again, "s")
    print(f"resident at most: scheduler {largest:.0f} MiB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--down", action="store_true", help="also to a worker and back")
    args = parser.parse_args()
    try:
        with home() as env, tempfile.TemporaryDirectory(prefix="cluster-bench-files-") as place:
            ours = {**env, "CLUSTER_CACHE": f"{place}/cache"}
            with role(ours, "scheduler", *SCHEDULER):
                if args.size:
                    large(ours, Path(place), args.size, args.rounds)
                if args.size and args.down:
                    down(ours, Path(place), args.size, args.rounds)
                if args.files:
                    small(ours, Path(place), args.files, args.rounds)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
