"""Makes gRPC's credentials of ours. There is no insecure mode."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

import cluster
from cluster.domain.base.errors import ClusterError, NotAuthenticated
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import IdentityKind

logger = logging.getLogger(__name__)


class ServingCredentials:
    """A server's credentials, which can be replaced while it runs.

    gRPC asks for them at every new connection; open connections keep the certificate that they began with.
    """

    def __init__(self, credentials: Credentials, renew: Callable[[], Credentials] | None = None) -> None:
        """`renew` is called, from any thread, when a connection comes while the present credentials are not valid: the
        timer that renews them is late after the machine has slept. When it raises ClusterError the present ones
        stay."""
        if not cluster.TLS_1_3_ONLY:
            raise ClusterError("gRPC was imported before cluster, so it would take TLS 1.2: import cluster first")
        self._current = credentials
        self._renew = renew
        self._renewing = threading.Lock()

    @property
    def present(self) -> Credentials:
        return self._current

    def replace(self, credentials: Credentials) -> None:
        """Serve with these from the next connection on. Any thread may call it."""
        self._current = credentials

    def mutual(self) -> grpc.ServerCredentials:
        """Credentials for a server that takes only clients with a certificate of the same CA."""
        return self._dynamic(show_ca=False, require_client=True)

    def for_joining(self) -> grpc.ServerCredentials:
        """Credentials for the join listener, whose clients have no certificate yet. It shows the CA's, whose pin they
        know."""
        return self._dynamic(show_ca=True, require_client=False)

    def _keep_valid(self) -> None:
        if self._renew is None or self._current.valid_at(time.time()):
            return
        with self._renewing:
            if not self._current.valid_at(time.time()):
                try:
                    self._current = self._renew()
                except ClusterError as error:
                    logger.error("the certificate that is shown is not valid, and cannot be renewed: %s", error)

    def _dynamic(self, *, show_ca: bool, require_client: bool) -> grpc.ServerCredentials:
        served = self._current

        def fetch() -> Any:  # gRPC's stubs do not say that None is allowed: it means no change
            nonlocal served
            self._keep_valid()
            if served is self._current:
                return None
            served = self._current
            return _configuration(served, show_ca)

        return grpc.dynamic_ssl_server_credentials(_configuration(served, show_ca), fetch, require_client)


def _configuration(credentials: Credentials, show_ca: bool) -> grpc.ServerCertificateConfiguration:
    chain = credentials.certificate_pem + (credentials.ca_pem if show_ca else b"")
    return grpc.ssl_server_certificate_configuration([(credentials.key_pem, chain)], credentials.ca_pem)


def client_credentials(credentials: Credentials) -> grpc.ChannelCredentials:
    """For a client that proves who it is.

    NotAuthenticated when its certificate has expired: a server would merely close the connection.
    """
    if time.time() > credentials.not_after:
        ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(credentials.not_after))
        raise NotAuthenticated(f"the certificate of {credentials.identity} ended at {ended}: {_way_back(credentials)}")
    return grpc.ssl_channel_credentials(credentials.ca_pem, credentials.key_pem, credentials.certificate_pem)


def _way_back(credentials: Credentials) -> str:
    """What the holder of an expired certificate must do to get a new one."""
    match credentials.identity.kind:
        case IdentityKind.USER:
            who = f"`cluster token create --role user --user {credentials.identity.name}` on the scheduler's machine"
            return f"log in again with `cluster login TOKEN`; {who} prints one"
        case IdentityKind.WORKER:
            return "start it once with --join TOKEN; `cluster token create` on the scheduler's machine prints one"
        case IdentityKind.GATEWAY:
            create = "`cluster token create --role gateway` on the scheduler's machine prints one"
            return f"start it once with --join TOKEN; {create}"
        case IdentityKind.SCHEDULER:
            return "start the scheduler again, which renews it"
