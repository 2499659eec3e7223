"""The door of gateways: the `Gateways` service."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from cluster.rpc.errors import Context
from cluster.rpc.gate import current_peer
from cluster.rpc.passed_calls import PassedCalls
from cluster.v1 import gateways_pb2, gateways_pb2_grpc


class GatewaysDoor(gateways_pb2_grpc.GatewaysServicer):
    def __init__(self, calls: PassedCalls) -> None:
        self._calls = calls

    async def PassOn(
        self, requests: AsyncIterator[gateways_pb2.PassOnRequest], context: Context
    ) -> AsyncIterator[gateways_pb2.PassOnResponse]:
        async with aclosing(self._calls.answers(current_peer(), requests)) as several:
            async for answers in several:
                yield answers
