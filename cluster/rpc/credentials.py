"""From `Credentials` to what gRPC wants. There is no insecure mode."""

import time
from typing import Any

import grpc

from cluster.domain.credentials import Credentials
from cluster.domain.errors import NotAuthenticated


class ServingCredentials:
    """A server's credentials, which can be replaced while it runs.

    gRPC asks at every new connection; connections that are open keep the certificate that they began with.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._current = credentials
        self._served = credentials

    def replace(self, credentials: Credentials) -> None:
        """Serve with these from the next connection on. Any thread may call it."""
        self._current = credentials

    def mutual(self) -> grpc.ServerCredentials:
        """For a server that takes only clients with a certificate of the same CA."""
        return self._dynamic(require_client=True)

    def for_joining(self) -> grpc.ServerCredentials:
        """For the join listener, whose clients have no certificate yet. It shows the CA's, whose pin they know."""
        return self._dynamic(require_client=False)

    def _dynamic(self, *, require_client: bool) -> grpc.ServerCredentials:
        fetch: Any = self._fetch  # the stubs have forgotten that it may return None
        return grpc.dynamic_ssl_server_credentials(self._configuration(), fetch, require_client)

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC, in a thread of its own, before each handshake; None leaves all as it was."""
        if self._served is self._current:
            return None
        return self._configuration()

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        served = self._served = self._current
        chain = served.certificate_pem + served.ca_pem
        return grpc.ssl_server_certificate_configuration([(served.key_pem, chain)], served.ca_pem)


def client_credentials(credentials: Credentials) -> grpc.ChannelCredentials:
    """For a client that proves who it is. NotAuthenticated when its certificate has expired, which says more than
    the server's way of closing the connection would."""
    if time.time() > credentials.not_after:
        ended = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(credentials.not_after))
        raise NotAuthenticated(f"the certificate of {credentials.identity} expired at {ended}; join the cluster again")
    return grpc.ssl_channel_credentials(credentials.ca_pem, credentials.key_pem, credentials.certificate_pem)
