"""The door about pools of workers: the `Pools` service."""

from cluster.domain.job.request import Beside, Request
from cluster.domain.pools.told import PoolWorker
from cluster.rpc.errors import Context
from cluster.rpc.pools import pool_from_proto, status_to_proto, wish_from_proto, wish_to_proto
from cluster.scheduler.operations.pools import PoolOperations
from cluster.v1 import pools_pb2, pools_pb2_grpc


class PoolsDoor(pools_pb2_grpc.PoolsServicer):
    def __init__(self, pools: PoolOperations) -> None:
        self._pools = pools

    async def Exchange(self, request: pools_pb2.ExchangeRequest, context: Context) -> pools_pb2.ExchangeResponse:
        news = await self._pools.exchange(list(map(pool_from_proto, request.pools)))
        return pools_pb2.ExchangeResponse(
            demand=[_demand(*each) for each in news.demand],
            workers=map(_member, news.workers),
            wishes=map(wish_to_proto, news.wishes),
            schedulers=news.schedulers,
        )

    async def ListPools(self, request: pools_pb2.ListPoolsRequest, context: Context) -> pools_pb2.ListPoolsResponse:
        return pools_pb2.ListPoolsResponse(pools=map(status_to_proto, await self._pools.list()))

    async def SetPool(self, request: pools_pb2.SetPoolRequest, context: Context) -> pools_pb2.SetPoolResponse:
        return pools_pb2.SetPoolResponse(pool=status_to_proto(await self._pools.set(wish_from_proto(request.wish))))


def _demand(request: Request, ready: int) -> pools_pb2.Demand:
    beside = request.beside or Beside()
    return pools_pb2.Demand(
        millicpus=request.millicpus,
        amounts=dict(beside.amounts),
        need=beside.need,
        exclusive=beside.exclusive,
        worker=request.worker,
        ready=ready,
    )


def _member(worker: PoolWorker) -> pools_pb2.PoolMember:
    return pools_pb2.PoolMember(
        pool=worker.pool,
        machine=worker.machine,
        worker=worker.id,
        online=worker.is_online,
        held=worker.held,
        drained=worker.is_drained,
    )
