"""Reading the certificate of whoever is at the other end of a connection.

TLS has verified chain, signature and validity at the handshake before any of this runs. gRPC does not look
at what follows, so we do: exactly one URI, of our cluster; a leaf that may be a client; a P-256 key.
Validity is returned, for it must be compared with the clock again at every call: a connection stays open
when its certificate ends.
"""

from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from cluster.domain.base.errors import InvalidInput, NotAuthenticated, Untrusted
from cluster.domain.trust.enrolments import enrolment_of
from cluster.domain.trust.identity import Peer, parse_cluster_uri, parse_identity
from cluster.pki.certificates import certificate_pem, issued_by, spki_pin, uris_of


@lru_cache(maxsize=4096)  # a certificate comes with every call and takes 100 µs to read; 4096 of them take some 10 MB
def parse_peer(pem: bytes, cluster_id: str) -> Peer:
    """The holder of a client certificate; NotAuthenticated with the reason when it is not one of this cluster's."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        extensions = certificate.extensions
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        key_usage = extensions.get_extension_for_class(x509.KeyUsage).value
        extended = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        uris = uris_of(certificate)
    except (ValueError, x509.DuplicateExtension) as error:
        raise NotAuthenticated(f"the client certificate cannot be read: {error}") from None
    except x509.ExtensionNotFound as error:
        raise NotAuthenticated(f"the client certificate has no extension {error.oid.dotted_string}") from None
    if basic.ca or not key_usage.digital_signature or ExtendedKeyUsageOID.CLIENT_AUTH not in extended:
        raise NotAuthenticated("the client certificate is not one for clients")
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise NotAuthenticated("the client certificate has a key other than P-256")
    if len(uris) != 1:
        raise NotAuthenticated(f"the client certificate has {len(uris)} URIs instead of one, so it says nothing clear")
    try:
        identity = parse_identity(uris[0])
    except InvalidInput as error:
        raise NotAuthenticated(f"the client certificate names nobody: {error}") from None
    if identity.cluster_id != cluster_id:
        raise NotAuthenticated(f"the client certificate is of cluster {identity.cluster_id}, this is {cluster_id}")
    return Peer(
        identity,
        certificate.serial_number,
        int(certificate.not_valid_before_utc.timestamp()),
        int(certificate.not_valid_after_utc.timestamp()),
        enrolment_of(certificate.serial_number),
    )


def check_pinned_chain(chain: list[bytes], pin: str) -> tuple[bytes, str]:
    """Whether a server that showed this chain (DER, leaf first) belongs to the pinned CA.

    Returns the CA's certificate (PEM) and the cluster id that it names. This proves no more than that:
    anybody can show a public chain. The caller then makes a TLS connection with that CA as its only root, in
    which the server proves its key, its name and its validity. Raises Untrusted.
    """
    try:
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        pinned = [c for c in certificates if spki_pin(c) == pin]
        if not pinned:
            raise Untrusted(
                "the server is not of the cluster that made this join token: its CA is another one, or this is another "
                "port of it than the one for joining, which the token names"
            )
        ca = pinned[0]
        if not issued_by(ca, ca) or not issued_by(certificates[0], ca):
            raise Untrusted("the server's certificate was not issued by the CA that the join token names")
        uris = uris_of(ca)
        if len(uris) != 1:
            raise InvalidInput(f"it has {len(uris)} URIs")
        return certificate_pem(ca), parse_cluster_uri(uris[0])
    except (ValueError, InvalidInput, x509.DuplicateExtension) as error:
        raise Untrusted(f"the server's certificates cannot be used: {error}") from None
