"""A cluster's certificate authority and the directory it lives in.

    ca.pem         the CA's key and certificate
    scheduler.pem  the scheduler's credentials
    admin.pem      those of the first user, for the command line on the same machine

The directory is 0700 and its files 0600; whoever reads `ca.pem` is the cluster. Everything happens under the
directory's lock, so that two first starts at once make one CA.
"""

import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cluster.domain.base.errors import ClusterError, InvalidInput, NotAuthenticated, NotFound, Untrusted
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.enrolments import BY_HAND
from cluster.domain.trust.hosts import check_hosts
from cluster.domain.trust.identity import (
    ADMIN_NAME,
    CLUSTER_ID_LENGTH,
    SCHEDULER_NAME,
    Identity,
    IdentityKind,
    Peer,
    check_cluster_id,
    parse_cluster_uri,
)
from cluster.domain.trust.renewal import renewal_time
from cluster.pki import certificates
from cluster.pki.files import (
    load_credentials,
    locked,
    private_directory,
    read_private,
    save_credentials,
    write_private,
)
from cluster.pki.peer_certificates import parse_peer

CA_FILE, SCHEDULER_FILE, ADMIN_FILE = "ca.pem", "scheduler.pem", "admin.pem"


class Authority:
    """The CA of one cluster: says who is who by signing it. Make one with `open_authority`."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        uris = certificates.uris_of(certificate)
        if len(uris) != 1 or key.public_key() != certificate.public_key():
            raise InvalidInput("key and certificate of the CA do not belong together")
        self._key = key
        self._certificate = certificate
        self.cluster_id = parse_cluster_uri(uris[0])
        self.ca_pem = certificates.certificate_pem(certificate)
        self.pin = certificates.spki_pin(certificate)

    def identity(self, kind: IdentityKind, name: str) -> Identity:
        """An identity of this cluster."""
        return Identity(self.cluster_id, kind, name)

    def certify(
        self, identity: Identity, request: bytes, now: float, enrolment: int, hosts: Sequence[str] = ()
    ) -> bytes:
        """Issue the certificate (PEM) of an identity for the key of a PKCS #10 request (DER). `hosts`: as `issue`.

        Of the request only the key counts, and it must be proven; InvalidInput otherwise.
        """
        key = certificates.requested_key(request)
        return certificates.certificate_pem(self._leaf(identity, key, now, None, enrolment, hosts))

    def issue(
        self,
        identity: Identity,
        now: float,
        life: float | None = None,
        enrolment: int = BY_HAND,
        hosts: Sequence[str] = (),
    ) -> Credentials:
        """Make key and certificate of an identity that lives on this machine, or is carried to its own by hand.
        `hosts`: of a gateway, by which names and addresses it is reached."""
        key = certificates.new_key()
        leaf = self._leaf(identity, key.public_key(), now, life, enrolment, hosts)
        return certificates.credentials_of(identity, key, leaf, self._certificate)

    def reissue(self, present: Credentials, now: float) -> Credentials:
        """New credentials and key for the same identity and enrolment. Untrusted when `present` is of another CA."""
        peer = self.recognise(present.certificate_pem)
        if peer is None or peer.identity != present.identity:
            raise Untrusted(f"the certificate of {present.identity} is not from the CA of cluster {self.cluster_id}")
        return self.issue(peer.identity, now, enrolment=peer.enrolment)

    def recognise(self, pem: bytes, request: bytes | None = None) -> Peer | None:
        """The holder of a certificate that this CA has issued, expired or not. None when another CA has, or when it is
        for another key than that of the PKCS #10 request (DER)."""
        try:
            peer = parse_peer(pem, self.cluster_id)
        except NotAuthenticated:
            return None
        certificate = x509.load_pem_x509_certificate(pem)
        if not certificates.issued_by(certificate, self._certificate):
            return None
        if request is not None and certificates.requested_key(request) != certificate.public_key():
            return None
        return peer

    def _leaf(
        self,
        identity: Identity,
        key: ec.EllipticCurvePublicKey,
        now: float,
        life: float | None,
        enrolment: int,
        hosts: Sequence[str] = (),
    ) -> x509.Certificate:
        if identity.cluster_id != self.cluster_id:
            raise InvalidInput(f"the CA of cluster {self.cluster_id} cannot certify {identity.uri}")
        if hosts and identity.kind is not IdentityKind.GATEWAY:
            raise InvalidInput(f"only a gateway has names of its own in its certificate, and {identity} is none")
        check_hosts(hosts)
        return certificates.new_leaf(self._certificate, self._key, identity, key, now, life, enrolment, hosts)


def open_authority(directory: Path, now: float, cluster_id: str | None = None) -> Authority:
    """Open the CA of the directory, or make it.

    `cluster_id` is the cluster that the rest of the data belongs to, if there is such data.
    ClusterError when the directory is readable by others, damaged, or of another cluster.
    """
    private_directory(directory)
    with locked(directory):
        authority = _load(directory)
        if authority is None:
            if cluster_id is not None or (directory / SCHEDULER_FILE).exists():
                raise ClusterError(f"{directory} holds a cluster without its CA; bring {CA_FILE} back from a backup")
            authority = _create(directory, now)
    if cluster_id is not None and authority.cluster_id != cluster_id:
        raise ClusterError(
            f"{directory} mixes two clusters: its CA is of {authority.cluster_id}, its data of {cluster_id}"
        )
    return authority


def refresh_credentials(authority: Authority, directory: Path, now: float, fraction: float) -> Credentials:
    """Make the credentials that lie beside the CA, or renew those that are due, and return the scheduler's.

    `fraction` is that of `renewal_time`. ClusterError when something there is of another cluster.
    """
    with locked(directory):
        scheduler = _refresh(
            authority, directory / SCHEDULER_FILE, IdentityKind.SCHEDULER, SCHEDULER_NAME, now, fraction
        )
        _refresh(authority, directory / ADMIN_FILE, IdentityKind.USER, ADMIN_NAME, now, fraction)
    return scheduler


def issue_admin(authority: Authority, directory: Path, now: float, enrolment: int) -> None:
    """Replace the first user's credentials, which lie beside the CA, by those of another enrolment."""
    credentials = authority.issue(authority.identity(IdentityKind.USER, ADMIN_NAME), now, enrolment=enrolment)
    with locked(directory):
        save_credentials(directory / ADMIN_FILE, credentials)


def admin_of(authority: Authority, directory: Path) -> Peer | None:
    """The first user, as the credentials beside the CA name them; None when another CA has issued those."""
    return authority.recognise(load_credentials(directory / ADMIN_FILE).certificate_pem)


def _refresh(
    authority: Authority, path: Path, kind: IdentityKind, name: str, now: float, fraction: float
) -> Credentials:
    """Load the credentials at `path`, or make new ones when there are none or they are due.

    ClusterError when they are of another cluster.
    """
    try:
        present = load_credentials(path)
    except NotFound:
        present = None
    if present is not None:
        if present.identity != authority.identity(kind, name) or present.ca_pem != authority.ca_pem:
            raise ClusterError(
                f"{path} is of {present.identity.uri}, the CA beside it of cluster {authority.cluster_id}; "
                "remove the one that does not belong there"
            )
        if _is_fresh(present, now, fraction):
            return present
        credentials = authority.reissue(present, now)
    else:
        credentials = authority.issue(authority.identity(kind, name), now)
    save_credentials(path, credentials)
    return credentials


def _is_fresh(present: Credentials, now: float, fraction: float) -> bool:
    """Whether the credentials are valid now and not yet due for renewal. Those that begin in the future are not: they
    were made while the clock was wrong."""
    return present.not_before <= now < renewal_time(present.not_before, present.not_after, fraction)


def renew_beside(file: Path, now: float) -> Credentials | None:
    """Renew the credentials in the file by the CA beside it, save them there and return them; None without a CA.

    For credentials that expired because nobody ran to renew them: those of a scheduler or lone worker that was not
    running, or whose machine slept."""
    directory = next((d for d in (file.parent, file.parent / "authority") if (d / CA_FILE).exists()), None)
    if directory is None:
        return None
    with locked(directory):
        fresh = load_authority(directory / CA_FILE).reissue(load_credentials(file), now)
        save_credentials(file, fresh)
    return fresh


def load_authority(path: Path) -> Authority:
    """Read a CA file; NotFound when there is none, ClusterError when it is damaged or others may read it."""
    data = read_private(path)
    try:
        key = serialization.load_pem_private_key(data, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise InvalidInput("its key is not an elliptic curve key")
        return Authority(key, x509.load_pem_x509_certificate(data))
    except (ValueError, TypeError, InvalidInput) as error:
        raise ClusterError(f"{path} holds no usable CA: {error}; bring it back from a backup") from None


def create_authority(path: Path, cluster_id: str, now: float) -> Authority:
    """Make a CA and its file."""
    key = certificates.new_key()
    certificate = certificates.new_ca_certificate(key, check_cluster_id(cluster_id), now)
    authority = Authority(key, certificate)
    write_private(path, certificates.key_pem(key) + authority.ca_pem)
    return authority


def _load(directory: Path) -> Authority | None:
    try:
        return load_authority(directory / CA_FILE)
    except NotFound:
        return None


def _create(directory: Path, now: float) -> Authority:
    return create_authority(directory / CA_FILE, secrets.token_hex(CLUSTER_ID_LENGTH // 2), now)
