"""The doors of a scheduler, each the handlers of one gRPC service."""

from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import ServiceDescriptor

from cluster.pki.authority import Authority
from cluster.rpc.passed_calls import PassedCalls
from cluster.rpc.server import AddServices
from cluster.rpc.vouching import VouchedCalls
from cluster.scheduler.doors.admin import QueueDoor, TokensDoor, UsersDoor, WorkersDoor
from cluster.scheduler.doors.events import EventsDoor
from cluster.scheduler.doors.files import FilesDoor
from cluster.scheduler.doors.gateways import GatewaysDoor
from cluster.scheduler.doors.jobs import JobsDoor
from cluster.scheduler.doors.metrics import MetricsDoor
from cluster.scheduler.doors.pools import PoolsDoor
from cluster.scheduler.doors.room import RoomDoor
from cluster.scheduler.doors.workers import WorkerDoor
from cluster.scheduler.operations.all import Operations
from cluster.scheduler.output.relay import Relay
from cluster.scheduler.sessions import SessionLines
from cluster.v1 import (
    admin_pb2,
    admin_pb2_grpc,
    events_pb2,
    events_pb2_grpc,
    files_pb2,
    files_pb2_grpc,
    gateways_pb2,
    gateways_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    metrics_pb2,
    metrics_pb2_grpc,
    pools_pb2,
    pools_pb2_grpc,
    room_pb2,
    room_pb2_grpc,
    scheduler_pb2,
    scheduler_pb2_grpc,
)

SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for file in (
        jobs_pb2,
        scheduler_pb2,
        admin_pb2,
        events_pb2,
        files_pb2,
        gateways_pb2,
        metrics_pb2,
        pools_pb2,
        room_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
)


def doors(
    operations: Operations,
    sessions: SessionLines,
    relay: Relay,
    authority: Authority,
    vouched_calls: VouchedCalls,
    passed_calls: PassedCalls,
) -> list[AddServices]:
    jobs, output, workers, tokens, users, order, queue, families, events, again, metrics = operations[:11]
    contents, history, results, keeping, pools = operations[11:]
    return [
        _added(
            jobs_pb2_grpc.add_JobsServicer_to_server,
            JobsDoor(jobs, output, workers, order, families, again, history, results, keeping),
        ),
        _added(
            scheduler_pb2_grpc.add_SchedulerServicer_to_server,
            WorkerDoor(workers, output, results, sessions, relay, authority, vouched_calls),
        ),
        _added(admin_pb2_grpc.add_TokensServicer_to_server, TokensDoor(tokens)),
        _added(admin_pb2_grpc.add_UsersServicer_to_server, UsersDoor(users)),
        _added(admin_pb2_grpc.add_WorkersServicer_to_server, WorkersDoor(workers)),
        _added(admin_pb2_grpc.add_QueueServicer_to_server, QueueDoor(queue)),
        _added(events_pb2_grpc.add_EventsServicer_to_server, EventsDoor(events)),
        _added(files_pb2_grpc.add_FilesServicer_to_server, FilesDoor(contents)),
        _added(metrics_pb2_grpc.add_MetricsServicer_to_server, MetricsDoor(metrics)),
        _added(room_pb2_grpc.add_RoomServicer_to_server, RoomDoor(keeping)),
        _added(pools_pb2_grpc.add_PoolsServicer_to_server, PoolsDoor(pools)),
        _added(gateways_pb2_grpc.add_GatewaysServicer_to_server, GatewaysDoor(passed_calls)),
    ]


def _added(add: Callable[[Any, Any], None], door: object) -> AddServices:
    return lambda server: add(door, server)
