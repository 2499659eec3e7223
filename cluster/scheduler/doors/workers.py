"""The door for workers: the `Scheduler` service, but for Join, which has a listener of its own."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial

from cluster.domain.base.errors import InvalidInput, NotFound, Unreachable
from cluster.domain.base.ids import AttemptKey
from cluster.domain.scheduler.core import SchedulerCore
from cluster.domain.scheduler.events import WorkerDeregistered, WorkerRegistered
from cluster.domain.trust.identity import check_name, is_uuid
from cluster.pki import issuer
from cluster.pki.authority import Authority
from cluster.rpc.convert import home_from_proto
from cluster.rpc.errors import Context
from cluster.rpc.gate import current_caller
from cluster.scheduler.driver import Driver
from cluster.scheduler.message_checks import check_home, check_millicpus, check_text
from cluster.scheduler.output.files import NewOutput, OutputFiles
from cluster.scheduler.output.relay import Relay, pushed
from cluster.scheduler.sessions import Sessions
from cluster.v1 import scheduler_pb2, scheduler_pb2_grpc


class WorkerDoor(scheduler_pb2_grpc.SchedulerServicer):
    """Who calls is who its certificate says: a worker's id never comes from a message."""

    def __init__(
        self, driver: Driver, sessions: Sessions, relay: Relay, files: OutputFiles, authority: Authority
    ) -> None:
        self._driver = driver
        self._sessions = sessions
        self._relay = relay
        self._files = files
        self._authority = authority

    async def Renew(self, request: scheduler_pb2.RenewRequest, context: Context) -> scheduler_pb2.RenewResponse:
        issued = issuer.renew(self._authority, current_caller(), request.csr, self._driver.clock().wall)
        return scheduler_pb2.RenewResponse(certificate=issued.certificate_pem, ca_certificate=self._authority.ca_pem)

    async def Register(
        self, request: scheduler_pb2.RegisterRequest, context: Context
    ) -> scheduler_pb2.RegisterResponse:
        check_millicpus(request.capacity_millicpus)
        _check_worker_name(request.name)
        check_text("the address", request.address)
        check_text("the version", request.version)
        home = home_from_proto(request.home)
        check_home(home, request.home.uptime)
        worker_id = current_caller().identity.name
        name = await self._driver.ask(
            lambda ask: WorkerRegistered(
                ask,
                worker_id,
                request.name,
                request.capacity_millicpus,
                request.address,
                request.version,
                home,
                request.home.uptime,
            )
        )
        return scheduler_pb2.RegisterResponse(worker_id=worker_id, name=name)

    async def Deregister(
        self, request: scheduler_pb2.DeregisterRequest, context: Context
    ) -> scheduler_pb2.DeregisterResponse:
        check_text("the reason", request.reason)
        worker_id = current_caller().identity.name
        await self._driver.ask(lambda ask: WorkerDeregistered(ask, worker_id, request.reason))
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
        worker_id = current_caller().identity.name
        first = await anext(aiter(requests), None)
        if first is None:
            raise InvalidInput("the first message says what output this is")
        everything = _with_first(first, requests)
        if first.transfer_id:
            await self._relay.find(first.transfer_id, worker_id).fill(everything)
        else:
            key = AttemptKey(first.job, first.index, first.attempt)
            await self._check_is_its_own(key, worker_id)
            cap = await self._driver.read(lambda core: core.jobs[key.job].record.spec.max_output)
            with self._files.new(key, cap) as output:
                await take_in(output, everything)
        return scheduler_pb2.PushOutputResponse()

    async def _check_is_its_own(self, key: AttemptKey, worker_id: str) -> None:
        """NotFound unless that attempt is, or was, this worker's."""

        def holds(core: SchedulerCore) -> bool:
            job = core.jobs.get(key.job)
            held = job.held.get((worker_id, key.attempt)) if job else None
            return held is not None and key.index in held

        if await self._driver.read(holds):
            return
        ends = await self._driver.fetch(lambda store: store.ends_of_task(key.job, key.index))
        if not any((end.attempt, end.worker_id) == (key.attempt, worker_id) for end in ends):
            raise NotFound(f"job {key.job}: {key.in_words} is not known as yours")


async def take_in(output: NewOutput, requests: AsyncIterator[scheduler_pb2.PushOutputRequest]) -> None:
    """Returns when all of it is on disk, so that the worker may forget it."""
    async for request in requests:
        if piece := pushed(request):
            await _to_its_end(partial(output.write, *piece))
        if request.complete:
            await _to_its_end(output.keep)
            return
    # A connection that breaks looks to gRPC's handlers like a stream that ends.
    raise Unreachable("the output broke off; push it again")


async def _to_its_end(work: Callable[[], None]) -> None:
    """In a thread. Returns not before it is done, even if the call is cut: what it makes is to be removed then."""
    working = asyncio.create_task(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        await asyncio.wait([working])
        raise


async def _with_first(
    first: scheduler_pb2.PushOutputRequest, rest: AsyncIterator[scheduler_pb2.PushOutputRequest]
) -> AsyncIterator[scheduler_pb2.PushOutputRequest]:
    """The first message says what the stream is, and may carry bytes or be the last at once."""
    yield first
    async for request in rest:
        yield request


def _check_worker_name(name: str) -> None:
    """A worker says itself what it is called. It may not get the jobs that somebody meant for another one's id."""
    if is_uuid(check_name(name)):
        raise InvalidInput(f"the name {name!r} would be taken for the id of a worker: choose another")
