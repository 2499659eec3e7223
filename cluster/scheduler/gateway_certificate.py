"""The certificate of the gateway that a scheduler keeps."""

import time
import uuid
from pathlib import Path

from cluster.domain.base.errors import NotFound
from cluster.domain.trust.identity import IdentityKind
from cluster.pki.authority import Authority
from cluster.pki.files import load_credentials, private_directory, save_credentials

FILE = "gateway.pem"  # in the gateway's directory


def certify(authority: Authority, directory: Path) -> None:
    """Gives the gateway with that directory a certificate, unless it has one that it could renew by itself."""
    private_directory(directory)
    file = directory / FILE
    try:
        if load_credentials(file).valid_at(time.time()):
            return
    except NotFound:
        pass
    identity = authority.identity(IdentityKind.GATEWAY, str(uuid.uuid4()))
    save_credentials(file, authority.issue(identity, time.time()))
