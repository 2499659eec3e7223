"""`compose up` as the founding document says it: a door for production on port 5000, one for debugging on 5001."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from tests.acceptance.containers import Containers, containers, make_base, missing
from tools.environments import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.extra_compose, pytest.mark.skipif(bool(missing()), reason=missing())]

PROJECT = "cluster"
COMPOSE = ("podman-compose", "-p", PROJECT, "-f", str(REPOSITORY / "compose.yaml"))
BASE, IMAGE = "localhost/cluster-base", "localhost/cluster"


class Composed:
    """What `compose up` has started, and who calls it."""

    def __init__(self, machine: Containers) -> None:
        self.machine = machine
        retrying = ("--retry", "300", "--retry-delay", "1", "--retry-all-errors", "--retry-max-time", "200")
        for port in (5000, 5001):
            self.curl(f"http://localhost:{port}/readyz", *retrying)
        for worker in ("worker1", "worker2"):
            self.inside("run", "--worker", worker, "--", "true")  # which waits until that has joined
        self.token = self.inside("token", "create", "--for", "http", "--user", "ada").strip()

    def inside(self, *command: str) -> str:
        """`cluster` in the scheduler's container."""
        return self.machine.ok("podman", "exec", f"{PROJECT}_scheduler_1", "cluster", *command)

    def curl(self, url: str, *options: str) -> str:
        return self.machine.ok("curl", "-sS", "--max-time", "60", *options, url)

    def execute(self, code: str, port: int = 5000) -> str:
        """As its document has it, with a token in the URL."""
        return self.curl(f"http://x:{self.token}@localhost:{port}/execute?code={quote_plus(code)}")


@pytest.fixture(scope="module")
def composed(cluster_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    assert cluster_file == REPOSITORY / "dist" / "cluster"
    place = tmp_path_factory.mktemp("containers")
    with containers(place) as machine:
        make_base(place / "base")
        machine.ok("podman", "build", "-q", "-t", BASE, str(place / "base"))
        machine.ok("podman", "build", "-q", "--build-arg", f"BASE={BASE}", "-t", IMAGE, str(REPOSITORY))
        try:
            machine.ok(*COMPOSE, "up", "-d", cwd=REPOSITORY)
            yield Composed(machine)
        except (AssertionError, subprocess.TimeoutExpired):
            for name in ("scheduler", "worker1", "worker2"):
                print(name, machine.ok("sh", "-c", f"podman logs {PROJECT}_{name}_1 2>&1 | tail -20"))
            raise
        finally:
            machine.ok(*COMPOSE, "down", "-v", "-t", "5", cwd=REPOSITORY)


def test_two_doors_run_code_on_two_workers(composed: Composed) -> None:  # S4.8
    assert composed.execute("print(1+1, '%41')") == "2 %41\n"
    told = json.loads(composed.execute("print(1)", 5001))
    assert (told["stdout"], told["worker"]["name"] in ("worker1", "worker2")) == ("1\n", True)
    workers = json.loads(composed.inside("worker", "list", "--json"))
    assert {(each["name"], each["state"]) for each in workers} == {("worker1", "online"), ("worker2", "online")}
    failed = json.loads(composed.execute("def f(): raise KeyError('x')\nf()"))
    assert (failed["status"], failed["exception"]["type"], failed["exception"]["line"]) == (422, "KeyError", 1)
    assert "<textarea" in composed.curl("http://localhost:5000/")


def test_nobody_runs_anything_without_a_token_nor_reads_the_workers_keys(composed: Composed) -> None:
    for port in (5000, 5001):
        assert json.loads(composed.curl(f"http://localhost:{port}/execute?code=print(1)"))["status"] == 401
    key = "/var/lib/cluster/worker/worker.pem"
    read = json.loads(composed.execute(f"print(open({key!r}).read())"))
    assert read["exception"]["type"] == "PermissionError"
    assert composed.execute("import os; print(os.getuid())") == "65534\n"


def test_the_other_documents_are_served_there_too(composed: Composed) -> None:
    url = f"http://x:{composed.token}@localhost:5000"
    made = composed.curl(f"{url}/scheduler/jobs/new", "-d", "command=echo hello&request_id=7")
    assert json.loads(made) == {"request_id": "7"}
    started = composed.curl(f"{url}/start", "-d", '{"worker_id": "worker2", "command": "true", "path": ""}')
    assert json.loads(started).keys() == {"job_id"}
