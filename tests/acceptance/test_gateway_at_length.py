"""The HTTP door at length: callers that are slow, and many at once; its TLS from outside."""

import base64
import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.door import Door
from tests.integration.test_gateway_attacks import FORGED
from tests.integration.test_gateway_http import HOST, LAST, SENT
from tests.patience import PATIENCE
from tools.environments import clean_environ, environment

pytestmark = [pytest.mark.slow, pytest.mark.extra_http]

FOLLOWERS, IDLE = 200, 500
HUNDRED_MB = 100 * 1000 * 1000


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with Daemons(Command(tmp_path_factory.mktemp("home"))) as daemons:
        door = Door(daemons)
        door.start()
        daemons.start_worker("box")
        yield door


def connect(door: Door) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(door.ca))
    plain = socket.create_connection(("127.0.0.1", door.port), timeout=PATIENCE)
    return context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_idle_connections_and_large_bodies_hold_up_nobody(door: Door) -> None:
    with ExitStack() as held:
        for _ in range(IDLE):
            held.enter_context(connect(door))
        large = held.enter_context(connect(door))
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {door.token}\r\n"
        large.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {HUNDRED_MB}\r\n\r\n".encode())
        assert door.get("/v1/jobs?limit=1").json.keys() == {"jobs", "next"}
        assert large.recv(4096).startswith(b"HTTP/1.1 413 ")
        assert door.get("/v1/queue").json["jobs"] >= 0


@pytest.mark.parametrize("kind", ["-H", "-B", "-X"])
def test_who_sends_or_reads_slowly_holds_up_nobody(door: Door, kind: str, tmp_path: Path) -> None:
    program = shutil.which("slowhttptest")
    if program is None:
        pytest.skip("slowhttptest is not installed: apt-get install slowhttptest")
    line = [program, kind, "-c", "500", "-r", "200", "-i", "5", "-l", "20", "-p", "1", "-u", f"{door.url}/v1/jobs"]
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as attack:
        answered = 0
        while attack.poll() is None and answered < 50:
            assert door.curl("--max-time", "30", f"{door.url}/readyz").json == {"status": "ok"}
            answered += 1
        said = attack.communicate()[0]
    assert answered
    # It probes the door itself, each second.
    assert "service available:   NO" not in said, said[-3000:]


@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0"])
def test_behind_a_proxy_nothing_that_is_forged_counts(listen: str, tmp_path: Path) -> None:
    """What comes through a proxy may have been written by anybody."""
    with Daemons(Command(tmp_path)) as daemons:
        door = Door(daemons)
        daemons.start_scheduler("--http", f"{listen}:{door.port}", "--http-plain=behind-proxy")
        shown = f"Authorization: Bearer {door.new_token('ada')}\r\n"
        while _said(door.port, LAST.encode()) == b"":
            pass
        for what, (sent, expected) in SENT.items():
            said = _said(door.port, sent.encode("latin-1"))
            assert [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)] == expected, what
        me = f"GET /v1/whoami HTTP/1.1\r\n{HOST}Connection: close\r\n"
        for forged in (*((one,) for one in FORGED), FORGED):
            lines = "".join(f"{line}\r\n" for line in forged)
            assert _said(door.port, f"{me}{lines}\r\n".encode()).startswith(b"HTTP/1.1 401 "), forged
            known = _said(door.port, f"{me}{shown}{lines}\r\n".encode())
            assert b'"name": "ada", "role": "user"' in known, forged
            elsewhere = me.replace(HOST, "Host: evil.example\r\n")
            assert _said(door.port, f"{elsewhere}{shown}{lines}\r\n".encode()).startswith(b"HTTP/1.1 421 "), forged


def _said(port: int, text: bytes) -> bytes:
    """All answers until the other side hangs up. Empty: nobody is there."""
    said = bytearray()
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as plain:
        plain.sendall(text)
        while some := plain.recv(1 << 16):
            said += some
    return bytes(said)


def test_two_hundred_followers_of_one_job_read_every_byte(door: Door) -> None:
    number = door.get("/v1/jobs", "--json", json.dumps({"argv": ["sh", "-c", "seq 20000; sleep 1; seq 20000"]})).json[
        "number"
    ]
    expected = "".join(f"{i}\n" for i in range(1, 20001)).encode() * 2
    request = (
        f"GET /v1/jobs/{number}/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {door.token}\r\n"
        "Accept: text/event-stream\r\nConnection: close\r\n\r\n"
    )
    with ExitStack() as held:
        followers = []
        for _ in range(FOLLOWERS):
            followers.append(held.enter_context(connect(door)))
            followers[-1].sendall(request.encode())  # at once: who asks for nothing is sent away
        assert door.command.ok("run", "--", "echo", "meanwhile").text == "meanwhile\n"
        for follower in followers:
            assert _output(follower) == expected


def _output(follower: ssl.SSLSocket) -> bytes:
    """What the events of output bring, to the event that is the end."""
    said = bytearray()
    while some := follower.recv(1 << 16):
        said += some
    body = said.partition(b"\r\n\r\n")[2]
    text = bytearray()
    while body:
        size, _, body = body.partition(b"\r\n")
        text += body[: int(size, 16)]
        body = body[int(size, 16) + 2 :]
    assert text.endswith(b"event: end\ndata: {}\n\n")
    events = [line[6:] for line in text.splitlines() if line.startswith(b"data: ")][:-1]
    return b"".join(base64.b64decode(json.loads(data)["data"]) for data in events)


def test_sslyze_finds_tls_1_3_and_nothing_else(door: Door, tmp_path: Path) -> None:
    line: list[str | Path] = [environment("checks").with_name("sslyze"), "--certinfo_ca_file", door.ca]
    line += ["--mozilla_config", "modern", "--json_out", tmp_path / "found", f"127.0.0.1:{door.port}"]
    subprocess.run(line, env=clean_environ(), capture_output=True, timeout=PATIENCE)
    scan = json.loads((tmp_path / "found").read_text())["server_scan_results"][0]["scan_result"]
    suites = {name: found["result"] for name, found in scan.items() if name.endswith("_cipher_suites")}
    accepted = {name for name, result in suites.items() if result["accepted_cipher_suites"]}
    assert accepted == {"tls_1_3_cipher_suites"}
    assert scan["certificate_info"]["result"]["certificate_deployments"][0]["verified_certificate_chain"]
