"""A certificate that nobody asks for, as a kubelet has one until it has joined."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def self_signed(place: Path, address: str = "") -> tuple[str, str]:
    """The files, below `place`, of a certificate and its key. `address`: the IP address that it names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node-1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    if address:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    built = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    certificate = built.sign(key, hashes.SHA256())
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (place / "kubelet.crt").write_bytes(certificate.public_bytes(pem))
    (place / "kubelet.key").write_bytes(key.private_bytes(pem, kind, serialization.NoEncryption()))
    return str(place / "kubelet.crt"), str(place / "kubelet.key")
