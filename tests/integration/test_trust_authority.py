"""The CA's directory, the certificates it issues, and how client certificates are read."""

import datetime
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.domain.base.errors import ClusterError, InvalidInput, NotAuthenticated, NotFound, Untrusted
from cluster.domain.trust.enrolments import BY_HAND
from cluster.domain.trust.identity import Identity, IdentityKind
from cluster.pki import certificates
from cluster.pki.authority import Authority, create_authority, open_authority, refresh_credentials
from cluster.pki.files import check_private, load_credentials, private_directory, save_credentials
from cluster.pki.issuer import KeyRequest
from cluster.pki.peer_certificates import check_pinned_chain, parse_peer
from tools.environments import REPOSITORY

NOW = 1_790_000_000.0
CLUSTER = "0123456789abcdef"
WORKER = "6f1c2f0e-8a51-4b6e-9d65-0c6f5a3b7e11"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return open_authority(tmp_path / "scheduler", NOW)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- the directory ---


def test_the_first_start_makes_private_files(tmp_path: Path) -> None:  # S2.13
    directory = tmp_path / "state" / "scheduler"
    before = os.umask(0)
    try:
        refresh_credentials(open_authority(directory, NOW), directory, NOW, 0.5)
    finally:
        os.umask(before)
    assert mode_of(directory) == 0o700
    names = (".lock", "ca.pem", "scheduler.pem", "admin.pem")
    assert {p.name: mode_of(p) for p in directory.iterdir()} == dict.fromkeys(names, 0o600)


def test_a_second_start_finds_the_same_cluster(tmp_path: Path) -> None:
    first = open_authority(tmp_path, NOW)
    again = open_authority(tmp_path, NOW + 5, first.cluster_id)
    assert (again.cluster_id, again.pin, again.ca_pem) == (first.cluster_id, first.pin, first.ca_pem)


def test_first_starts_at_once_make_one_cluster(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\nfrom cluster.pki.authority import open_authority\n"
        "print('loaded', flush=True)\nsys.stdin.readline()\n"
        f"print(open_authority(pathlib.Path(sys.argv[1]), {NOW}).pin)"
    )
    command, pipe = [sys.executable, "-c", program, str(tmp_path)], subprocess.PIPE
    starts = [subprocess.Popen(command, cwd=REPOSITORY, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    for start in starts:
        assert start.stdout
        assert start.stdout.readline() == "loaded\n"
    for start in starts:
        assert start.stdin
        start.stdin.write("go\n")
        start.stdin.flush()
    (pin,) = {start.communicate()[0] for start in starts}
    assert len(pin.strip()) == 64


def test_a_directory_of_another_cluster_is_refused(tmp_path: Path) -> None:
    open_authority(tmp_path, NOW)
    with pytest.raises(ClusterError, match="mixes two clusters"):
        open_authority(tmp_path, NOW, "ffffffffffffffff")


def test_credentials_of_another_cluster_are_refused(tmp_path: Path, authority: Authority) -> None:
    other = open_authority(tmp_path / "other", NOW)
    refresh_credentials(other, tmp_path / "other", NOW, 0.5)
    refresh_credentials(authority, tmp_path / "scheduler", NOW, 0.5)
    os.replace(tmp_path / "other" / "scheduler.pem", tmp_path / "scheduler" / "scheduler.pem")
    with pytest.raises(ClusterError, match=rf"scheduler\.pem is of spiffe://{other.cluster_id}/"):
        refresh_credentials(authority, tmp_path / "scheduler", NOW, 0.5)


@pytest.mark.parametrize("cluster_id", [None, CLUSTER])
def test_a_lost_ca_is_not_replaced_behind_the_back_of_a_cluster(tmp_path: Path, cluster_id: str | None) -> None:
    if cluster_id is None:
        refresh_credentials(open_authority(tmp_path, NOW), tmp_path, NOW, 0.5)
        (tmp_path / "ca.pem").unlink()
    else:
        private_directory(tmp_path)
    with pytest.raises(ClusterError, match="without its CA"):
        open_authority(tmp_path, NOW, cluster_id)


def test_a_damaged_ca_file_is_one_clear_error(tmp_path: Path) -> None:
    open_authority(tmp_path, NOW)
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(ClusterError, match=r"ca\.pem holds no usable CA"):
        open_authority(tmp_path, NOW)


def test_keys_that_others_may_read_are_refused(tmp_path: Path) -> None:  # S2.13
    open_authority(tmp_path, NOW)
    (tmp_path / "ca.pem").chmod(0o640)
    with pytest.raises(ClusterError, match=r"ca\.pem can be used by others \(mode 640\).*chmod 600"):
        open_authority(tmp_path, NOW)
    (tmp_path / "ca.pem").chmod(0o600)
    tmp_path.chmod(0o755)
    with pytest.raises(ClusterError, match=r"can be used by others \(mode 755\).*chmod 700"):
        open_authority(tmp_path, NOW)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_keys_of_another_user_are_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(ClusterError, match="belongs to user 12345"):
        open_authority(tmp_path, NOW)


def test_a_way_that_others_can_change_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(ClusterError, match=r"shared can be changed by others, who could replace .*/shared/a/b"):
        private_directory(shared / "a" / "b")
    (tmp_path / "link").symlink_to(shared / "a")
    with pytest.raises(ClusterError, match="shared can be changed by others"):
        private_directory(tmp_path / "link" / "b")
    shared.chmod(0o1777)  # as /tmp is
    assert private_directory(shared / "a" / "b").is_dir()
    assert private_directory(tmp_path / "link" / "b").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_way_through_what_belongs_to_another_user_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o755)
    os.chown(theirs, 12345, 12345)
    with pytest.raises(ClusterError, match="theirs belongs to user 12345, who could replace"):
        private_directory(theirs / "ours")
    (tmp_path / "ours").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "ours")
    os.lchown(tmp_path / "link", 12345, 12345)
    with pytest.raises(ClusterError, match="link belongs to user 12345, who could replace"):
        private_directory(tmp_path / "link")


def test_what_the_system_refuses_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o600)
    with pytest.raises(ClusterError, match=r"file/ca\.pem cannot be used: Not a directory"):
        check_private(tmp_path / "file" / "ca.pem")
    (tmp_path / ".lock").mkdir()
    with pytest.raises(ClusterError, match=r"\.lock cannot be used: Is a directory"):
        open_authority(tmp_path, NOW)


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        check_private(tmp_path / "nothing")


def test_credentials_survive_their_file(tmp_path: Path, authority: Authority) -> None:
    credentials = authority.issue(authority.identity(IdentityKind.USER, "ann"), NOW)
    save_credentials(tmp_path / "ann.pem", credentials)
    assert load_credentials(tmp_path / "ann.pem") == credentials
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".ann")] == []
    assert b"PRIVATE" not in repr(credentials).encode()


@pytest.mark.parametrize("damage", [lambda b: b[:-20], lambda b: b"", lambda b: b.replace(b"Not-After", b"Never")])
def test_damaged_credentials_are_one_clear_error(
    tmp_path: Path, authority: Authority, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "ann.pem"
    save_credentials(path, authority.issue(authority.identity(IdentityKind.USER, "ann"), NOW))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        ClusterError, match=r"ann\.pem (holds no credentials|is something else than credentials: expected)"
    ):
        load_credentials(path)


def test_credentials_beside_the_ca_are_renewed_when_due(tmp_path: Path) -> None:
    authority = open_authority(tmp_path, NOW)
    first = refresh_credentials(authority, tmp_path, NOW, 0.5)
    assert refresh_credentials(authority, tmp_path, NOW + 3 * certificates.DAY, 0.5) == first
    later = refresh_credentials(authority, tmp_path, NOW + 4 * certificates.DAY, 0.5)
    assert later.not_after == first.not_after + 4 * certificates.DAY
    assert later.key_pem != first.key_pem
    assert load_credentials(tmp_path / "admin.pem").not_after == NOW + 30 * certificates.DAY


# --- what is issued ---


@pytest.mark.parametrize(
    ("kind", "name", "days", "server"),
    [
        (IdentityKind.SCHEDULER, "main", 7, "scheduler.{}.cluster.internal"),
        (IdentityKind.WORKER, WORKER, 7, WORKER + ".worker.{}.cluster.internal"),
        (IdentityKind.USER, "ann", 30, None),
    ],
)
def test_a_leaf_says_who_and_what_for_and_how_long(
    authority: Authority, kind: IdentityKind, name: str, days: int, server: str | None
) -> None:
    identity = authority.identity(kind, name)
    leaf = x509.load_pem_x509_certificate(authority.issue(identity, NOW).certificate_pem)
    found = {type(e.value): e for e in leaf.extensions}
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usages = set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    ca = x509.load_pem_x509_certificate(authority.ca_pem)

    assert leaf.not_valid_before_utc.timestamp() == NOW - 3600
    assert leaf.not_valid_after_utc.timestamp() == NOW + days * 86400
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [identity.uri]
    assert names.get_values_for_type(x509.DNSName) == ([server.format(authority.cluster_id)] if server else [])
    assert ExtendedKeyUsageOID.CLIENT_AUTH in usages
    assert (ExtendedKeyUsageOID.SERVER_AUTH in usages) is (server is not None)
    assert found[x509.KeyUsage].critical
    assert found[x509.KeyUsage].value == certificates._key_usage("digital_signature")
    assert found[x509.BasicConstraints].critical
    assert found[x509.BasicConstraints].value == x509.BasicConstraints(ca=False, path_length=None)
    assert found[x509.AuthorityKeyIdentifier].value.key_identifier == (
        ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    )
    assert x509.SubjectKeyIdentifier in found


def test_the_ca_signs_leaves_only(authority: Authority) -> None:
    ca = x509.load_pem_x509_certificate(authority.ca_pem)
    basic = ca.extensions.get_extension_for_class(x509.BasicConstraints)
    usage = ca.extensions.get_extension_for_class(x509.KeyUsage)
    assert (basic.critical, basic.value.ca, basic.value.path_length) == (True, True, 0)
    assert usage.critical
    assert usage.value == certificates._key_usage("key_cert_sign", "crl_sign")


def test_no_two_serials_are_alike(authority: Authority) -> None:
    identity = authority.identity(IdentityKind.USER, "ann")
    serials = {
        parse_peer(authority.issue(identity, NOW).certificate_pem, authority.cluster_id).serial for _ in range(20)
    }
    assert len(serials) == 20


def test_a_leaf_never_outlives_its_ca(authority: Authority) -> None:
    late = NOW + certificates.CA_LIFE - 60
    assert authority.issue(authority.identity(IdentityKind.USER, "ann"), late).not_after == NOW + certificates.CA_LIFE


def test_a_ca_certifies_nobody_of_another_cluster(authority: Authority) -> None:
    with pytest.raises(InvalidInput, match="cannot certify"):
        authority.issue(Identity("f" * 16, IdentityKind.USER, "ann"), NOW)


# --- requests ---


def signed_request(key: "ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey") -> bytes:
    builder = x509.CertificateSigningRequestBuilder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "scheduler main")])
    ).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


def test_only_the_key_of_a_request_counts(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    identity = authority.identity(IdentityKind.USER, "ann")
    leaf = x509.load_pem_x509_certificate(authority.certify(identity, signed_request(key), NOW, BY_HAND))
    assert leaf.public_key() == key.public_key()
    assert leaf.subject.rfc4514_string() == "CN=user ann"
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_requests_for_other_keys_or_without_proof_are_refused() -> None:
    with pytest.raises(InvalidInput, match="P-256"):
        certificates.requested_key(signed_request(ec.generate_private_key(ec.SECP384R1())))
    with pytest.raises(InvalidInput, match="P-256"):
        certificates.requested_key(signed_request(ed25519.Ed25519PrivateKey.generate()))
    request = KeyRequest().request
    with pytest.raises(InvalidInput, match=r"not signed|cannot be read"):
        certificates.requested_key(request[:-1] + bytes([request[-1] ^ 1]))
    for garbage in (b"", b"hello", request[:50]):
        with pytest.raises(InvalidInput, match="cannot be read"):
            certificates.requested_key(garbage)


# --- reading the certificates of clients: what gRPC lets through and we must not ---


def odd_leaf(
    authority: Authority, *, uris: list[str], usage: list[x509.ObjectIdentifier] | None, ca: bool = False
) -> bytes:
    """A certificate as only a faulty CA of ours would sign it."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(authority.ca_pem)
    start = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(issuer.subject)
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(certificates._key_usage("digital_signature"), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usage), critical=False)
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(names, critical=False)
    return certificates.certificate_pem(builder.sign(authority._key, hashes.SHA256()))


def test_a_good_certificate_names_its_holder(authority: Authority) -> None:
    identity = authority.identity(IdentityKind.WORKER, WORKER)
    credentials = authority.issue(identity, NOW)
    peer = parse_peer(credentials.certificate_pem, authority.cluster_id)
    assert (peer.identity, peer.not_before, peer.not_after) == (identity, NOW - 3600, NOW + 7 * 86400)
    assert parse_peer(credentials.certificate_pem, authority.cluster_id) is peer


CLIENT = [ExtendedKeyUsageOID.CLIENT_AUTH]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda a, u: odd_leaf(a, uris=[u, u + "x"], usage=CLIENT), "2 URIs"),
        (lambda a, u: odd_leaf(a, uris=[], usage=CLIENT), "0 URIs"),
        (lambda a, u: odd_leaf(a, uris=[u], usage=None), "no extension 2.5.29.37"),
        (lambda a, u: odd_leaf(a, uris=[u], usage=[ExtendedKeyUsageOID.SERVER_AUTH]), "not one for clients"),
        (lambda a, u: odd_leaf(a, uris=[u], usage=CLIENT, ca=True), "not one for clients"),
        (lambda a, u: odd_leaf(a, uris=["https://example.com/a"], usage=CLIENT), "names nobody"),
        (lambda a, u: odd_leaf(a, uris=[f"spiffe://{CLUSTER}/user/ann"], usage=CLIENT), f"is of cluster {CLUSTER}"),
        (lambda a, u: a.ca_pem, "no extension"),
        (lambda a, u: b"hello", "cannot be read"),
    ],
)
def test_what_grpc_lets_through_is_refused(
    authority: Authority, make: Callable[[Authority, str], bytes], reason: str
) -> None:
    pem = make(authority, authority.identity(IdentityKind.USER, "ann").uri)
    with pytest.raises(NotAuthenticated, match=reason):
        parse_peer(pem, authority.cluster_id)


# --- pins ---


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def test_a_chain_of_the_pinned_ca_is_taken(authority: Authority) -> None:
    leaf = authority.issue(authority.identity(IdentityKind.SCHEDULER, "main"), NOW).certificate_pem
    assert check_pinned_chain([der(leaf), der(authority.ca_pem)], authority.pin) == (
        authority.ca_pem,
        authority.cluster_id,
    )


def test_other_chains_are_not(tmp_path: Path, authority: Authority) -> None:
    other = create_authority(tmp_path / "other.pem", authority.cluster_id, NOW)
    leaf = other.issue(other.identity(IdentityKind.SCHEDULER, "main"), NOW).certificate_pem
    with pytest.raises(Untrusted, match="its CA is another one"):
        check_pinned_chain([der(leaf), der(other.ca_pem)], authority.pin)
    with pytest.raises(Untrusted, match="not issued by the CA"):
        check_pinned_chain([der(leaf), der(authority.ca_pem)], authority.pin)
    with pytest.raises(Untrusted):
        check_pinned_chain([], authority.pin)
    with pytest.raises(Untrusted, match="cannot be used"):
        check_pinned_chain([b"hello"], authority.pin)
