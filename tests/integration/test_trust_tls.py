"""Connections that must not come about, each with its own words, and what outside checkers say about ours."""

import asyncio
import csv
import json
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cluster.domain.base.errors import Conflict, InvalidInput, NotAuthenticated, Unreachable, Untrusted
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import IdentityKind
from cluster.pki.authority import create_authority
from cluster.rpc.channel import dial
from cluster.rpc.errors import calling
from cluster.rpc.join_client import fetch_chain
from cluster.rpc.server import listen, mutual_tls_server
from cluster.v1 import jobs_pb2, jobs_pb2_grpc
from tests.integration.trust import CLUSTER, WORKER, SmallCluster, in_cluster
from tests.patience import PATIENCE
from tools.environments import REPOSITORY, clean_environ, environment


async def call(address: str, credentials: Credentials, server_name: str) -> None:
    async with dial(address, credentials, server_name) as channel:
        with calling(address):
            await jobs_pb2_grpc.JobsStub(channel).List(jobs_pb2.ListRequest())


def name_of(cluster: SmallCluster) -> str:
    assert cluster.credentials.identity.server_name is not None
    return cluster.credentials.identity.server_name


def stranger(cluster: SmallCluster, directory: Path) -> Credentials:
    """Somebody of the same name, certified by another CA that claims the same cluster."""
    other = create_authority(directory / "other.pem", CLUSTER, cluster.start)
    return other.issue(other.identity(IdentityKind.USER, "ann"), cluster.start)


def with_ca_of(credentials: Credentials, other: Credentials) -> Credentials:
    return Credentials(
        credentials.identity,
        credentials.not_before,
        credentials.not_after,
        credentials.key_pem,
        credentials.certificate_pem,
        other.ca_pem,
    )


# --- what dialling says ---


def test_a_server_that_is_not_there_is_unreachable_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    cluster = SmallCluster(tmp_path)
    with pytest.raises(Unreachable, match=f"^{address} cannot be reached: Connection refused$") as caught:
        asyncio.run(call(address, cluster.issue(IdentityKind.USER, "ann"), name_of(cluster)))
    assert caught.value.exit_code == 75


def test_a_name_that_does_not_resolve_is_said_to(tmp_path: Path) -> None:
    cluster = SmallCluster(tmp_path)
    with pytest.raises(Unreachable, match=r"nosuch\.invalid:1 cannot be reached: its host name is not known"):
        asyncio.run(call("nosuch.invalid:1", cluster.issue(IdentityKind.USER, "ann"), name_of(cluster)))


@pytest.mark.parametrize("address", ["box", "box:0", "::1:50000", "unix:/tmp/socket"])
def test_a_malformed_address_is_never_dialled(tmp_path: Path, address: str) -> None:
    cluster = SmallCluster(tmp_path)
    with pytest.raises(InvalidInput, match="the address"):
        asyncio.run(call(address, cluster.issue(IdentityKind.USER, "ann"), name_of(cluster)))


def test_a_scheduler_of_another_cluster_is_not_trusted(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        with pytest.raises(Untrusted, match=f"^the server at {cluster.address} is of another cluster"):
            await call(cluster.address, stranger(cluster, tmp_path), name_of(cluster))

    in_cluster(tmp_path, body)


def test_a_worker_cannot_pass_for_the_scheduler(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        cluster.serving.replace(cluster.issue(IdentityKind.WORKER, WORKER))
        with pytest.raises(Untrusted, match="is not who it should be"):
            await call(cluster.address, cluster.issue(IdentityKind.USER, "ann"), name_of(cluster))

    in_cluster(tmp_path, body)


def test_a_user_cannot_serve_at_all(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        cluster.serving.replace(cluster.issue(IdentityKind.USER, "ann"))
        with pytest.raises(Untrusted):
            await call(cluster.address, cluster.issue(IdentityKind.USER, "ann"), name_of(cluster))

    in_cluster(tmp_path, body)


def test_an_expired_server_certificate_is_named_as_that(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        cluster.serving.replace(cluster.issue(IdentityKind.SCHEDULER, "main", -1))
        with pytest.raises(Untrusted, match="shows a certificate that has expired"):
            await call(cluster.address, cluster.issue(IdentityKind.USER, "ann"), name_of(cluster))

    in_cluster(tmp_path, body)


def test_a_client_with_a_certificate_of_another_ca_does_not_get_in(tmp_path: Path) -> None:  # S2.3
    async def body(cluster: SmallCluster) -> None:
        ann = with_ca_of(stranger(cluster, tmp_path), cluster.credentials)
        with pytest.raises(Untrusted, match="closed the connection: it does not accept our certificate"):
            await call(cluster.address, ann, name_of(cluster))

    in_cluster(tmp_path, body)


def test_our_own_expired_certificate_is_noticed_before_dialling(tmp_path: Path) -> None:
    cluster = SmallCluster(tmp_path)
    ann = cluster.issue(IdentityKind.USER, "ann", -1)
    with pytest.raises(NotAuthenticated, match=r"the certificate of user/ann ended at \d{4}-.*Z: log in again"):
        asyncio.run(call("127.0.0.1:1", ann, name_of(cluster)))


def test_a_port_that_is_taken_is_a_conflict(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        server = mutual_tls_server(cluster.gate, [])
        with pytest.raises(Conflict, match=f"^cannot listen on {cluster.address}: Address already in use"):
            listen(server, cluster.address, cluster.serving.mutual())
        with pytest.raises(Conflict, match=r"^cannot listen on 192\.0\.2\.1:5: Cannot assign requested address"):
            listen(server, "192.0.2.1:5", cluster.serving.mutual())
        await server.stop(0)

    in_cluster(tmp_path, body)


# --- the handshake itself ---


def test_without_a_certificate_or_with_tls_1_2_nobody_gets_in(tmp_path: Path) -> None:  # S2.3
    async def body(cluster: SmallCluster) -> None:
        def greet(version: ssl.TLSVersion, address: str, credentials: Credentials | None) -> bytes:
            """What the server says first after the handshake: nothing, when it does not let us in."""
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.minimum_version = context.maximum_version = version
            context.set_alpn_protocols(["h2"])
            if credentials is not None:
                file = tmp_path / "client.pem"
                file.write_bytes(credentials.key_pem + credentials.certificate_pem)
                context.load_cert_chain(file)
            host, port = address.split(":")
            with socket.create_connection((host, int(port)), PATIENCE) as connection:
                try:
                    with context.wrap_socket(connection) as tls:
                        return tls.recv(9)
                except (ssl.SSLError, ConnectionError):
                    return b""

        ann = cluster.issue(IdentityKind.USER, "ann")
        v12, v13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
        assert await asyncio.to_thread(greet, v13, cluster.address, ann)
        assert not await asyncio.to_thread(greet, v13, cluster.address, None)
        assert not await asyncio.to_thread(greet, v12, cluster.address, ann)
        assert await asyncio.to_thread(greet, v13, cluster.join_address, None)
        assert not await asyncio.to_thread(greet, v12, cluster.join_address, None)

    in_cluster(tmp_path, body)


def test_a_server_does_not_start_when_grpc_would_take_tls_1_2() -> None:
    program = (
        "import grpc, cluster.rpc.credentials as c\ntry: c.ServingCredentials(None)\nexcept Exception as e: print(e)"
    )
    environ = {name: value for name, value in clean_environ().items() if not name.startswith("GRPC_")}
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, env=environ, capture_output=True, text=True)
    assert "it would take TLS 1.2: import cluster first" in done.stdout


def test_each_listener_gets_a_renewed_certificate(tmp_path: Path) -> None:
    async def body(cluster: SmallCluster) -> None:
        for _ in range(2):
            cluster.serving.replace(cluster.issue(IdentityKind.SCHEDULER, "main"))
            shown = [(await asyncio.to_thread(fetch_chain, a))[0] for a in (cluster.address, cluster.join_address)]
            assert shown[0] == shown[1] == ssl.PEM_cert_to_DER_cert(cluster.serving._current.certificate_pem.decode())

    in_cluster(tmp_path, body)


def test_the_dialling_client_does_not_load_what_reads_certificates() -> None:
    program = (
        "import sys, cluster.rpc.channel, cluster.rpc.errors, cluster.pki.files; print('cryptography' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, env=clean_environ(), capture_output=True)
    assert done.stdout == b"False\n"


# --- what others say ---


def test_strict_verification_takes_our_chain(tmp_path: Path) -> None:
    """Pythons from 3.13 on set this flag by themselves; ours may be older."""

    async def body(cluster: SmallCluster) -> None:
        def connect() -> str | None:
            context = ssl.create_default_context(cadata=cluster.authority.ca_pem.decode())
            context.verify_flags |= ssl.VERIFY_X509_STRICT
            host, port = cluster.join_address.split(":")
            with (
                socket.create_connection((host, int(port)), PATIENCE) as connection,
                context.wrap_socket(connection, server_hostname=name_of(cluster)) as tls,
            ):
                return tls.version()

        assert await asyncio.to_thread(connect) == "TLSv1.3"

    in_cluster(tmp_path, body)


@pytest.mark.slow
def test_sslyze_finds_tls_1_3_and_nothing_else(tmp_path: Path) -> None:
    sslyze = environment("checks").with_name("sslyze")

    async def body(cluster: SmallCluster) -> None:
        ann = cluster.issue(IdentityKind.USER, "ann")
        (tmp_path / "key").write_bytes(ann.key_pem)
        (tmp_path / "certificate").write_bytes(ann.certificate_pem)
        (tmp_path / "ca").write_bytes(ann.ca_pem)
        for address in (cluster.address, cluster.join_address):
            process = await asyncio.create_subprocess_exec(
                sslyze,
                *("--cert", tmp_path / "certificate", "--key", tmp_path / "key", "--certinfo_ca_file", tmp_path / "ca"),
                *("--sni", name_of(cluster), "--mozilla_config", "modern", "--json_out", tmp_path / "found", address),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=clean_environ(),
            )
            said = (await process.communicate())[0].decode()
            scan = json.loads((tmp_path / "found").read_text())["server_scan_results"][0]["scan_result"]
            accepted = {
                name: len(found["result"]["accepted_cipher_suites"])
                for name, found in scan.items()
                if name.endswith("_cipher_suites")
            }
            assert {name for name, count in accepted.items() if count} == {"tls_1_3_cipher_suites"}
            findings = [
                line.strip() for line in said.splitlines() if line.strip().startswith("* ") and "should" in line
            ]
            # Allowed: BoringSSL offers a curve that Mozilla's "modern" leaves out; gRPC has no option for it.
            assert findings == ["* tls_curves: TLS curves {'secp521r1'} are supported, but should be rejected."]

    in_cluster(tmp_path, body)


@pytest.mark.slow
def test_pkilint_finds_nothing_in_any_kind_of_certificate(tmp_path: Path) -> None:
    lint = environment("checks").with_name("lint_pkix_cert")
    now = time.time()
    authority = create_authority(tmp_path / "ca-key.pem", CLUSTER, now)
    made = {"ca": authority.ca_pem}
    for kind, name in [(IdentityKind.SCHEDULER, "main"), (IdentityKind.WORKER, WORKER), (IdentityKind.USER, "ann")]:
        made[kind] = authority.issue(authority.identity(kind, name), now).certificate_pem
    for what, pem in made.items():
        (tmp_path / f"{what}.pem").write_bytes(pem)
        command: list[str | Path] = [lint, "lint", "--severity", "NOTICE", "--format", "CSV", tmp_path / f"{what}.pem"]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environ())
        found = {(row["code"], row["message"].split('"')[1]) for row in csv.DictReader(done.stdout.splitlines())}
        # Allowed: pkilint knows no URI whose authority is not a host name, which SPIFFE's trust domains need not be.
        assert {code for code, _ in found} == {"pkix.invalid_uri_syntax"}, done.stdout
        assert all(uri.startswith(f"spiffe://{CLUSTER}") for _, uri in found)
