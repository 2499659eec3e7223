"""From `Credentials` to what gRPC wants. There is no insecure mode."""

import time
from typing import Any

import grpc

import cluster
from cluster.domain.credentials import Credentials
from cluster.domain.errors import ClusterError, NotAuthenticated


class ServingCredentials:
    """A server's credentials, which can be replaced while it runs.

    gRPC asks at every new connection; connections that are open keep the certificate that they began with.
    """

    def __init__(self, credentials: Credentials) -> None:
        if not cluster.TLS_1_3_ONLY:
            raise ClusterError("gRPC was imported before cluster, so it would take TLS 1.2: import cluster first")
        self._current = credentials

    def replace(self, credentials: Credentials) -> None:
        """Serve with these from the next connection on. Any thread may call it."""
        self._current = credentials

    def mutual(self) -> grpc.ServerCredentials:
        """For a server that takes only clients with a certificate of the same CA."""
        return self._dynamic(show_ca=False, require_client=True)

    def for_joining(self) -> grpc.ServerCredentials:
        """For the join listener, whose clients have no certificate yet. It shows the CA's, whose pin they know."""
        return self._dynamic(show_ca=True, require_client=False)

    def _dynamic(self, *, show_ca: bool, require_client: bool) -> grpc.ServerCredentials:
        served = self._current

        def fetch() -> Any:  # the stubs have forgotten that it may return None: leave all as it was
            nonlocal served
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
        raise NotAuthenticated(f"the certificate of {credentials.identity} expired at {ended}; join the cluster again")
    return grpc.ssl_channel_credentials(credentials.ca_pem, credentials.key_pem, credentials.certificate_pem)
