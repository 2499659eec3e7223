"""The certificates of a cluster: one profile for the CA, one for leaves, and requests for them.

Follows RFC 5280; what gRPC and OpenSSL's VERIFY_X509_STRICT ask for beyond it is included. Times are Unix
seconds. Importing this costs 130 ms (`cryptography.x509`); the client that only dials never does.
"""

import datetime
import hashlib
import ipaddress
import secrets
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.domain.base.errors import InvalidInput
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.enrolments import BY_HAND, serial_number
from cluster.domain.trust.identity import Identity, IdentityKind, cluster_uri, is_of_clusters

HOUR, DAY = 3600, 86400
BACKDATE = HOUR  # so that machines whose clocks are behind ours by less accept a new certificate
_NOISE_BITS = 120  # random bits of a serial number, of which those of an enrolment use fewer
CA_LIFE = 3650 * DAY
LEAF_LIFE = {
    IdentityKind.SCHEDULER: 7 * DAY,
    IdentityKind.WORKER: 7 * DAY,
    IdentityKind.USER: 30 * DAY,
    IdentityKind.GATEWAY: 7 * DAY,
}

# Workers serve their own API and schedulers dial it, so both do both. Never absent: gRPC takes a client
# certificate without extended key usage for one that may do anything.
_USAGES = {
    IdentityKind.SCHEDULER: [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    IdentityKind.WORKER: [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    IdentityKind.GATEWAY: [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    IdentityKind.USER: [ExtendedKeyUsageOID.CLIENT_AUTH],
}


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key (gRPC refuses Ed25519 client certificates)."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A key as unencrypted PKCS #8: the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_of_pem(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """What `key_pem` has written. InvalidInput for anything else."""
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"the key cannot be read: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidInput("the key is not an elliptic curve key")
    return key


def certificate_pem(certificate: x509.Certificate) -> bytes:
    """A certificate as PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def new_ca_certificate(key: ec.EllipticCurvePrivateKey, cluster_id: str, now: float) -> x509.Certificate:
    """The self-signed certificate of a cluster's CA; it may sign leaves and nothing that signs in turn."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"cluster {cluster_id} CA")])
    builder = _builder(name, name, key.public_key(), key.public_key(), now, now + CA_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
    uri = x509.UniformResourceIdentifier(cluster_uri(cluster_id))
    return builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False).sign(key, hashes.SHA256())


def new_leaf(
    ca: x509.Certificate,
    ca_key: ec.EllipticCurvePrivateKey,
    identity: Identity,
    public_key: ec.EllipticCurvePublicKey,
    now: float,
    life: float | None = None,
    enrolment: int = BY_HAND,
    hosts: Sequence[str] = (),
) -> x509.Certificate:
    """Certify that the key is the identity's, for `life` seconds (the kind's usual life when None). `hosts`: names and
    addresses by which browsers and the like reach it."""
    ends = min(now + (LEAF_LIFE[identity.kind] if life is None else life), ca.not_valid_after_utc.timestamp())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{identity.kind} {identity.name}")])
    builder = _builder(subject, ca.subject, public_key, ca_key.public_key(), now, ends, enrolment)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage("digital_signature"), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(_USAGES[identity.kind]), critical=False)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.uri)]
    if identity.server_name is not None:
        names.append(x509.DNSName(identity.server_name))
    names += [_host_name(host) for host in hosts]
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False).sign(ca_key, hashes.SHA256())


def credentials_of(
    identity: Identity, key: ec.EllipticCurvePrivateKey, leaf: x509.Certificate, ca: x509.Certificate
) -> Credentials:
    """Put together what the identity holds from now on."""
    return Credentials(
        identity,
        int(leaf.not_valid_before_utc.timestamp()),
        int(leaf.not_valid_after_utc.timestamp()),
        key_pem(key),
        certificate_pem(leaf),
        certificate_pem(ca),
    )


def new_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A PKCS #10 request (DER) that proves possession of the key and asks for nothing: only its key counts."""
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def requested_key(request: bytes) -> ec.EllipticCurvePublicKey:
    """The public key of a PKCS #10 request (DER) whose signature proves it; InvalidInput for any other."""
    try:
        parsed = x509.load_der_x509_csr(request)
        key = parsed.public_key()
        # Anybody may send one, so keys that are slow to check are not.
        usable = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
        proven = usable and parsed.is_signature_valid
    except Exception as error:  # the parser raises many kinds for hostile bytes, and all mean the same
        raise InvalidInput(f"the certificate request cannot be read: {type(error).__name__}") from None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InvalidInput("the certificate request is not for a P-256 key; no other is taken")
    if not proven:
        raise InvalidInput("the certificate request is not signed with the key that it is for")
    return key


def spki_pin(certificate: x509.Certificate) -> str:
    """SHA-256, in hex, of the certificate's SubjectPublicKeyInfo: the key, however its certificate is renewed."""
    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def pin_of_pem(pem: bytes) -> str:
    """The pin of a certificate in PEM. ValueError when it is none."""
    return spki_pin(x509.load_pem_x509_certificate(pem))


def issued_by(leaf: x509.Certificate, ca: x509.Certificate) -> bool:
    """Whether the CA signed the leaf. Says nothing about its validity or use."""
    try:
        leaf.verify_directly_issued_by(ca)
    except (InvalidSignature, TypeError, ValueError):
        return False
    return True


def uris_of(certificate: x509.Certificate) -> list[str]:
    """The URIs in the subject alternative name."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)


def hosts_of(certificate: bytes) -> list[str]:
    """The names and addresses in a certificate (PEM), in order, that of its identity left out."""
    names = x509.load_pem_x509_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    hosts = [str(name.value) for name in names.value if isinstance(name, x509.DNSName | x509.IPAddress)]
    return [host for host in hosts if not is_of_clusters(host)]


def _host_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    now: float,
    ends: float,
    enrolment: int = BY_HAND,
) -> x509.CertificateBuilder:
    """What every certificate of ours has: names, validity, serial number, key identifiers."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial_number(enrolment, secrets.randbits(_NOISE_BITS)))
        .not_valid_before(_utc(now - BACKDATE))
        .not_valid_after(_utc(ends))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _key_usage(*granted: str) -> x509.KeyUsage:
    bits = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{bit: bit in granted for bit in bits})


def _utc(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
