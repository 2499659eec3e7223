"""The standard gRPC health service (grpc.health.v1): of the server as a whole, "", and of each service by its name."""

from collections.abc import Iterable

import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio


class Health:
    """The health of a server and its services; unknown until `tell` is called."""

    def __init__(self, services: Iterable[ServiceDescriptor]) -> None:
        self._names = ["", *(service.full_name for service in services)]
        self._servicer = aio.HealthServicer()

    def add_to(self, server: grpc.aio.Server) -> None:
        """Adds the health service to a server of `cluster.rpc.server.mutual_tls_server`."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def tell(self, *, serving: bool) -> None:
        """Sets the status of all services alike: they share one driver, and fail together."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in self._names:
            await self._servicer.set(name, status)

    async def shut_down(self) -> None:
        """Sets NOT_SERVING for good."""
        await self._servicer.enter_graceful_shutdown()
