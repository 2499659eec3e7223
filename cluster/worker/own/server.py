"""The server of the worker's own API, on a port of its own."""

import time
from collections.abc import Callable

from cluster.domain.base.errors import Conflict
from cluster.domain.trust.credentials import Credentials
from cluster.domain.trust.identity import Peer
from cluster.domain.trust.tokens import split_address
from cluster.pki.peer_certificates import parse_peer
from cluster.rpc.credentials import ServingCredentials
from cluster.rpc.gate import Gate
from cluster.rpc.health import Health
from cluster.rpc.on_behalf import Proof, nobody
from cluster.rpc.server import listen, mutual_tls_server
from cluster.v1 import worker_pb2, worker_pb2_grpc
from cluster.worker.expelled_users import ExpelledUsers
from cluster.worker.own.door import OwnDoor, standing_alone, standing_of

MORE_PORTS = 100  # tried after the usual one


class OwnServer:
    """Serves from `start` to `stop`. `port` is the one it listens on."""

    def __init__(
        self,
        credentials: Credentials,
        door: OwnDoor,
        expelled: ExpelledUsers,
        renew: Callable[[], Credentials] | None,
        who_shows: Callable[[Proof], Peer] | None = None,
    ) -> None:
        """`renew` as for ServingCredentials. `who_shows`: who has shown to a gateway what it brings; None: no gateway
        is let in."""
        cluster_id = credentials.identity.cluster_id
        self.serving = ServingCredentials(credentials, renew)
        self.port = 0
        self._health = Health([worker_pb2.DESCRIPTOR.services_by_name["Worker"]])
        standing = standing_alone if who_shows else standing_of
        who = who_shows or nobody
        self._gate = Gate(lambda pem: parse_peer(pem, cluster_id), standing, expelled.__contains__, time.time, who)
        expelled.changed = self._gate.recheck
        self._server = mutual_tls_server(
            self._gate,
            [
                lambda server: worker_pb2_grpc.add_WorkerServicer_to_server(door, server),
                self._health.add_to,
            ],
        )

    async def start(self, address: str, or_next_port: bool) -> None:
        """Listen on `host:port`. Conflict when that is taken; with `or_next_port`, when the hundred after it are."""
        self.port = self._bind(address, MORE_PORTS if or_next_port else 0)
        await self._server.start()
        await self._health.tell(serving=True)

    async def stop(self) -> None:
        """Ends the calls under way: who follows output asks again when the worker is back."""
        await self._health.shut_down()
        await self._server.stop(grace=None)
        self._gate.close()

    def _bind(self, address: str, more_ports: int) -> int:
        if address.endswith(":0"):
            return listen(self._server, address, self.serving.mutual())
        _, first = split_address(address)
        host = address.rpartition(":")[0]
        for port in range(first, min(first + more_ports, 65535) + 1):
            try:
                return listen(self._server, f"{host}:{port}", self.serving.mutual())
            except Conflict as error:
                refusal = error
        raise refusal if more_ports else Conflict(f"{refusal}, or leave --listen out")
