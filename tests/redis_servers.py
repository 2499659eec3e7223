"""Redis servers that tests start: each on a socket of its own, in a directory of its own."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.acceptance.daemons import free_port
from tests.engines.certificate import self_signed
from tests.patience import PATIENCE
from tools.environments import REPOSITORY

SAFE = (
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
    "--no-appendfsync-on-rewrite",
    "no",
    "--maxmemory-policy",
    "noeviction",
)


class RedisServer:
    """`directory` must be short: a socket lies in it."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.socket = directory / "s"
        self.url = f"unix://{self.socket}"
        self.options = options or SAFE
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server", "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.directory)]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--save", "", *self.options],
                stdout=subprocess.PIPE,
                stderr=log,
                env={"PATH": os.environ["PATH"]},
            )
        assert self._process.stdout
        for line in self._process.stdout:
            if b"Ready to accept connections" in line or b"now ready to accept" in line:
                break
        else:
            raise AssertionError(f"redis-server has not started: code {self._process.wait(PATIENCE)}")

    def send(self, number: signal.Signals) -> None:
        assert self._process
        self._process.send_signal(number)

    def kill(self) -> None:
        """As a power cut of the process alone."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._process and self._process.stdout:
            self._process.stdout.close()
        self._process = None

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)


@contextmanager
def redis_server(directory: Path, *options: str) -> Iterator[RedisServer]:
    expect_redis_server()
    server = RedisServer(directory, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def tls_redis_server(directory: Path, certificates: Path) -> Iterator[tuple[RedisServer, str]]:
    """One that speaks TLS, too, and the URL of that for the user of the ACL that docs/redis.md shows."""
    certificate, key = self_signed(certificates, "127.0.0.1")
    port = free_port()
    files = "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", certificate
    with redis_server(directory, *SAFE, *files, "--tls-port", str(port), "--tls-auth-clients", "no") as server:
        (shown,) = re.findall(r"^user cluster (.*)$", (REPOSITORY / "docs" / "redis.md").read_text(), re.MULTILINE)
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "cluster", *shown.split())
        yield server, f"rediss://cluster:secret@127.0.0.1:{port}/0?ssl_ca_certs={certificate}"


def expect_redis_server() -> None:
    if not shutil.which("redis-server"):
        pytest.skip("redis-server is not installed: apt-get install redis-server")
