from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATE_UNSPECIFIED: _ClassVar[TaskState]
    TASK_STATE_WAITING: _ClassVar[TaskState]
    TASK_STATE_READY: _ClassVar[TaskState]
    TASK_STATE_ASSIGNED: _ClassVar[TaskState]
    TASK_STATE_RUNNING: _ClassVar[TaskState]
    TASK_STATE_BACKOFF: _ClassVar[TaskState]
    TASK_STATE_SUCCEEDED: _ClassVar[TaskState]
    TASK_STATE_FAILED: _ClassVar[TaskState]
    TASK_STATE_CANCELLED: _ClassVar[TaskState]
    TASK_STATE_FINISHING: _ClassVar[TaskState]
TASK_STATE_UNSPECIFIED: TaskState
TASK_STATE_WAITING: TaskState
TASK_STATE_READY: TaskState
TASK_STATE_ASSIGNED: TaskState
TASK_STATE_RUNNING: TaskState
TASK_STATE_BACKOFF: TaskState
TASK_STATE_SUCCEEDED: TaskState
TASK_STATE_FAILED: TaskState
TASK_STATE_CANCELLED: TaskState
TASK_STATE_FINISHING: TaskState

class IndexRange(_message.Message):
    __slots__ = ("first", "count")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    first: int
    count: int
    def __init__(self, first: _Optional[int] = ..., count: _Optional[int] = ...) -> None: ...

class ArraySegment(_message.Message):
    __slots__ = ("first", "last", "step")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    first: int
    last: int
    step: int
    def __init__(self, first: _Optional[int] = ..., last: _Optional[int] = ..., step: _Optional[int] = ...) -> None: ...

class EnvVar(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("words",)
    WORDS_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, words: _Optional[_Iterable[str]] = ...) -> None: ...

class RawCommand(_message.Message):
    __slots__ = ("words",)
    WORDS_FIELD_NUMBER: _ClassVar[int]
    words: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, words: _Optional[_Iterable[bytes]] = ...) -> None: ...

class RawTexts(_message.Message):
    __slots__ = ("argv", "script", "script_args", "env", "cwd", "then")
    ARGV_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_ARGS_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    CWD_FIELD_NUMBER: _ClassVar[int]
    THEN_FIELD_NUMBER: _ClassVar[int]
    argv: _containers.RepeatedScalarFieldContainer[bytes]
    script: bytes
    script_args: _containers.RepeatedScalarFieldContainer[bytes]
    env: _containers.RepeatedScalarFieldContainer[bytes]
    cwd: bytes
    then: _containers.RepeatedCompositeFieldContainer[RawCommand]
    def __init__(self, argv: _Optional[_Iterable[bytes]] = ..., script: _Optional[bytes] = ..., script_args: _Optional[_Iterable[bytes]] = ..., env: _Optional[_Iterable[bytes]] = ..., cwd: _Optional[bytes] = ..., then: _Optional[_Iterable[_Union[RawCommand, _Mapping]]] = ...) -> None: ...

class Offer(_message.Message):
    __slots__ = ("sums", "gpus", "labels", "limits_memory", "sandbox", "external_id", "metadata", "reference")
    class SumsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SUMS_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_MEMORY_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    EXTERNAL_ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    sums: _containers.ScalarMap[str, int]
    gpus: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    limits_memory: bool
    sandbox: str
    external_id: str
    metadata: _containers.ScalarMap[str, str]
    reference: str
    def __init__(self, sums: _Optional[_Mapping[str, int]] = ..., gpus: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., limits_memory: _Optional[bool] = ..., sandbox: _Optional[str] = ..., external_id: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., reference: _Optional[str] = ...) -> None: ...

class JobSpec(_message.Message):
    __slots__ = ("name", "argv", "script", "script_args", "env", "cwd", "millicpus", "array", "lines", "timeout", "grace", "worker", "memory", "gpus", "resources", "need", "prefer", "spread", "pack", "exclusive", "lost_after", "retries", "merge_output", "max_output", "raw", "after", "after_any", "after_fail", "after_each", "on_dependency_fail", "at", "delay", "hold", "queue_timeout", "deadline", "quiet_timeout", "notify", "notify_cmd", "notify_on", "key", "every", "overlap", "catch_up", "max_running", "max_fails", "priority", "time_request", "script_text", "script_name", "retry_on", "grow", "backoff", "check_output", "check_with", "rows", "then", "wait_children", "sandbox", "files", "upload", "upload_each", "upload_beside", "stdin", "upload_shared", "out", "max_files", "max_results")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGV_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_ARGS_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    CWD_FIELD_NUMBER: _ClassVar[int]
    MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    ARRAY_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    NEED_FIELD_NUMBER: _ClassVar[int]
    PREFER_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    LOST_AFTER_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    MERGE_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    RAW_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    AFTER_ANY_FIELD_NUMBER: _ClassVar[int]
    AFTER_FAIL_FIELD_NUMBER: _ClassVar[int]
    AFTER_EACH_FIELD_NUMBER: _ClassVar[int]
    ON_DEPENDENCY_FAIL_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    QUIET_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    NOTIFY_FIELD_NUMBER: _ClassVar[int]
    NOTIFY_CMD_FIELD_NUMBER: _ClassVar[int]
    NOTIFY_ON_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    EVERY_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    CATCH_UP_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    TIME_REQUEST_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_TEXT_FIELD_NUMBER: _ClassVar[int]
    SCRIPT_NAME_FIELD_NUMBER: _ClassVar[int]
    RETRY_ON_FIELD_NUMBER: _ClassVar[int]
    GROW_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    CHECK_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CHECK_WITH_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    THEN_FIELD_NUMBER: _ClassVar[int]
    WAIT_CHILDREN_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_EACH_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_BESIDE_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    UPLOAD_SHARED_FIELD_NUMBER: _ClassVar[int]
    OUT_FIELD_NUMBER: _ClassVar[int]
    MAX_FILES_FIELD_NUMBER: _ClassVar[int]
    MAX_RESULTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    argv: _containers.RepeatedScalarFieldContainer[str]
    script: str
    script_args: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.RepeatedCompositeFieldContainer[EnvVar]
    cwd: str
    millicpus: int
    array: _containers.RepeatedCompositeFieldContainer[ArraySegment]
    lines: bytes
    timeout: float
    grace: float
    worker: str
    memory: int
    gpus: int
    resources: _containers.RepeatedScalarFieldContainer[str]
    need: str
    prefer: str
    spread: bool
    pack: bool
    exclusive: bool
    lost_after: float
    retries: int
    merge_output: bool
    max_output: int
    raw: RawTexts
    after: _containers.RepeatedScalarFieldContainer[str]
    after_any: _containers.RepeatedScalarFieldContainer[str]
    after_fail: _containers.RepeatedScalarFieldContainer[str]
    after_each: _containers.RepeatedScalarFieldContainer[str]
    on_dependency_fail: str
    at: str
    delay: float
    hold: bool
    queue_timeout: float
    deadline: str
    quiet_timeout: float
    notify: str
    notify_cmd: str
    notify_on: str
    key: str
    every: str
    overlap: str
    catch_up: bool
    max_running: int
    max_fails: int
    priority: int
    time_request: float
    script_text: bytes
    script_name: str
    retry_on: _containers.RepeatedScalarFieldContainer[str]
    grow: str
    backoff: _containers.RepeatedScalarFieldContainer[float]
    check_output: str
    check_with: str
    rows: bool
    then: _containers.RepeatedCompositeFieldContainer[Command]
    wait_children: bool
    sandbox: bool
    files: _containers.RepeatedScalarFieldContainer[str]
    upload: str
    upload_each: bool
    upload_beside: str
    stdin: str
    upload_shared: bool
    out: _containers.RepeatedScalarFieldContainer[str]
    max_files: int
    max_results: int
    def __init__(self, name: _Optional[str] = ..., argv: _Optional[_Iterable[str]] = ..., script: _Optional[str] = ..., script_args: _Optional[_Iterable[str]] = ..., env: _Optional[_Iterable[_Union[EnvVar, _Mapping]]] = ..., cwd: _Optional[str] = ..., millicpus: _Optional[int] = ..., array: _Optional[_Iterable[_Union[ArraySegment, _Mapping]]] = ..., lines: _Optional[bytes] = ..., timeout: _Optional[float] = ..., grace: _Optional[float] = ..., worker: _Optional[str] = ..., memory: _Optional[int] = ..., gpus: _Optional[int] = ..., resources: _Optional[_Iterable[str]] = ..., need: _Optional[str] = ..., prefer: _Optional[str] = ..., spread: _Optional[bool] = ..., pack: _Optional[bool] = ..., exclusive: _Optional[bool] = ..., lost_after: _Optional[float] = ..., retries: _Optional[int] = ..., merge_output: _Optional[bool] = ..., max_output: _Optional[int] = ..., raw: _Optional[_Union[RawTexts, _Mapping]] = ..., after: _Optional[_Iterable[str]] = ..., after_any: _Optional[_Iterable[str]] = ..., after_fail: _Optional[_Iterable[str]] = ..., after_each: _Optional[_Iterable[str]] = ..., on_dependency_fail: _Optional[str] = ..., at: _Optional[str] = ..., delay: _Optional[float] = ..., hold: _Optional[bool] = ..., queue_timeout: _Optional[float] = ..., deadline: _Optional[str] = ..., quiet_timeout: _Optional[float] = ..., notify: _Optional[str] = ..., notify_cmd: _Optional[str] = ..., notify_on: _Optional[str] = ..., key: _Optional[str] = ..., every: _Optional[str] = ..., overlap: _Optional[str] = ..., catch_up: _Optional[bool] = ..., max_running: _Optional[int] = ..., max_fails: _Optional[int] = ..., priority: _Optional[int] = ..., time_request: _Optional[float] = ..., script_text: _Optional[bytes] = ..., script_name: _Optional[str] = ..., retry_on: _Optional[_Iterable[str]] = ..., grow: _Optional[str] = ..., backoff: _Optional[_Iterable[float]] = ..., check_output: _Optional[str] = ..., check_with: _Optional[str] = ..., rows: _Optional[bool] = ..., then: _Optional[_Iterable[_Union[Command, _Mapping]]] = ..., wait_children: _Optional[bool] = ..., sandbox: _Optional[bool] = ..., files: _Optional[_Iterable[str]] = ..., upload: _Optional[str] = ..., upload_each: _Optional[bool] = ..., upload_beside: _Optional[str] = ..., stdin: _Optional[str] = ..., upload_shared: _Optional[bool] = ..., out: _Optional[_Iterable[str]] = ..., max_files: _Optional[int] = ..., max_results: _Optional[int] = ...) -> None: ...

class JobChanges(_message.Message):
    __slots__ = ("priority", "max_running", "max_fails", "retries", "retry_on", "backoff", "time_request", "timeout", "grace", "quiet_timeout", "queue_timeout", "deadline", "at", "delay", "millicpus", "worker", "memory", "gpus", "resources", "need", "prefer", "spread", "pack", "exclusive", "grow", "defaults")
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MAX_RUNNING_FIELD_NUMBER: _ClassVar[int]
    MAX_FAILS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    RETRY_ON_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    TIME_REQUEST_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    QUIET_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    DELAY_FIELD_NUMBER: _ClassVar[int]
    MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    GPUS_FIELD_NUMBER: _ClassVar[int]
    RESOURCES_FIELD_NUMBER: _ClassVar[int]
    NEED_FIELD_NUMBER: _ClassVar[int]
    PREFER_FIELD_NUMBER: _ClassVar[int]
    SPREAD_FIELD_NUMBER: _ClassVar[int]
    PACK_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    GROW_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    priority: int
    max_running: int
    max_fails: int
    retries: int
    retry_on: _containers.RepeatedScalarFieldContainer[str]
    backoff: _containers.RepeatedScalarFieldContainer[float]
    time_request: float
    timeout: float
    grace: float
    quiet_timeout: float
    queue_timeout: float
    deadline: str
    at: str
    delay: float
    millicpus: int
    worker: str
    memory: int
    gpus: int
    resources: _containers.RepeatedScalarFieldContainer[str]
    need: str
    prefer: str
    spread: bool
    pack: bool
    exclusive: bool
    grow: str
    defaults: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, priority: _Optional[int] = ..., max_running: _Optional[int] = ..., max_fails: _Optional[int] = ..., retries: _Optional[int] = ..., retry_on: _Optional[_Iterable[str]] = ..., backoff: _Optional[_Iterable[float]] = ..., time_request: _Optional[float] = ..., timeout: _Optional[float] = ..., grace: _Optional[float] = ..., quiet_timeout: _Optional[float] = ..., queue_timeout: _Optional[float] = ..., deadline: _Optional[str] = ..., at: _Optional[str] = ..., delay: _Optional[float] = ..., millicpus: _Optional[int] = ..., worker: _Optional[str] = ..., memory: _Optional[int] = ..., gpus: _Optional[int] = ..., resources: _Optional[_Iterable[str]] = ..., need: _Optional[str] = ..., prefer: _Optional[str] = ..., spread: _Optional[bool] = ..., pack: _Optional[bool] = ..., exclusive: _Optional[bool] = ..., grow: _Optional[str] = ..., defaults: _Optional[_Iterable[str]] = ...) -> None: ...

class TaskCounts(_message.Message):
    __slots__ = ("ready", "assigned", "running", "backoff", "succeeded", "failed", "cancelled", "waiting", "finishing")
    READY_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    BACKOFF_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    FINISHING_FIELD_NUMBER: _ClassVar[int]
    ready: int
    assigned: int
    running: int
    backoff: int
    succeeded: int
    failed: int
    cancelled: int
    waiting: int
    finishing: int
    def __init__(self, ready: _Optional[int] = ..., assigned: _Optional[int] = ..., running: _Optional[int] = ..., backoff: _Optional[int] = ..., succeeded: _Optional[int] = ..., failed: _Optional[int] = ..., cancelled: _Optional[int] = ..., waiting: _Optional[int] = ..., finishing: _Optional[int] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("number", "id", "owner", "spec", "state", "reason", "counts", "submitted_at", "started_at", "ended_at", "exit_code", "pending_because", "cancelled_by", "cancel_reason", "no_worker_can", "no_worker_ever", "hindrances", "candidates", "more_candidates", "part", "waits_until", "schedule", "last_run", "pause", "callers", "priority", "reserved_worker", "reserved_from", "rerun_of", "waits_for", "next_try_at", "changed", "recorded_status", "recorded_at", "used")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    PENDING_BECAUSE_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_BY_FIELD_NUMBER: _ClassVar[int]
    CANCEL_REASON_FIELD_NUMBER: _ClassVar[int]
    NO_WORKER_CAN_FIELD_NUMBER: _ClassVar[int]
    NO_WORKER_EVER_FIELD_NUMBER: _ClassVar[int]
    HINDRANCES_FIELD_NUMBER: _ClassVar[int]
    CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    MORE_CANDIDATES_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    WAITS_UNTIL_FIELD_NUMBER: _ClassVar[int]
    SCHEDULE_FIELD_NUMBER: _ClassVar[int]
    LAST_RUN_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    CALLERS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    RESERVED_WORKER_FIELD_NUMBER: _ClassVar[int]
    RESERVED_FROM_FIELD_NUMBER: _ClassVar[int]
    RERUN_OF_FIELD_NUMBER: _ClassVar[int]
    WAITS_FOR_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_AT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    RECORDED_STATUS_FIELD_NUMBER: _ClassVar[int]
    RECORDED_AT_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    number: int
    id: str
    owner: str
    spec: JobSpec
    state: TaskState
    reason: str
    counts: TaskCounts
    submitted_at: float
    started_at: float
    ended_at: float
    exit_code: int
    pending_because: _containers.RepeatedScalarFieldContainer[str]
    cancelled_by: str
    cancel_reason: str
    no_worker_can: bool
    no_worker_ever: bool
    hindrances: _containers.RepeatedCompositeFieldContainer[Hindrance]
    candidates: _containers.RepeatedCompositeFieldContainer[Candidate]
    more_candidates: int
    part: str
    waits_until: float
    schedule: int
    last_run: int
    pause: Pause
    callers: _containers.RepeatedCompositeFieldContainer[CallingAttempt]
    priority: int
    reserved_worker: str
    reserved_from: float
    rerun_of: int
    waits_for: str
    next_try_at: float
    changed: _containers.RepeatedScalarFieldContainer[str]
    recorded_status: str
    recorded_at: float
    used: UsageSum
    def __init__(self, number: _Optional[int] = ..., id: _Optional[str] = ..., owner: _Optional[str] = ..., spec: _Optional[_Union[JobSpec, _Mapping]] = ..., state: _Optional[_Union[TaskState, str]] = ..., reason: _Optional[str] = ..., counts: _Optional[_Union[TaskCounts, _Mapping]] = ..., submitted_at: _Optional[float] = ..., started_at: _Optional[float] = ..., ended_at: _Optional[float] = ..., exit_code: _Optional[int] = ..., pending_because: _Optional[_Iterable[str]] = ..., cancelled_by: _Optional[str] = ..., cancel_reason: _Optional[str] = ..., no_worker_can: _Optional[bool] = ..., no_worker_ever: _Optional[bool] = ..., hindrances: _Optional[_Iterable[_Union[Hindrance, _Mapping]]] = ..., candidates: _Optional[_Iterable[_Union[Candidate, _Mapping]]] = ..., more_candidates: _Optional[int] = ..., part: _Optional[str] = ..., waits_until: _Optional[float] = ..., schedule: _Optional[int] = ..., last_run: _Optional[int] = ..., pause: _Optional[_Union[Pause, _Mapping]] = ..., callers: _Optional[_Iterable[_Union[CallingAttempt, _Mapping]]] = ..., priority: _Optional[int] = ..., reserved_worker: _Optional[str] = ..., reserved_from: _Optional[float] = ..., rerun_of: _Optional[int] = ..., waits_for: _Optional[str] = ..., next_try_at: _Optional[float] = ..., changed: _Optional[_Iterable[str]] = ..., recorded_status: _Optional[str] = ..., recorded_at: _Optional[float] = ..., used: _Optional[_Union[UsageSum, _Mapping]] = ...) -> None: ...

class UsageSum(_message.Message):
    __slots__ = ("tasks", "attempts", "failed", "run_seconds", "cpu_seconds", "wait_seconds", "peak_memory_bytes", "output_bytes")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    RUN_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WAIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    tasks: int
    attempts: int
    failed: int
    run_seconds: float
    cpu_seconds: float
    wait_seconds: float
    peak_memory_bytes: int
    output_bytes: int
    def __init__(self, tasks: _Optional[int] = ..., attempts: _Optional[int] = ..., failed: _Optional[int] = ..., run_seconds: _Optional[float] = ..., cpu_seconds: _Optional[float] = ..., wait_seconds: _Optional[float] = ..., peak_memory_bytes: _Optional[int] = ..., output_bytes: _Optional[int] = ...) -> None: ...

class Pause(_message.Message):
    __slots__ = ("by", "since", "reason", "by_admin", "stop_running")
    BY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BY_ADMIN_FIELD_NUMBER: _ClassVar[int]
    STOP_RUNNING_FIELD_NUMBER: _ClassVar[int]
    by: str
    since: float
    reason: str
    by_admin: bool
    stop_running: bool
    def __init__(self, by: _Optional[str] = ..., since: _Optional[float] = ..., reason: _Optional[str] = ..., by_admin: _Optional[bool] = ..., stop_running: _Optional[bool] = ...) -> None: ...

class CallingAttempt(_message.Message):
    __slots__ = ("job", "task_number", "attempt")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_NUMBER_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    job: int
    task_number: int
    attempt: int
    def __init__(self, job: _Optional[int] = ..., task_number: _Optional[int] = ..., attempt: _Optional[int] = ...) -> None: ...

class Hindrance(_message.Message):
    __slots__ = ("workers", "number", "reason", "fix")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIX_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedScalarFieldContainer[str]
    number: int
    reason: str
    fix: str
    def __init__(self, workers: _Optional[_Iterable[str]] = ..., number: _Optional[int] = ..., reason: _Optional[str] = ..., fix: _Optional[str] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("worker", "preferred", "tasks_there", "tasks_that_fit", "free_millicpus")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    PREFERRED_FIELD_NUMBER: _ClassVar[int]
    TASKS_THERE_FIELD_NUMBER: _ClassVar[int]
    TASKS_THAT_FIT_FIELD_NUMBER: _ClassVar[int]
    FREE_MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    worker: str
    preferred: bool
    tasks_there: int
    tasks_that_fit: int
    free_millicpus: int
    def __init__(self, worker: _Optional[str] = ..., preferred: _Optional[bool] = ..., tasks_there: _Optional[int] = ..., tasks_that_fit: _Optional[int] = ..., free_millicpus: _Optional[int] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("index", "number", "state", "attempt", "reason", "exit_code", "signal", "worker_id", "worker_name", "started_at", "ended_at", "cpu_seconds", "peak_memory_bytes", "detail", "line", "exception", "grown", "stderr_tail", "attempts", "next_try_at", "assigned_at", "reference")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_NAME_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PEAK_MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    EXCEPTION_FIELD_NUMBER: _ClassVar[int]
    GROWN_FIELD_NUMBER: _ClassVar[int]
    STDERR_TAIL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_TRY_AT_FIELD_NUMBER: _ClassVar[int]
    ASSIGNED_AT_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    index: int
    number: int
    state: TaskState
    attempt: int
    reason: str
    exit_code: int
    signal: str
    worker_id: str
    worker_name: str
    started_at: float
    ended_at: float
    cpu_seconds: float
    peak_memory_bytes: int
    detail: str
    line: bytes
    exception: RaisedException
    grown: int
    stderr_tail: bytes
    attempts: _containers.RepeatedCompositeFieldContainer[Task]
    next_try_at: float
    assigned_at: float
    reference: str
    def __init__(self, index: _Optional[int] = ..., number: _Optional[int] = ..., state: _Optional[_Union[TaskState, str]] = ..., attempt: _Optional[int] = ..., reason: _Optional[str] = ..., exit_code: _Optional[int] = ..., signal: _Optional[str] = ..., worker_id: _Optional[str] = ..., worker_name: _Optional[str] = ..., started_at: _Optional[float] = ..., ended_at: _Optional[float] = ..., cpu_seconds: _Optional[float] = ..., peak_memory_bytes: _Optional[int] = ..., detail: _Optional[str] = ..., line: _Optional[bytes] = ..., exception: _Optional[_Union[RaisedException, _Mapping]] = ..., grown: _Optional[int] = ..., stderr_tail: _Optional[bytes] = ..., attempts: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., next_try_at: _Optional[float] = ..., assigned_at: _Optional[float] = ..., reference: _Optional[str] = ...) -> None: ...

class RaisedException(_message.Message):
    __slots__ = ("type", "message", "file", "line", "function", "following", "cause", "first_in_group")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    FUNCTION_FIELD_NUMBER: _ClassVar[int]
    FOLLOWING_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    FIRST_IN_GROUP_FIELD_NUMBER: _ClassVar[int]
    type: str
    message: str
    file: str
    line: int
    function: str
    following: _containers.RepeatedScalarFieldContainer[str]
    cause: RaisedException
    first_in_group: RaisedException
    def __init__(self, type: _Optional[str] = ..., message: _Optional[str] = ..., file: _Optional[str] = ..., line: _Optional[int] = ..., function: _Optional[str] = ..., following: _Optional[_Iterable[str]] = ..., cause: _Optional[_Union[RaisedException, _Mapping]] = ..., first_in_group: _Optional[_Union[RaisedException, _Mapping]] = ...) -> None: ...

class AttemptResults(_message.Message):
    __slots__ = ("job", "index", "attempt", "tree", "files", "bytes", "notes")
    JOB_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    job: int
    index: int
    attempt: int
    tree: bytes
    files: int
    bytes: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, job: _Optional[int] = ..., index: _Optional[int] = ..., attempt: _Optional[int] = ..., tree: _Optional[bytes] = ..., files: _Optional[int] = ..., bytes: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...
