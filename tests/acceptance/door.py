"""A cluster with an HTTP door, and who calls it with curl."""

import subprocess
from pathlib import Path

from tests.acceptance.command import Done
from tests.acceptance.daemons import Daemons, free_port
from tests.patience import PATIENCE


class Door:
    """`daemons` are the cluster's, and `token` is ada's, who is a user."""

    def __init__(self, daemons: Daemons) -> None:
        self.daemons, self.command = daemons, daemons.command
        self.port = free_port()
        self.ca = self.command.home / "ca.pem"
        self.token = ""

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        """`options`: further ones of the scheduler."""
        self.daemons.start_scheduler("--http", f"127.0.0.1:{self.port}", *options)
        self.ca.write_bytes(self.command.ok("ca", "show").out)
        self.token = self.new_token("ada")
        self.wait_until_it_answers()

    def new_token(self, user: str) -> str:
        return self.command.ok("token", "create", "--for", "http", "--user", user).text.strip()

    def curl(self, *arguments: str) -> Done:
        """With the cluster's CA."""
        line = ["curl", "-sS", "--cacert", str(self.ca), "--max-time", "60", *arguments]
        done = subprocess.run(line, capture_output=True, timeout=PATIENCE)
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def get(self, path: str, *arguments: str) -> Done:
        done = self.curl("-H", f"Authorization: Bearer {self.token}", *arguments, self.url + path)
        assert done.code == 0, done
        return done

    def wait_until_it_answers(self) -> None:
        retrying = ("--retry", "200", "--retry-delay", "0", "--retry-connrefused", "--retry-max-time", "60")
        assert self.curl(*retrying, f"{self.url}/healthz").json == {"status": "ok"}

    def pid(self) -> int:
        """Of the gateway that the scheduler keeps."""
        children = Path(f"/proc/{self.daemons.pid('scheduler')}/task").glob("*/children")
        pids = [int(pid) for file in children for pid in file.read_text().split()]
        (gateway,) = [pid for pid in pids if b"gateway" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        return gateway
