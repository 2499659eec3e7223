"""compose.yaml, started as people start it: a scheduler with two doors, and two workers, in containers."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote_plus

from tests.acceptance.command import Done
from tests.acceptance.containers import Containers, containers, make_base
from tools.environments import REPOSITORY

PROJECT = "cluster"
COMPOSE = ("podman-compose", "-p", PROJECT, "-f", str(REPOSITORY / "compose.yaml"))
BASE, IMAGE = "localhost/cluster-base", "localhost/cluster"


class Composed:
    """What `compose up` has started, and who calls it."""

    workers = ("worker1", "worker2")

    def __init__(self, machine: Containers) -> None:
        self.machine = machine
        retrying = ("--retry", "300", "--retry-delay", "1", "--retry-all-errors", "--retry-max-time", "200")
        for port in (5000, 5001):
            self.curl(f"http://localhost:{port}/readyz", *retrying)
        for worker in self.workers:
            self.inside("run", "--worker", worker, "--", "true")  # which waits until that has joined
        self.token = self.inside("token", "create", "--for", "http", "--user", "ada").strip()

    def inside(self, *command: str) -> str:
        """`cluster` in the scheduler's container."""
        return self.cluster_in("scheduler", *command)

    def cluster_in(self, service: str, *command: str) -> str:
        """The same in another's."""
        return self.machine.ok("podman", "exec", _name(service), "cluster", *command)

    def shell(self, service: str, script: str) -> str:
        """What a shell writes there, as root."""
        return self.machine.ok("podman", "exec", _name(service), "sh", "-c", script)

    def put(self, service: str, path: str, text: str, mode: int = 0o644) -> None:
        """A file in a container. What it says has no quotes of a shell's."""
        self.shell(service, f"mkdir -p {path.rpartition('/')[0]} && cat > {path} <<'END'\n{text}END\n")
        self.shell(service, f"python3 -c 'import os; os.chmod(\"{path}\", {mode})'")

    def wait_for(self, service: str, path: str) -> None:
        """Until there is that file."""
        self.shell(service, f"until test -s {path}; do sleep 0.1; done")

    @contextmanager
    def container(self, name: str, *command: str) -> Iterator[None]:
        """One more container of the image, on the network of whoever calls."""
        self.machine.ok("podman", "run", "-d", "--name", _name(name), "--network", "host", IMAGE, *command)
        try:
            yield
        finally:
            self.machine.ok("podman", "rm", "-f", "-t", "5", _name(name))

    def curl(self, url: str, *options: str) -> str:
        """What it answers."""
        return self.machine.ok("curl", "-sS", "--max-time", "60", *options, url)

    def curl_done(self, *words: str) -> Done:
        """The same, however that ends."""
        return self.machine.run("curl", "-sS", "--max-time", "60", *words)

    def execute(self, code: str, port: int = 5000) -> str:
        """As its document has it, with a token in the URL."""
        return self.curl(f"http://x:{self.token}@localhost:{port}/execute?code={quote_plus(code)}")


def _name(service: str) -> str:
    return f"{PROJECT}_{service}_1"


@contextmanager
def composed_in(place: Path) -> Iterator[Composed]:
    """All of it is gone when this ends, containers, volumes and networks."""
    with containers(place) as machine:
        make_base(place / "base")
        machine.ok("podman", "build", "-q", "-t", BASE, str(place / "base"))
        machine.ok("podman", "build", "-q", "--build-arg", f"BASE={BASE}", "-t", IMAGE, str(REPOSITORY))
        try:
            machine.ok(*COMPOSE, "up", "-d", cwd=REPOSITORY)
            yield Composed(machine)
        except (AssertionError, subprocess.TimeoutExpired):
            for name in ("scheduler", "worker1", "worker2"):
                print(name, machine.ok("sh", "-c", f"podman logs {_name(name)} 2>&1 | tail -20"))
            raise
        finally:
            machine.ok(*COMPOSE, "down", "-v", "-t", "5", cwd=REPOSITORY)
        assert machine.ok("podman", "ps", "-a", "-q") == "", "containers are left"
        assert machine.ok("podman", "volume", "ls", "-q") == "", "volumes are left"
