"""Where the founding documents' calls are made: a cluster of this program, of the one file, or of compose.yaml; and a
worker of the same that stands alone."""

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.command import Command, Done
from tests.acceptance.composed import Composed
from tests.acceptance.daemons import Daemons, free_port
from tests.acceptance.door import Door
from tests.patience import PATIENCE
from tests.sandboxes import worker_options

SCRIPT = 'for n in 1 2 3; do echo "$n"; done\n'
SCRIPT_AT = "worker/scripts/count.sh"  # below the folder of scripts
# The documents' jobs fetch a page of the world outside. This one waits until it may go on.
FETCHER = '#!/bin/sh\nread line < {go}\necho "<html>$1</html>"\n'
READABLE = 0o755


@dataclass
class OfFile(Command):
    """`cluster` as the one file."""

    file: Path

    def line(self, *arguments: str) -> list[str]:
        return [sys.executable, str(self.file), *arguments]


class Curl:
    """Curl, which shows a token. Commands are as in the documents, with the door's URL for http://HOST."""

    def __init__(self, run: Callable[..., Done], token: str, url: str) -> None:
        self.run, self.token, self.url = run, token, url

    def __call__(self, typed: str) -> Done:
        words = [word.replace("http://HOST", self.url) for word in shlex.split(typed)]
        assert words.pop(0) == "curl"
        return self.run("-H", f"Authorization: Bearer {self.token}", *words)

    def status(self, typed: str) -> int:
        """Of the answer, whose problem is one where it has one."""
        done = self(f"{typed} -w '\\n%{{http_code}}'")
        body, _, code = done.text.rpartition("\n")
        assert int(code) < 400 or '"type": "/v1/docs#' in body, done
        return int(code)


@dataclass
class Place:
    """A cluster whose nodes have those names, and where a fetching job goes on when `let_go` is told its node."""

    curl: Curl
    nodes: tuple[str, ...]
    let_go: Callable[[str], object]


@contextmanager
def on_this_machine(command: Command) -> Iterator[Place]:
    """A cluster of its own, in which jobs are numbered from 1."""
    with tempfile.TemporaryDirectory() as directory, Daemons(command) as daemons:
        shared = Path(directory)  # whoever runs the jobs must get there
        (shared / SCRIPT_AT).parent.mkdir(parents=True)
        (shared / SCRIPT_AT).write_text(SCRIPT)
        os.mkfifo(shared / "go")
        (shared / "curl").write_text(FETCHER.format(go=shared / "go"))
        for path in (shared, shared / "curl", shared / "go"):
            path.chmod(READABLE)
        door = Door(daemons)
        door.start()
        daemons.around["node-01"] = ["env", f"PATH={shared}:{os.environ['PATH']}"]
        daemons.start_worker("node-01", "--scripts", str(shared), "--cpus", "2", *worker_options())
        curl = Curl(door.curl, door.token, door.url)
        yield Place(curl, ("node-01",), lambda node: (shared / "go").write_text("\n"))


@contextmanager
def alone_on_this_machine(command: Command) -> Iterator[Curl]:
    """A worker that stands alone, with an HTTP door of its own."""
    with Daemons(command) as daemons:
        door, port = Door(daemons), free_port()
        daemons.start_worker("lone", "--standalone", "--http", f"127.0.0.1:{port}")
        admin = str(command.home / "lone" / "admin.pem")
        door.port = port
        door.ca.write_bytes(command.ok("ca", "show", "--direct", "127.0.0.1:1", "--credentials", admin).out)
        door.wait_until_it_answers()
        yield Curl(door.curl, (command.home / "lone" / "http-token").read_text().strip(), door.url)


@contextmanager
def in_containers(composed: Composed) -> Iterator[Place]:
    """compose.yaml, as it stands, with a script in its folder, and what fetches pages in its workers."""
    for worker in composed.workers:
        composed.put(worker, f"/scripts/{SCRIPT_AT}", SCRIPT)
        composed.put(worker, "/usr/local/bin/curl", FETCHER.format(go="/run/go"), READABLE)
        composed.shell(worker, f"test -e /run/go || {MAKE_FIFO}")
    curl = Curl(composed.curl_done, composed.token, "http://localhost:5000")
    yield Place(curl, composed.workers, lambda node: composed.shell(node, "echo > /run/go"))


MAKE_FIFO = 'python3 -c \'import os; os.mkfifo("/run/go"); os.chmod("/run/go", 0o644)\''


@contextmanager
def alone_in_a_container(composed: Composed, place: Path) -> Iterator[Curl]:
    """A worker that stands alone, of the same image."""
    port = free_port()
    with composed.container("lone", "worker", "--standalone", "--http", f"127.0.0.1:{port}", "--name", "lone"):
        home = "/var/lib/cluster/worker"
        composed.wait_for("lone", f"{home}/http-token")
        token = composed.shell("lone", f"cat {home}/http-token").strip()
        shown = ("--direct", "127.0.0.1:1", "--credentials", f"{home}/admin.pem")
        (place / "ca.pem").write_text(composed.cluster_in("lone", "ca", "show", *shown))

        def run(*words: str) -> Done:
            return composed.curl_done("--cacert", str(place / "ca.pem"), *words)

        url = f"https://127.0.0.1:{port}"
        assert run("--retry", "200", "--retry-delay", "0", "--retry-connrefused", f"{url}/healthz").code == 0, PATIENCE
        yield Curl(run, token, url)
