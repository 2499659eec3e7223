"""The HTTP door as people meet it: curl, real TLS, processes that die."""

import os
import select
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.domain.trust.credentials import parse_credentials
from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.door import Door
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with Daemons(Command(tmp_path_factory.mktemp("home"))) as daemons:
        door = Door(daemons)
        door.start()
        daemons.start_worker("box")
        yield door


def test_a_job_is_submitted_followed_and_read_with_curl(door: Door) -> None:  # S4.1
    made = door.get("/v1/jobs", "--json", '{"argv": ["sh", "-c", "echo out; echo err >&2; exit 3"]}').json
    assert made["owner"] == "ada"
    followed = door.get(f"/v1/jobs/{made['number']}/logs", "-H", "Accept: text/event-stream").text
    assert followed.count("event: output") == 2
    assert followed.endswith("event: end\ndata: {}\n\n")
    assert door.get(f"/v1/jobs/{made['number']}/logs?stderr=true").text == "err\n"
    (ended,) = door.get(f"/v1/jobs/{made['number']}/wait").json["jobs"]
    assert (ended["state"], ended["exit_code"]) == ("TASK_STATE_FAILED", 3)
    why = door.get(f"/v1/jobs/{made['number']}/why").json
    assert (why["job"]["exit_code"], why["job"]["reason"], why["tasks"][0]["worker_name"]) == (3, "exit:3", "box")


def test_a_url_with_a_token_is_all_that_a_client_needs_and_no_log_shows_it(door: Door) -> None:
    with_token = door.url.replace("https://", f"https://x:{door.token}@")
    assert door.curl(f"{with_token}/v1/queue").json["jobs"] == 0
    refused = door.get(f"/v1/jobs?token={door.token}", "-w", "%{http_code}")
    assert refused.text.endswith("400")
    door.get("/healthz")  # a request is logged once it is answered: before the next one is
    log = door.daemons.log("scheduler")
    assert "GET /v1/jobs: 400" in log
    assert door.token not in log


def test_a_certificate_of_a_user_is_shown_in_the_handshake(door: Door, tmp_path: Path) -> None:
    admin = parse_credentials((door.command.home / "scheduler" / "admin.pem").read_bytes())
    (tmp_path / "admin.pem").write_bytes(admin.key_pem + admin.certificate_pem)
    users = door.curl("--cert", str(tmp_path / "admin.pem"), f"{door.url}/v1/users").json["users"]
    assert {"admin", "ada"} <= {user["name"] for user in users}
    assert door.curl(f"{door.url}/v1/users").json["status"] == 401


def test_only_tls_1_3_is_spoken_and_the_certificate_names_this_machine(door: Door) -> None:
    assert door.curl("--tls-max", "1.2", f"{door.url}/healthz").code == 35
    assert door.curl(f"http://127.0.0.1:{door.port}/healthz").code != 0
    for host in ("localhost", socket.gethostname()):
        there = ("--connect-to", f"{host}:{door.port}:127.0.0.1:{door.port}")
        assert door.curl(*there, f"https://{host}:{door.port}/healthz").code == 0, host
    assert door.curl("--connect-to", "::127.0.0.1:", f"https://other.example:{door.port}/healthz").code == 60


def test_what_is_no_http_is_told_so_and_who_says_nothing_holds_up_nobody(door: Door) -> None:
    context = ssl.create_default_context(cafile=str(door.ca))

    def said(text: bytes) -> bytes:
        with (
            socket.create_connection(("127.0.0.1", door.port), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as tls,
        ):
            tls.sendall(text)
            return b"".join(iter(lambda: tls.recv(65536), b""))

    silent = [socket.create_connection(("127.0.0.1", door.port)) for _ in range(100)]
    assert said(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in said(b"GET / HTTP/1.1\r\n\r\n")
    assert said(b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000).startswith(b"HTTP/1.1 431 ")
    for each in silent:
        each.close()


def test_a_gateway_that_dies_is_started_again_and_jobs_never_notice(door: Door) -> None:
    before = door.pid()
    os.kill(before, signal.SIGKILL)
    assert door.command.ok("run", "--", "echo", "on").out == b"on\n"
    door.wait_until_it_answers()
    assert door.pid() != before
    assert "the gateway was ended by signal 9" in door.daemons.log("scheduler")


def test_a_gateway_ends_with_its_scheduler_also_when_that_is_killed(door: Door) -> None:
    gateway = os.pidfd_open(door.pid())
    door.daemons.kill("scheduler")
    assert select.select([gateway], [], [], PATIENCE)[0], "a pidfd can be read when its process has ended"
    os.close(gateway)
    door.daemons.start_scheduler("--http", f"127.0.0.1:{door.port}")
    door.wait_until_it_answers()
