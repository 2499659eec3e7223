"""The doors for workers: the `Scheduler` service, and Join, which has a listener of its own."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial

from cluster.domain.base.errors import InvalidInput, Unreachable
from cluster.domain.base.ids import AttemptKey
from cluster.pki import issuer
from cluster.pki.authority import Authority
from cluster.rpc.convert import home_from_proto
from cluster.rpc.errors import Context
from cluster.rpc.gate import current_caller
from cluster.rpc.results import results_from_proto
from cluster.rpc.specs import offer_from_proto
from cluster.rpc.vouching import VouchedCalls
from cluster.scheduler.admission import Admission
from cluster.scheduler.driver import system_clock
from cluster.scheduler.operations.output import OutputOperations
from cluster.scheduler.operations.results import ResultOperations
from cluster.scheduler.operations.workers import WorkerOperations
from cluster.scheduler.output.files import NewOutput
from cluster.scheduler.output.relay import Relay, pushed
from cluster.scheduler.sessions import SessionLines
from cluster.scheduler.threads import to_its_end
from cluster.v1 import scheduler_pb2, scheduler_pb2_grpc


class WorkerDoor(scheduler_pb2_grpc.SchedulerServicer):
    """Who calls is who its certificate says: a worker's id never comes from a message."""

    def __init__(
        self,
        workers: WorkerOperations,
        output: OutputOperations,
        results: ResultOperations,
        sessions: SessionLines,
        relay: Relay,
        authority: Authority,
        vouched_calls: VouchedCalls,
    ) -> None:
        self._workers = workers
        self._output = output
        self._results = results
        self._sessions = sessions
        self._relay = relay
        self._authority = authority
        self._vouched_calls = vouched_calls

    async def Renew(self, request: scheduler_pb2.RenewRequest, context: Context) -> scheduler_pb2.RenewResponse:
        hosts = tuple(request.hosts)
        issued = issuer.renew(self._authority, current_caller(), request.csr, system_clock().wall, hosts)
        return scheduler_pb2.RenewResponse(certificate=issued.certificate_pem, ca_certificate=self._authority.ca_pem)

    async def Register(
        self, request: scheduler_pb2.RegisterRequest, context: Context
    ) -> scheduler_pb2.RegisterResponse:
        caller = current_caller()
        name = await self._workers.register(
            caller,
            request.name,
            request.capacity_millicpus,
            request.address,
            request.version,
            home_from_proto(request.home),
            request.home.uptime,
            offer_from_proto(request.offer),
            request.trouble,
        )
        return scheduler_pb2.RegisterResponse(worker_id=caller.identity.name, name=name)

    async def Deregister(
        self, request: scheduler_pb2.DeregisterRequest, context: Context
    ) -> scheduler_pb2.DeregisterResponse:
        await self._workers.deregister(current_caller(), request.reason)
        return scheduler_pb2.DeregisterResponse()

    async def Session(
        self, requests: AsyncIterator[scheduler_pb2.SessionRequest], context: Context
    ) -> AsyncIterator[scheduler_pb2.SessionResponse]:
        async with aclosing(self._sessions.serve(current_caller().identity.name, requests)) as responses:
            async for response in responses:
                yield response

    async def PushOutput(
        self, requests: AsyncIterator[scheduler_pb2.PushOutputRequest], context: Context
    ) -> scheduler_pb2.PushOutputResponse:
        first = await anext(aiter(requests), None)
        if first is None:
            raise InvalidInput("the first message says what output this is")
        everything = _with_first(first, requests)
        if first.transfer_id:
            await self._relay.find(first.transfer_id, current_caller().identity.name).fill(everything)
        else:
            with await self._output.new(current_caller(), AttemptKey(first.job, first.index, first.attempt)) as output:
                await take_in(output, everything)
        return scheduler_pb2.PushOutputResponse()

    async def WantedResults(
        self, request: scheduler_pb2.WantedResultsRequest, context: Context
    ) -> scheduler_pb2.WantedResultsResponse:
        key = AttemptKey(request.job, request.index, request.attempt)
        wanted = await self._results.wanted(current_caller(), key)
        if wanted is None:
            return scheduler_pb2.WantedResultsResponse()
        return scheduler_pb2.WantedResultsResponse(
            out=wanted.patterns, max_files=wanted.max_files, max_bytes=wanted.max_bytes
        )

    async def KeepResults(
        self, request: scheduler_pb2.KeepResultsRequest, context: Context
    ) -> scheduler_pb2.KeepResultsResponse:
        refused = await self._results.keep(current_caller(), list(map(results_from_proto, request.results)))
        return scheduler_pb2.KeepResultsResponse(refused=refused)

    async def Vouch(self, request: scheduler_pb2.VouchRequest, context: Context) -> None:
        key = AttemptKey(request.job, request.index, request.attempt)
        vouched = self._workers.vouched(current_caller(), key)
        await self._vouched_calls.answer(vouched, request.method, request.request, context)


async def join(
    admission: Admission, authority: Authority, address: str, request: scheduler_pb2.JoinRequest
) -> scheduler_pb2.JoinResponse:
    """The bearer of a token becomes a member. `address` is where our main listener is, as JoinResponse says it."""
    issued = await admission.join(
        authority, request.secret, request.csr, request.kind, request.previous, tuple(request.hosts)
    )
    return scheduler_pb2.JoinResponse(
        certificate=issued.certificate_pem,
        ca_certificate=authority.ca_pem,
        cluster_id=authority.cluster_id,
        identity=issued.identity.uri,
        scheduler_address=address,
    )


async def take_in(output: NewOutput, requests: AsyncIterator[scheduler_pb2.PushOutputRequest]) -> None:
    """Returns when all of it is on disk, so that the worker may forget it."""
    async for request in requests:
        if piece := pushed(request):
            await to_its_end(partial(output.write, *piece))
        if request.complete:
            await to_its_end(output.keep)
            return
    # A connection that breaks looks to gRPC's handlers like a stream that ends.
    raise Unreachable("the output broke off; push it again")


async def _with_first(
    first: scheduler_pb2.PushOutputRequest, rest: AsyncIterator[scheduler_pb2.PushOutputRequest]
) -> AsyncIterator[scheduler_pb2.PushOutputRequest]:
    """The first message says what the stream is, and may carry bytes or be the last at once."""
    yield first
    async for request in rest:
        yield request
