"""`--notify`: from the command line and the configuration file to a receiver by https."""

import datetime
import hashlib
import hmac
import ipaddress
import json
import os
import queue
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.acceptance.command import Command
from tests.acceptance.test_cli_jobs import submit
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


@dataclass
class Receiver:
    """What came to an https server, or why nothing did."""

    port: int = 0
    requests: "queue.Queue[tuple[str, dict[str, str], bytes]]" = field(default_factory=queue.Queue)
    refusals: "queue.Queue[str]" = field(default_factory=queue.Queue)  # by who does not trust it

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}/hooks/done?from=tests"


@contextmanager
def receiver(certificate: Path) -> Iterator[Receiver]:
    """`certificate`: PEM, with its key."""
    there = Receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Handler(BaseHTTPRequestHandler):
        def setup(self) -> None:
            super().setup()
            try:
                self.request.do_handshake()
            except OSError as error:
                there.refusals.put(str(error))
                raise

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            there.requests.put((self.path, dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def get_request(self) -> tuple[socket.socket, object]:
            connection, address = super().get_request()
            return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

        def handle_error(self, request: object, client_address: object) -> None:
            """Who hangs up is no error of the test's."""

    with Server(("127.0.0.1", 0), Handler) as server:
        there.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield there
        finally:
            server.shutdown()
            thread.join()


def certified(directory: Path, name: str) -> tuple[Path, Path]:
    """A CA of that name, and a certificate by it for 127.0.0.1 with its key, as files of PEM."""
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    of = x509.CertificateBuilder().not_valid_before(now - day).not_valid_after(now + day).issuer_name(ca_name)
    ca = of.subject_name(ca_name).public_key(ca_key.public_key()).serial_number(1)
    ca = ca.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = of.subject_name(x509.Name([])).public_key(key.public_key()).serial_number(2)
    own = own.add_extension(here, critical=True)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files = directory / f"{name}-ca.pem", directory / f"{name}.pem"
    files[0].write_bytes(ca.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    files[1].write_bytes(own.sign(ca_key, hashes.SHA256()).public_bytes(pem) + secret)
    return files


def test_a_receiver_by_https_is_told_what_failed_and_only_whom_the_operator_named_and_trusts(command: Command) -> None:
    ours, certificate = certified(command.home, "ours")
    _, strange = certified(command.home, "strange")
    with receiver(certificate) as there, receiver(strange) as stranger:
        urls = [f"https://127.0.0.1:{port}/hooks/*" for port in (there.port, stranger.port)]
        mail = command.home / "mail"
        mail.write_text('#!/bin/sh\ncat > "$1"\n')
        mail.chmod(0o755)
        fifo = command.home / "told"
        os.mkfifo(fifo)
        config = {"notify_url": urls, "notify_command": [f"mail={mail} {fifo}"]}
        lines = [f"{key} = {json.dumps(value)}" for key, value in config.items()]
        (command.home / "config.toml").write_text("\n".join(["[scheduler]", *lines]))
        command.ok("up", "--cpus", "1", env={"SSL_CERT_FILE": str(ours)})
        try:
            refused = command("job", "submit", "--notify", "https://127.0.0.1:1/elsewhere", "--", "true")
            assert (refused.code, "the scheduler's operator has not allowed that" in refused.err) == (77, True)

            submit(command, "--notify", stranger.url, "--", "true")
            assert stranger.refusals.get(timeout=PATIENCE)

            submit(command, "--notify", there.url, "--notify-on", "fail", "--", "true")
            failing = ("--name", "nightly", "--notify-on", "fail", "--", "sh", "-c", "exit 3")
            job = submit(command, "--notify", there.url, "--notify-cmd", "mail", *failing)
            path, headers, body = there.requests.get(timeout=PATIENCE)
            notice = json.loads(body)
            assert path == "/hooks/done?from=tests"
            assert headers["Cluster-Notice"] == notice["id"]
            told = (notice["kind"], notice["job"], notice["name"], notice["state"], notice["reason"])
            assert told == ("job.ended", int(job), "nightly", "failed", "exit:3")
            # As any receiver checks it, by what the operator gave it.
            secret = (command.home / "scheduler" / "notify-secret").read_text().strip()
            parts = dict(part.split("=") for part in headers["Cluster-Signature"].split(","))
            signed = f"{parts['t']}.".encode() + body
            assert hmac.compare_digest(parts["v1"], hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest())
            assert json.loads(fifo.read_text()) == notice, "and so is the command"
            event = json.loads(command.ok("events", "--json", "--job", job).text.splitlines()[-1])
            assert {**notice, "id": None} == {**event, "id": None}
        finally:
            command.ok("down")
        assert (there.requests.empty(), stranger.requests.empty()) == (True, True)
