from cluster.v1 import files_pb2 as _files_pb2
from cluster.v1 import job_pb2 as _job_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class UsageKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    USAGE_KIND_UNSPECIFIED: _ClassVar[UsageKind]
    USAGE_KIND_USER: _ClassVar[UsageKind]
    USAGE_KIND_NAME: _ClassVar[UsageKind]
    USAGE_KIND_WORKER: _ClassVar[UsageKind]

class WorkerState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WORKER_STATE_UNSPECIFIED: _ClassVar[WorkerState]
    WORKER_STATE_ONLINE: _ClassVar[WorkerState]
    WORKER_STATE_UNREACHABLE: _ClassVar[WorkerState]
    WORKER_STATE_OFFLINE: _ClassVar[WorkerState]
    WORKER_STATE_DRAINING: _ClassVar[WorkerState]
    WORKER_STATE_REMOVED: _ClassVar[WorkerState]
    WORKER_STATE_FULL: _ClassVar[WorkerState]
    WORKER_STATE_DRAINED: _ClassVar[WorkerState]

class ResultsState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESULTS_STATE_UNSPECIFIED: _ClassVar[ResultsState]
    RESULTS_STATE_KEPT: _ClassVar[ResultsState]
    RESULTS_STATE_COMING: _ClassVar[ResultsState]
    RESULTS_STATE_AWAY: _ClassVar[ResultsState]
    RESULTS_STATE_NONE: _ClassVar[ResultsState]
    RESULTS_STATE_GONE: _ClassVar[ResultsState]
USAGE_KIND_UNSPECIFIED: UsageKind
USAGE_KIND_USER: UsageKind
USAGE_KIND_NAME: UsageKind
USAGE_KIND_WORKER: UsageKind
WORKER_STATE_UNSPECIFIED: WorkerState
WORKER_STATE_ONLINE: WorkerState
WORKER_STATE_UNREACHABLE: WorkerState
WORKER_STATE_OFFLINE: WorkerState
WORKER_STATE_DRAINING: WorkerState
WORKER_STATE_REMOVED: WorkerState
WORKER_STATE_FULL: WorkerState
WORKER_STATE_DRAINED: WorkerState
RESULTS_STATE_UNSPECIFIED: ResultsState
RESULTS_STATE_KEPT: ResultsState
RESULTS_STATE_COMING: ResultsState
RESULTS_STATE_AWAY: ResultsState
RESULTS_STATE_NONE: ResultsState
RESULTS_STATE_GONE: ResultsState

class Selector(_message.Message):
    __slots__ = ("text", "key")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    text: str
    key: str
    def __init__(self, text: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class SubmitRequest(_message.Message):
    __slots__ = ("id", "spec")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    id: str
    spec: _job_pb2.JobSpec
    def __init__(self, id: _Optional[str] = ..., spec: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class SubmitAndWaitRequest(_message.Message):
    __slots__ = ("id", "spec", "patience")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    id: str
    spec: _job_pb2.JobSpec
    patience: float
    def __init__(self, id: _Optional[str] = ..., spec: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ..., patience: _Optional[float] = ...) -> None: ...

class SubmitAndWaitResponse(_message.Message):
    __slots__ = ("job", "with_output", "output")
    JOB_FIELD_NUMBER: _ClassVar[int]
    WITH_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    with_output: bool
    output: _containers.RepeatedCompositeFieldContainer[ReadOutputResponse]
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ..., with_output: _Optional[bool] = ..., output: _Optional[_Iterable[_Union[ReadOutputResponse, _Mapping]]] = ...) -> None: ...

class SubmitManyRequest(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[SubmitRequest]
    def __init__(self, jobs: _Optional[_Iterable[_Union[SubmitRequest, _Mapping]]] = ...) -> None: ...

class SubmitManyResponse(_message.Message):
    __slots__ = ("numbers",)
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    numbers: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, numbers: _Optional[_Iterable[int]] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("selectors", "states", "limit", "below")
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    BELOW_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    states: _containers.RepeatedScalarFieldContainer[_job_pb2.TaskState]
    limit: int
    below: int
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., states: _Optional[_Iterable[_Union[_job_pb2.TaskState, str]]] = ..., limit: _Optional[int] = ..., below: _Optional[int] = ...) -> None: ...

class ListResponse(_message.Message):
    __slots__ = ("jobs", "next")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    next: int
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., next: _Optional[int] = ...) -> None: ...

class HistoryRequest(_message.Message):
    __slots__ = ("states", "since", "until", "user", "name", "limit", "after")
    STATES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    states: _containers.RepeatedScalarFieldContainer[_job_pb2.TaskState]
    since: float
    until: float
    user: str
    name: str
    limit: int
    after: str
    def __init__(self, states: _Optional[_Iterable[_Union[_job_pb2.TaskState, str]]] = ..., since: _Optional[float] = ..., until: _Optional[float] = ..., user: _Optional[str] = ..., name: _Optional[str] = ..., limit: _Optional[int] = ..., after: _Optional[str] = ...) -> None: ...

class HistoryResponse(_message.Message):
    __slots__ = ("jobs", "next")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    next: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class StatsRequest(_message.Message):
    __slots__ = ("selector",)
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ...) -> None: ...

class Spread(_message.Message):
    __slots__ = ("median", "p95", "most", "of")
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    P95_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    OF_FIELD_NUMBER: _ClassVar[int]
    median: float
    p95: float
    most: float
    of: int
    def __init__(self, median: _Optional[float] = ..., p95: _Optional[float] = ..., most: _Optional[float] = ..., of: _Optional[int] = ...) -> None: ...

class FailureCount(_message.Message):
    __slots__ = ("reason", "attempts")
    REASON_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    attempts: int
    def __init__(self, reason: _Optional[str] = ..., attempts: _Optional[int] = ...) -> None: ...

class StatsResponse(_message.Message):
    __slots__ = ("first_job", "last_job", "jobs", "more", "attempts", "failed", "failures", "since", "until", "run_seconds", "cpus", "peak_memory_bytes", "asked_millicpus", "asked_memory", "proposed_millicpus", "cpus_because", "proposed_memory", "memory_because")
    FIRST_JOB_FIELD_NUMBER: _ClassVar[int]
    LAST_JOB_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    RUN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CPUS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    ASKED_MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    ASKED_MEMORY_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    CPUS_BECAUSE_FIELD_NUMBER: _ClassVar[int]
    PROPOSED_MEMORY_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BECAUSE_FIELD_NUMBER: _ClassVar[int]
    first_job: int
    last_job: int
    jobs: int
    more: bool
    attempts: int
    failed: int
    failures: _containers.RepeatedCompositeFieldContainer[FailureCount]
    since: float
    until: float
    run_seconds: Spread
    cpus: Spread
    peak_memory_bytes: Spread
    asked_millicpus: int
    asked_memory: int
    proposed_millicpus: int
    cpus_because: str
    proposed_memory: int
    memory_because: str
    def __init__(self, first_job: _Optional[int] = ..., last_job: _Optional[int] = ..., jobs: _Optional[int] = ..., more: _Optional[bool] = ..., attempts: _Optional[int] = ..., failed: _Optional[int] = ..., failures: _Optional[_Iterable[_Union[FailureCount, _Mapping]]] = ..., since: _Optional[float] = ..., until: _Optional[float] = ..., run_seconds: _Optional[_Union[Spread, _Mapping]] = ..., cpus: _Optional[_Union[Spread, _Mapping]] = ..., peak_memory_bytes: _Optional[_Union[Spread, _Mapping]] = ..., asked_millicpus: _Optional[int] = ..., asked_memory: _Optional[int] = ..., proposed_millicpus: _Optional[int] = ..., cpus_because: _Optional[str] = ..., proposed_memory: _Optional[int] = ..., memory_because: _Optional[str] = ...) -> None: ...

class UsageRequest(_message.Message):
    __slots__ = ("by", "since", "limit")
    BY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    by: UsageKind
    since: float
    limit: int
    def __init__(self, by: _Optional[_Union[UsageKind, str]] = ..., since: _Optional[float] = ..., limit: _Optional[int] = ...) -> None: ...

class UsageRow(_message.Message):
    __slots__ = ("key", "worker_name", "used")
    KEY_FIELD_NUMBER: _ClassVar[int]
    WORKER_NAME_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    key: str
    worker_name: str
    used: _job_pb2.UsageSum
    def __init__(self, key: _Optional[str] = ..., worker_name: _Optional[str] = ..., used: _Optional[_Union[_job_pb2.UsageSum, _Mapping]] = ...) -> None: ...

class UsageResponse(_message.Message):
    __slots__ = ("rows", "total", "more", "since")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[UsageRow]
    total: _job_pb2.UsageSum
    more: int
    since: float
    def __init__(self, rows: _Optional[_Iterable[_Union[UsageRow, _Mapping]]] = ..., total: _Optional[_Union[_job_pb2.UsageSum, _Mapping]] = ..., more: _Optional[int] = ..., since: _Optional[float] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("selector", "max_tasks", "skip", "states", "attempts")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    MAX_TASKS_FIELD_NUMBER: _ClassVar[int]
    SKIP_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    max_tasks: int
    skip: int
    states: _containers.RepeatedScalarFieldContainer[_job_pb2.TaskState]
    attempts: bool
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ..., max_tasks: _Optional[int] = ..., skip: _Optional[int] = ..., states: _Optional[_Iterable[_Union[_job_pb2.TaskState, str]]] = ..., attempts: _Optional[bool] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("job", "tasks", "more", "children", "results", "pin", "output_expired")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    CHILDREN_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    PIN_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_EXPIRED_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    tasks: _containers.RepeatedCompositeFieldContainer[_job_pb2.Task]
    more: bool
    children: _containers.RepeatedScalarFieldContainer[int]
    results: ResultsTotal
    pin: PinInfo
    output_expired: OutputExpiry
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ..., tasks: _Optional[_Iterable[_Union[_job_pb2.Task, _Mapping]]] = ..., more: _Optional[bool] = ..., children: _Optional[_Iterable[int]] = ..., results: _Optional[_Union[ResultsTotal, _Mapping]] = ..., pin: _Optional[_Union[PinInfo, _Mapping]] = ..., output_expired: _Optional[_Union[OutputExpiry, _Mapping]] = ...) -> None: ...

class PinInfo(_message.Message):
    __slots__ = ("by", "at")
    BY_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    by: str
    at: float
    def __init__(self, by: _Optional[str] = ..., at: _Optional[float] = ...) -> None: ...

class OutputExpiry(_message.Message):
    __slots__ = ("at", "why")
    AT_FIELD_NUMBER: _ClassVar[int]
    WHY_FIELD_NUMBER: _ClassVar[int]
    at: float
    why: str
    def __init__(self, at: _Optional[float] = ..., why: _Optional[str] = ...) -> None: ...

class ResultsTotal(_message.Message):
    __slots__ = ("attempts", "files", "bytes", "missing", "deleted")
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    attempts: int
    files: int
    bytes: int
    missing: int
    deleted: str
    def __init__(self, attempts: _Optional[int] = ..., files: _Optional[int] = ..., bytes: _Optional[int] = ..., missing: _Optional[int] = ..., deleted: _Optional[str] = ...) -> None: ...

class WaitRequest(_message.Message):
    __slots__ = ("selectors", "ends_only")
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    ENDS_ONLY_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    ends_only: bool
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., ends_only: _Optional[bool] = ...) -> None: ...

class WaitResponse(_message.Message):
    __slots__ = ("jobs", "more")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    more: bool
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class TreeRequest(_message.Message):
    __slots__ = ("selector",)
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ...) -> None: ...

class TreeResponse(_message.Message):
    __slots__ = ("jobs", "cut")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    CUT_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    cut: bool
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., cut: _Optional[bool] = ...) -> None: ...

class SetStateRequest(_message.Message):
    __slots__ = ("values",)
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.ScalarMap[str, str]
    def __init__(self, values: _Optional[_Mapping[str, str]] = ...) -> None: ...

class SetStateResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStateRequest(_message.Message):
    __slots__ = ("selector",)
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ...) -> None: ...

class GetStateResponse(_message.Message):
    __slots__ = ("job", "values")
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    JOB_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    job: int
    values: _containers.ScalarMap[str, str]
    def __init__(self, job: _Optional[int] = ..., values: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("selectors", "grace", "reason", "keep_children")
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    KEEP_CHILDREN_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    grace: float
    reason: str
    keep_children: bool
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., grace: _Optional[float] = ..., reason: _Optional[str] = ..., keep_children: _Optional[bool] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ("jobs", "cancelled", "more")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    cancelled: int
    more: bool
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., cancelled: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class RetryRequest(_message.Message):
    __slots__ = ("selectors",)
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ...) -> None: ...

class RetryResponse(_message.Message):
    __slots__ = ("jobs", "tasks", "more")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    tasks: int
    more: bool
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., tasks: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class RerunRequest(_message.Message):
    __slots__ = ("selector", "id", "once")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    ONCE_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    id: str
    once: bool
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ..., id: _Optional[str] = ..., once: _Optional[bool] = ...) -> None: ...

class RerunResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ...) -> None: ...

class PauseRequest(_message.Message):
    __slots__ = ("selectors", "reason", "stop_running")
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    STOP_RUNNING_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    reason: str
    stop_running: bool
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., reason: _Optional[str] = ..., stop_running: _Optional[bool] = ...) -> None: ...

class PauseResponse(_message.Message):
    __slots__ = ("jobs", "paused", "more")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    paused: int
    more: bool
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., paused: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class ResumeRequest(_message.Message):
    __slots__ = ("selectors",)
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ...) -> None: ...

class ResumeResponse(_message.Message):
    __slots__ = ("jobs", "resumed", "more")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    resumed: int
    more: bool
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., resumed: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("selectors",)
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("jobs", "deleted", "kept")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedScalarFieldContainer[int]
    deleted: int
    kept: int
    def __init__(self, jobs: _Optional[_Iterable[int]] = ..., deleted: _Optional[int] = ..., kept: _Optional[int] = ...) -> None: ...

class PinRequest(_message.Message):
    __slots__ = ("selectors",)
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ...) -> None: ...

class PinResponse(_message.Message):
    __slots__ = ("jobs", "pinned")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    PINNED_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedScalarFieldContainer[int]
    pinned: int
    def __init__(self, jobs: _Optional[_Iterable[int]] = ..., pinned: _Optional[int] = ...) -> None: ...

class UnpinRequest(_message.Message):
    __slots__ = ("selectors",)
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ...) -> None: ...

class UnpinResponse(_message.Message):
    __slots__ = ("jobs", "unpinned")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    UNPINNED_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedScalarFieldContainer[int]
    unpinned: int
    def __init__(self, jobs: _Optional[_Iterable[int]] = ..., unpinned: _Optional[int] = ...) -> None: ...

class SetPriorityRequest(_message.Message):
    __slots__ = ("selectors", "priority")
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    priority: int
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., priority: _Optional[int] = ...) -> None: ...

class SetPriorityResponse(_message.Message):
    __slots__ = ("jobs", "changed", "more")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    changed: int
    more: bool
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., changed: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class SetRequest(_message.Message):
    __slots__ = ("selectors", "changes")
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    changes: _job_pb2.JobChanges
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., changes: _Optional[_Union[_job_pb2.JobChanges, _Mapping]] = ...) -> None: ...

class SetResponse(_message.Message):
    __slots__ = ("jobs", "changed", "more")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    changed: int
    more: bool
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., changed: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...

class ReadOutputRequest(_message.Message):
    __slots__ = ("selector", "stdout", "stderr", "follow", "tail_lines", "position")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    stdout: bool
    stderr: bool
    follow: bool
    tail_lines: int
    position: Position
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ..., stdout: _Optional[bool] = ..., stderr: _Optional[bool] = ..., follow: _Optional[bool] = ..., tail_lines: _Optional[int] = ..., position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("job", "task_number", "attempt", "stdout", "stderr")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    job: int
    task_number: int
    attempt: int
    stdout: int
    stderr: int
    def __init__(self, job: _Optional[int] = ..., task_number: _Optional[int] = ..., attempt: _Optional[int] = ..., stdout: _Optional[int] = ..., stderr: _Optional[int] = ...) -> None: ...

class ReadOutputResponse(_message.Message):
    __slots__ = ("job", "task_number", "attempt", "stderr", "data", "end", "note")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    job: int
    task_number: int
    attempt: int
    stderr: bool
    data: bytes
    end: int
    note: str
    def __init__(self, job: _Optional[int] = ..., task_number: _Optional[int] = ..., attempt: _Optional[int] = ..., stderr: _Optional[bool] = ..., data: _Optional[bytes] = ..., end: _Optional[int] = ..., note: _Optional[str] = ...) -> None: ...

class WorkerInfo(_message.Message):
    __slots__ = ("id", "name", "state", "capacity_millicpus", "used_millicpus", "running", "assigned", "address", "version", "registered_at", "last_heard_at", "no_room", "trouble", "drain", "leaves_at", "offer", "taken", "jobs")
    class TakenEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    USED_MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REGISTERED_AT_FIELD_NUMBER: _ClassVar[int]
    LAST_HEARD_AT_FIELD_NUMBER: _ClassVar[int]
    NO_ROOM_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    DRAIN_FIELD_NUMBER: _ClassVar[int]
    LEAVES_AT_FIELD_NUMBER: _ClassVar[int]
    OFFER_FIELD_NUMBER: _ClassVar[int]
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    state: WorkerState
    capacity_millicpus: int
    used_millicpus: int
    running: int
    assigned: int
    address: str
    version: str
    registered_at: float
    last_heard_at: float
    no_room: str
    trouble: str
    drain: Drain
    leaves_at: float
    offer: _job_pb2.Offer
    taken: _containers.ScalarMap[str, int]
    jobs: _containers.RepeatedCompositeFieldContainer[HeldJob]
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[_Union[WorkerState, str]] = ..., capacity_millicpus: _Optional[int] = ..., used_millicpus: _Optional[int] = ..., running: _Optional[int] = ..., assigned: _Optional[int] = ..., address: _Optional[str] = ..., version: _Optional[str] = ..., registered_at: _Optional[float] = ..., last_heard_at: _Optional[float] = ..., no_room: _Optional[str] = ..., trouble: _Optional[str] = ..., drain: _Optional[_Union[Drain, _Mapping]] = ..., leaves_at: _Optional[float] = ..., offer: _Optional[_Union[_job_pb2.Offer, _Mapping]] = ..., taken: _Optional[_Mapping[str, int]] = ..., jobs: _Optional[_Iterable[_Union[HeldJob, _Mapping]]] = ...) -> None: ...

class HeldJob(_message.Message):
    __slots__ = ("number", "running", "assigned")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    number: int
    running: int
    assigned: int
    def __init__(self, number: _Optional[int] = ..., running: _Optional[int] = ..., assigned: _Optional[int] = ...) -> None: ...

class Drain(_message.Message):
    __slots__ = ("by", "since", "reason", "deadline")
    BY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    by: str
    since: float
    reason: str
    deadline: float
    def __init__(self, by: _Optional[str] = ..., since: _Optional[float] = ..., reason: _Optional[str] = ..., deadline: _Optional[float] = ...) -> None: ...

class ListWorkersRequest(_message.Message):
    __slots__ = ("limit", "after", "workers", "able", "free", "states", "jobs")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    ABLE_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    limit: int
    after: str
    workers: _containers.RepeatedScalarFieldContainer[str]
    able: _job_pb2.JobSpec
    free: bool
    states: _containers.RepeatedScalarFieldContainer[WorkerState]
    jobs: bool
    def __init__(self, limit: _Optional[int] = ..., after: _Optional[str] = ..., workers: _Optional[_Iterable[str]] = ..., able: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ..., free: _Optional[bool] = ..., states: _Optional[_Iterable[_Union[WorkerState, str]]] = ..., jobs: _Optional[bool] = ...) -> None: ...

class ListWorkersResponse(_message.Message):
    __slots__ = ("workers", "next")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[WorkerInfo]
    next: str
    def __init__(self, workers: _Optional[_Iterable[_Union[WorkerInfo, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class ListResultsRequest(_message.Message):
    __slots__ = ("selectors", "follow")
    SELECTORS_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    selectors: _containers.RepeatedCompositeFieldContainer[Selector]
    follow: bool
    def __init__(self, selectors: _Optional[_Iterable[_Union[Selector, _Mapping]]] = ..., follow: _Optional[bool] = ...) -> None: ...

class TaskResults(_message.Message):
    __slots__ = ("results", "task_number", "state", "worker")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    TASK_NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    results: _job_pb2.AttemptResults
    task_number: int
    state: ResultsState
    worker: str
    def __init__(self, results: _Optional[_Union[_job_pb2.AttemptResults, _Mapping]] = ..., task_number: _Optional[int] = ..., state: _Optional[_Union[ResultsState, str]] = ..., worker: _Optional[str] = ...) -> None: ...

class ListResultsResponse(_message.Message):
    __slots__ = ("tasks",)
    TASKS_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[TaskResults]
    def __init__(self, tasks: _Optional[_Iterable[_Union[TaskResults, _Mapping]]] = ...) -> None: ...

class ReadResultsRequest(_message.Message):
    __slots__ = ("job", "index", "attempt", "digests", "offset")
    JOB_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    job: int
    index: int
    attempt: int
    digests: _containers.RepeatedScalarFieldContainer[bytes]
    offset: int
    def __init__(self, job: _Optional[int] = ..., index: _Optional[int] = ..., attempt: _Optional[int] = ..., digests: _Optional[_Iterable[bytes]] = ..., offset: _Optional[int] = ...) -> None: ...

class ReadResultsResponse(_message.Message):
    __slots__ = ("pieces",)
    PIECES_FIELD_NUMBER: _ClassVar[int]
    pieces: _containers.RepeatedCompositeFieldContainer[_files_pb2.ContentPiece]
    def __init__(self, pieces: _Optional[_Iterable[_Union[_files_pb2.ContentPiece, _Mapping]]] = ...) -> None: ...

class MapTasksRequest(_message.Message):
    __slots__ = ("selector", "first", "count", "most")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    selector: Selector
    first: int
    count: int
    most: int
    def __init__(self, selector: _Optional[_Union[Selector, _Mapping]] = ..., first: _Optional[int] = ..., count: _Optional[int] = ..., most: _Optional[int] = ...) -> None: ...

class MapTasksResponse(_message.Message):
    __slots__ = ("job", "tasks", "first", "count", "per_cell", "states")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PER_CELL_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    job: int
    tasks: int
    first: int
    count: int
    per_cell: int
    states: _containers.RepeatedCompositeFieldContainer[TasksInState]
    def __init__(self, job: _Optional[int] = ..., tasks: _Optional[int] = ..., first: _Optional[int] = ..., count: _Optional[int] = ..., per_cell: _Optional[int] = ..., states: _Optional[_Iterable[_Union[TasksInState, _Mapping]]] = ...) -> None: ...

class TasksInState(_message.Message):
    __slots__ = ("state", "tasks", "ranges", "cells")
    STATE_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    CELLS_FIELD_NUMBER: _ClassVar[int]
    state: _job_pb2.TaskState
    tasks: int
    ranges: _containers.RepeatedScalarFieldContainer[int]
    cells: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, state: _Optional[_Union[_job_pb2.TaskState, str]] = ..., tasks: _Optional[int] = ..., ranges: _Optional[_Iterable[int]] = ..., cells: _Optional[_Iterable[int]] = ...) -> None: ...
