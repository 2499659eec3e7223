from cluster.v1 import job_pb2 as _job_pb2
from cluster.v1 import room_pb2 as _room_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JoinRequest(_message.Message):
    __slots__ = ("secret", "csr", "name", "kind", "previous", "hosts")
    SECRET_FIELD_NUMBER: _ClassVar[int]
    CSR_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    secret: str
    csr: bytes
    name: str
    kind: str
    previous: bytes
    hosts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, secret: _Optional[str] = ..., csr: _Optional[bytes] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., previous: _Optional[bytes] = ..., hosts: _Optional[_Iterable[str]] = ...) -> None: ...

class JoinResponse(_message.Message):
    __slots__ = ("certificate", "ca_certificate", "cluster_id", "identity", "scheduler_address", "schedulers")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CA_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULERS_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    ca_certificate: bytes
    cluster_id: str
    identity: str
    scheduler_address: str
    schedulers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, certificate: _Optional[bytes] = ..., ca_certificate: _Optional[bytes] = ..., cluster_id: _Optional[str] = ..., identity: _Optional[str] = ..., scheduler_address: _Optional[str] = ..., schedulers: _Optional[_Iterable[str]] = ...) -> None: ...

class RenewRequest(_message.Message):
    __slots__ = ("csr", "hosts")
    CSR_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    csr: bytes
    hosts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, csr: _Optional[bytes] = ..., hosts: _Optional[_Iterable[str]] = ...) -> None: ...

class RenewResponse(_message.Message):
    __slots__ = ("certificate", "ca_certificate")
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    CA_CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    certificate: bytes
    ca_certificate: bytes
    def __init__(self, certificate: _Optional[bytes] = ..., ca_certificate: _Optional[bytes] = ...) -> None: ...

class RegisterRequest(_message.Message):
    __slots__ = ("name", "capacity_millicpus", "address", "version", "home", "offer", "trouble")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    capacity_millicpus: int
    address: str
    version: str
    home: Home
    offer: _job_pb2.Offer
    trouble: str
    def __init__(self, name: _Optional[str] = ..., capacity_millicpus: _Optional[int] = ..., address: _Optional[str] = ..., version: _Optional[str] = ..., home: _Optional[_Union[Home, _Mapping]] = ..., offer: _Optional[_Union[_job_pb2.Offer, _Mapping]] = ..., trouble: _Optional[str] = ...) -> None: ...

class Home(_message.Message):
    __slots__ = ("machine", "boot", "directory", "uptime")
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    BOOT_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    UPTIME_FIELD_NUMBER: _ClassVar[int]
    machine: str
    boot: str
    directory: str
    uptime: float
    def __init__(self, machine: _Optional[str] = ..., boot: _Optional[str] = ..., directory: _Optional[str] = ..., uptime: _Optional[float] = ...) -> None: ...

class RegisterResponse(_message.Message):
    __slots__ = ("worker_id", "name")
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    worker_id: str
    name: str
    def __init__(self, worker_id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class DeregisterRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class DeregisterResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Attempts(_message.Message):
    __slots__ = ("job", "attempt", "indexes")
    JOB_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    job: int
    attempt: int
    indexes: _containers.RepeatedCompositeFieldContainer[_job_pb2.IndexRange]
    def __init__(self, job: _Optional[int] = ..., attempt: _Optional[int] = ..., indexes: _Optional[_Iterable[_Union[_job_pb2.IndexRange, _Mapping]]] = ...) -> None: ...

class SessionRequest(_message.Message):
    __slots__ = ("hello", "report", "heartbeat", "no_room", "fetching", "room")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    NO_ROOM_FIELD_NUMBER: _ClassVar[int]
    FETCHING_FIELD_NUMBER: _ClassVar[int]
    ROOM_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    report: Report
    heartbeat: int
    no_room: str
    fetching: _containers.RepeatedCompositeFieldContainer[Fetching]
    room: _room_pb2.WorkerRoom
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., report: _Optional[_Union[Report, _Mapping]] = ..., heartbeat: _Optional[int] = ..., no_room: _Optional[str] = ..., fetching: _Optional[_Iterable[_Union[Fetching, _Mapping]]] = ..., room: _Optional[_Union[_room_pb2.WorkerRoom, _Mapping]] = ...) -> None: ...

class Fetching(_message.Message):
    __slots__ = ("job", "done", "total")
    JOB_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    job: int
    done: int
    total: int
    def __init__(self, job: _Optional[int] = ..., done: _Optional[int] = ..., total: _Optional[int] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("incarnation", "capacity_millicpus", "epoch", "backlog", "running", "ended", "home", "no_room", "frozen", "leaves_in", "offer")
    INCARNATION_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    BACKLOG_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    HOME_FIELD_NUMBER: _ClassVar[int]
    NO_ROOM_FIELD_NUMBER: _ClassVar[int]
    FROZEN_FIELD_NUMBER: _ClassVar[int]
    LEAVES_IN_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    incarnation: str
    capacity_millicpus: int
    epoch: int
    backlog: _containers.RepeatedCompositeFieldContainer[Attempts]
    running: _containers.RepeatedCompositeFieldContainer[Attempts]
    ended: _containers.RepeatedCompositeFieldContainer[Attempts]
    home: Home
    no_room: str
    frozen: _containers.RepeatedCompositeFieldContainer[Attempts]
    leaves_in: float
    offer: _job_pb2.Offer
    def __init__(self, incarnation: _Optional[str] = ..., capacity_millicpus: _Optional[int] = ..., epoch: _Optional[int] = ..., backlog: _Optional[_Iterable[_Union[Attempts, _Mapping]]] = ..., running: _Optional[_Iterable[_Union[Attempts, _Mapping]]] = ..., ended: _Optional[_Iterable[_Union[Attempts, _Mapping]]] = ..., home: _Optional[_Union[Home, _Mapping]] = ..., no_room: _Optional[str] = ..., frozen: _Optional[_Iterable[_Union[Attempts, _Mapping]]] = ..., leaves_in: _Optional[float] = ..., offer: _Optional[_Union[_job_pb2.Offer, _Mapping]] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("sequence", "started", "ok", "ended", "returned", "outputs", "draining")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    OK_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    started: _containers.RepeatedCompositeFieldContainer[Attempts]
    ok: _containers.RepeatedCompositeFieldContainer[OkEnds]
    ended: _containers.RepeatedCompositeFieldContainer[End]
    returned: _containers.RepeatedCompositeFieldContainer[Attempts]
    outputs: _containers.RepeatedCompositeFieldContainer[SmallOutput]
    draining: bool
    def __init__(self, sequence: _Optional[int] = ..., started: _Optional[_Iterable[_Union[Attempts, _Mapping]]] = ..., ok: _Optional[_Iterable[_Union[OkEnds, _Mapping]]] = ..., ended: _Optional[_Iterable[_Union[End, _Mapping]]] = ..., returned: _Optional[_Iterable[_Union[Attempts, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[SmallOutput, _Mapping]]] = ..., draining: _Optional[bool] = ...) -> None: ...

class OkEnds(_message.Message):
    __slots__ = ("job", "attempt", "first", "count", "packed")
    JOB_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PACKED_FIELD_NUMBER: _ClassVar[int]
    job: int
    attempt: int
    first: int
    count: int
    packed: bytes
    def __init__(self, job: _Optional[int] = ..., attempt: _Optional[int] = ..., first: _Optional[int] = ..., count: _Optional[int] = ..., packed: _Optional[bytes] = ...) -> None: ...

class End(_message.Message):
    __slots__ = ("job", "index", "attempt", "reason", "exit_code", "signal", "detail", "started_at", "ended_at", "cpu_seconds", "peak_memory_bytes", "output_bytes")
    JOB_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    job: int
    index: int
    attempt: int
    reason: str
    exit_code: int
    signal: str
    detail: str
    started_at: float
    ended_at: float
    cpu_seconds: float
    peak_memory_bytes: int
    output_bytes: int
    def __init__(self, job: _Optional[int] = ..., index: _Optional[int] = ..., attempt: _Optional[int] = ..., reason: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[str] = ..., detail: _Optional[str] = ..., started_at: _Optional[float] = ..., ended_at: _Optional[float] = ..., cpu_seconds: _Optional[float] = ..., peak_memory_bytes: _Optional[int] = ..., output_bytes: _Optional[int] = ...) -> None: ...

class SmallOutput(_message.Message):
    __slots__ = ("job", "index", "attempt", "stdout", "stderr")
    JOB_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    job: int
    index: int
    attempt: int
    stdout: bytes
    stderr: bytes
    def __init__(self, job: _Optional[int] = ..., index: _Optional[int] = ..., attempt: _Optional[int] = ..., stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ...) -> None: ...

class SessionResponse(_message.Message):
    __slots__ = ("welcome", "assign", "stop", "recall", "report_acknowledged", "heartbeat", "open_output", "disown", "expelled", "freeze", "ask_results", "schedulers")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    ASSIGN_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    REPORT_ACKNOWLEDGED_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    OPEN_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    DISOWN_FIELD_NUMBER: _ClassVar[int]
    EXPELLED_FIELD_NUMBER: _ClassVar[int]
    FREEZE_FIELD_NUMBER: _ClassVar[int]
    ASK_RESULTS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULERS_FIELD_NUMBER: _ClassVar[int]
    welcome: Welcome
    assign: _containers.RepeatedCompositeFieldContainer[Assign]
    stop: _containers.RepeatedCompositeFieldContainer[Stop]
    recall: _containers.RepeatedCompositeFieldContainer[Attempts]
    report_acknowledged: int
    heartbeat: int
    open_output: _containers.RepeatedCompositeFieldContainer[OpenOutput]
    disown: _containers.RepeatedCompositeFieldContainer[Attempts]
    expelled: ExpelledUsers
    freeze: _containers.RepeatedCompositeFieldContainer[Freeze]
    ask_results: _containers.RepeatedCompositeFieldContainer[Attempts]
    schedulers: SchedulerAddresses
    def __init__(self, welcome: _Optional[_Union[Welcome, _Mapping]] = ..., assign: _Optional[_Iterable[_Union[Assign, _Mapping]]] = ..., stop: _Optional[_Iterable[_Union[Stop, _Mapping]]] = ..., recall: _Optional[_Iterable[_Union[Attempts, _Mapping]]] = ..., report_acknowledged: _Optional[int] = ..., heartbeat: _Optional[int] = ..., open_output: _Optional[_Iterable[_Union[OpenOutput, _Mapping]]] = ..., disown: _Optional[_Iterable[_Union[Attempts, _Mapping]]] = ..., expelled: _Optional[_Union[ExpelledUsers, _Mapping]] = ..., freeze: _Optional[_Iterable[_Union[Freeze, _Mapping]]] = ..., ask_results: _Optional[_Iterable[_Union[Attempts, _Mapping]]] = ..., schedulers: _Optional[_Union[SchedulerAddresses, _Mapping]] = ...) -> None: ...

class SchedulerAddresses(_message.Message):
    __slots__ = ("addresses",)
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, addresses: _Optional[_Iterable[str]] = ...) -> None: ...

class ExpelledUsers(_message.Message):
    __slots__ = ("users",)
    USERS_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[ExpelledUser]
    def __init__(self, users: _Optional[_Iterable[_Union[ExpelledUser, _Mapping]]] = ...) -> None: ...

class ExpelledUser(_message.Message):
    __slots__ = ("name", "enrolment")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ENROLMENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    enrolment: int
    def __init__(self, name: _Optional[str] = ..., enrolment: _Optional[int] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ("epoch", "lease")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    LEASE_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    lease: float
    def __init__(self, epoch: _Optional[int] = ..., lease: _Optional[float] = ...) -> None: ...

class Assign(_message.Message):
    __slots__ = ("job", "attempt", "indexes", "spec", "leash", "lines", "job_id", "owner")
    JOB_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INDEXES_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    LEASH_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    job: int
    attempt: int
    indexes: _containers.RepeatedCompositeFieldContainer[_job_pb2.IndexRange]
    spec: _job_pb2.JobSpec
    leash: float
    lines: _containers.RepeatedScalarFieldContainer[bytes]
    job_id: str
    owner: str
    def __init__(self, job: _Optional[int] = ..., attempt: _Optional[int] = ..., indexes: _Optional[_Iterable[_Union[_job_pb2.IndexRange, _Mapping]]] = ..., spec: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ..., leash: _Optional[float] = ..., lines: _Optional[_Iterable[bytes]] = ..., job_id: _Optional[str] = ..., owner: _Optional[str] = ...) -> None: ...

class Stop(_message.Message):
    __slots__ = ("attempts", "grace")
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    attempts: Attempts
    grace: float
    def __init__(self, attempts: _Optional[_Union[Attempts, _Mapping]] = ..., grace: _Optional[float] = ...) -> None: ...

class Freeze(_message.Message):
    __slots__ = ("attempts", "thaw")
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    THAW_FIELD_NUMBER: _ClassVar[int]
    attempts: Attempts
    thaw: bool
    def __init__(self, attempts: _Optional[_Union[Attempts, _Mapping]] = ..., thaw: _Optional[bool] = ...) -> None: ...

class OpenOutput(_message.Message):
    __slots__ = ("transfer_id", "job", "index", "attempt", "stdout", "stderr", "follow", "tail_lines")
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    job: int
    index: int
    attempt: int
    stdout: bool
    stderr: bool
    follow: bool
    tail_lines: int
    def __init__(self, transfer_id: _Optional[str] = ..., job: _Optional[int] = ..., index: _Optional[int] = ..., attempt: _Optional[int] = ..., stdout: _Optional[bool] = ..., stderr: _Optional[bool] = ..., follow: _Optional[bool] = ..., tail_lines: _Optional[int] = ...) -> None: ...

class PushOutputRequest(_message.Message):
    __slots__ = ("transfer_id", "job", "index", "attempt", "stderr", "data", "error", "complete", "left_out")
    TRANSFER_ID_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    transfer_id: str
    job: int
    index: int
    attempt: int
    stderr: bool
    data: bytes
    error: str
    complete: bool
    left_out: int
    def __init__(self, transfer_id: _Optional[str] = ..., job: _Optional[int] = ..., index: _Optional[int] = ..., attempt: _Optional[int] = ..., stderr: _Optional[bool] = ..., data: _Optional[bytes] = ..., error: _Optional[str] = ..., complete: _Optional[bool] = ..., left_out: _Optional[int] = ...) -> None: ...

class PushOutputResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class VouchRequest(_message.Message):
    __slots__ = ("job", "index", "attempt", "method", "request")
    JOB_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    job: int
    index: int
    attempt: int
    method: str
    request: bytes
    def __init__(self, job: _Optional[int] = ..., index: _Optional[int] = ..., attempt: _Optional[int] = ..., method: _Optional[str] = ..., request: _Optional[bytes] = ...) -> None: ...

class VouchResponse(_message.Message):
    __slots__ = ("response",)
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    response: bytes
    def __init__(self, response: _Optional[bytes] = ...) -> None: ...

class WantedResultsRequest(_message.Message):
    __slots__ = ("job", "index", "attempt")
    JOB_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    job: int
    index: int
    attempt: int
    def __init__(self, job: _Optional[int] = ..., index: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class WantedResultsResponse(_message.Message):
    __slots__ = ("out", "max_files", "max_bytes")
    OUT_FIELD_NUMBER: _ClassVar[int]
    MAX_FILES_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    out: _containers.RepeatedScalarFieldContainer[str]
    max_files: int
    max_bytes: int
    def __init__(self, out: _Optional[_Iterable[str]] = ..., max_files: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class KeepResultsRequest(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[_job_pb2.AttemptResults]
    def __init__(self, results: _Optional[_Iterable[_Union[_job_pb2.AttemptResults, _Mapping]]] = ...) -> None: ...

class KeepResultsResponse(_message.Message):
    __slots__ = ("refused",)
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    refused: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, refused: _Optional[_Iterable[int]] = ...) -> None: ...
