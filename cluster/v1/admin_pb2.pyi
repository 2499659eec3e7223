from cluster.v1 import job_pb2 as _job_pb2
from cluster.v1 import jobs_pb2 as _jobs_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CreateTokenRequest(_message.Message):
    __slots__ = ("role", "life", "uses", "user", "http")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    LIFE_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    HTTP_FIELD_NUMBER: _ClassVar[int]
    role: str
    life: float
    uses: int
    user: str
    http: bool
    def __init__(self, role: _Optional[str] = ..., life: _Optional[float] = ..., uses: _Optional[int] = ..., user: _Optional[str] = ..., http: _Optional[bool] = ...) -> None: ...

class CreateTokenResponse(_message.Message):
    __slots__ = ("token", "join_token")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    JOIN_TOKEN_FIELD_NUMBER: _ClassVar[int]
    token: Token
    join_token: str
    def __init__(self, token: _Optional[_Union[Token, _Mapping]] = ..., join_token: _Optional[str] = ...) -> None: ...

class Token(_message.Message):
    __slots__ = ("id", "role", "created_at", "expires_at", "uses_left", "unlimited", "revoked", "user", "joined", "joined_total", "maker", "http")
    ID_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    USES_LEFT_FIELD_NUMBER: _ClassVar[int]
    UNLIMITED_FIELD_NUMBER: _ClassVar[int]
    REVOKED_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    JOINED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    MAKER_FIELD_NUMBER: _ClassVar[int]
    HTTP_FIELD_NUMBER: _ClassVar[int]
    id: str
    role: str
    created_at: float
    expires_at: float
    uses_left: int
    unlimited: bool
    revoked: bool
    user: str
    joined: _containers.RepeatedCompositeFieldContainer[Member]
    joined_total: int
    maker: str
    http: bool
    def __init__(self, id: _Optional[str] = ..., role: _Optional[str] = ..., created_at: _Optional[float] = ..., expires_at: _Optional[float] = ..., uses_left: _Optional[int] = ..., unlimited: _Optional[bool] = ..., revoked: _Optional[bool] = ..., user: _Optional[str] = ..., joined: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., joined_total: _Optional[int] = ..., maker: _Optional[str] = ..., http: _Optional[bool] = ...) -> None: ...

class Member(_message.Message):
    __slots__ = ("kind", "id", "name", "token")
    KIND_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    kind: str
    id: str
    name: str
    token: str
    def __init__(self, kind: _Optional[str] = ..., id: _Optional[str] = ..., name: _Optional[str] = ..., token: _Optional[str] = ...) -> None: ...

class ListTokensRequest(_message.Message):
    __slots__ = ("limit", "after")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    limit: int
    after: str
    def __init__(self, limit: _Optional[int] = ..., after: _Optional[str] = ...) -> None: ...

class ListTokensResponse(_message.Message):
    __slots__ = ("tokens", "next")
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    tokens: _containers.RepeatedCompositeFieldContainer[Token]
    next: str
    def __init__(self, tokens: _Optional[_Iterable[_Union[Token, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class RevokeTokenRequest(_message.Message):
    __slots__ = ("id", "and_joined", "keep_jobs")
    ID_FIELD_NUMBER: _ClassVar[int]
    AND_JOINED_FIELD_NUMBER: _ClassVar[int]
    KEEP_JOBS_FIELD_NUMBER: _ClassVar[int]
    id: str
    and_joined: bool
    keep_jobs: bool
    def __init__(self, id: _Optional[str] = ..., and_joined: _Optional[bool] = ..., keep_jobs: _Optional[bool] = ...) -> None: ...

class RevokeTokenResponse(_message.Message):
    __slots__ = ("expelled", "cancelled", "tokens", "joined", "joined_total", "kept")
    EXPELLED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    JOINED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    expelled: _containers.RepeatedCompositeFieldContainer[Member]
    cancelled: int
    tokens: _containers.RepeatedScalarFieldContainer[str]
    joined: _containers.RepeatedCompositeFieldContainer[Member]
    joined_total: int
    kept: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, expelled: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., cancelled: _Optional[int] = ..., tokens: _Optional[_Iterable[str]] = ..., joined: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., joined_total: _Optional[int] = ..., kept: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class WhoAmIRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class WhoAmIResponse(_message.Message):
    __slots__ = ("name", "role", "id", "schedulers")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    SCHEDULERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: str
    id: str
    schedulers: _containers.RepeatedCompositeFieldContainer[SchedulerInfo]
    def __init__(self, name: _Optional[str] = ..., role: _Optional[str] = ..., id: _Optional[str] = ..., schedulers: _Optional[_Iterable[_Union[SchedulerInfo, _Mapping]]] = ...) -> None: ...

class SchedulerInfo(_message.Message):
    __slots__ = ("address", "leads", "silent")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LEADS_FIELD_NUMBER: _ClassVar[int]
    SILENT_FIELD_NUMBER: _ClassVar[int]
    address: str
    leads: bool
    silent: float
    def __init__(self, address: _Optional[str] = ..., leads: _Optional[bool] = ..., silent: _Optional[float] = ...) -> None: ...

class User(_message.Message):
    __slots__ = ("name", "role", "created_at", "revoked_at", "joined", "id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    REVOKED_AT_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    role: str
    created_at: float
    revoked_at: float
    joined: int
    id: str
    def __init__(self, name: _Optional[str] = ..., role: _Optional[str] = ..., created_at: _Optional[float] = ..., revoked_at: _Optional[float] = ..., joined: _Optional[int] = ..., id: _Optional[str] = ...) -> None: ...

class ListUsersRequest(_message.Message):
    __slots__ = ("limit", "after")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    limit: int
    after: str
    def __init__(self, limit: _Optional[int] = ..., after: _Optional[str] = ...) -> None: ...

class ListUsersResponse(_message.Message):
    __slots__ = ("users", "next")
    USERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    users: _containers.RepeatedCompositeFieldContainer[User]
    next: str
    def __init__(self, users: _Optional[_Iterable[_Union[User, _Mapping]]] = ..., next: _Optional[str] = ...) -> None: ...

class RevokeUserRequest(_message.Message):
    __slots__ = ("name", "keep_jobs", "and_joined")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEEP_JOBS_FIELD_NUMBER: _ClassVar[int]
    AND_JOINED_FIELD_NUMBER: _ClassVar[int]
    name: str
    keep_jobs: bool
    and_joined: bool
    def __init__(self, name: _Optional[str] = ..., keep_jobs: _Optional[bool] = ..., and_joined: _Optional[bool] = ...) -> None: ...

class RevokeUserResponse(_message.Message):
    __slots__ = ("cancelled", "expelled", "tokens", "joined", "joined_total", "kept")
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    EXPELLED_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    JOINED_FIELD_NUMBER: _ClassVar[int]
    JOINED_TOTAL_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    cancelled: int
    expelled: _containers.RepeatedCompositeFieldContainer[Member]
    tokens: _containers.RepeatedScalarFieldContainer[str]
    joined: _containers.RepeatedCompositeFieldContainer[Member]
    joined_total: int
    kept: _containers.RepeatedCompositeFieldContainer[Member]
    def __init__(self, cancelled: _Optional[int] = ..., expelled: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., tokens: _Optional[_Iterable[str]] = ..., joined: _Optional[_Iterable[_Union[Member, _Mapping]]] = ..., joined_total: _Optional[int] = ..., kept: _Optional[_Iterable[_Union[Member, _Mapping]]] = ...) -> None: ...

class RemoveWorkerRequest(_message.Message):
    __slots__ = ("worker", "revoke")
    WORKER_FIELD_NUMBER: _ClassVar[int]
    REVOKE_FIELD_NUMBER: _ClassVar[int]
    worker: str
    revoke: bool
    def __init__(self, worker: _Optional[str] = ..., revoke: _Optional[bool] = ...) -> None: ...

class RemoveWorkerResponse(_message.Message):
    __slots__ = ("id", "name", "held", "tokens")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    held: int
    tokens: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., held: _Optional[int] = ..., tokens: _Optional[_Iterable[str]] = ...) -> None: ...

class DrainWorkersRequest(_message.Message):
    __slots__ = ("workers", "reason", "within")
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    WITHIN_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedScalarFieldContainer[str]
    reason: str
    within: float
    def __init__(self, workers: _Optional[_Iterable[str]] = ..., reason: _Optional[str] = ..., within: _Optional[float] = ...) -> None: ...

class DrainWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[_jobs_pb2.WorkerInfo]
    def __init__(self, workers: _Optional[_Iterable[_Union[_jobs_pb2.WorkerInfo, _Mapping]]] = ...) -> None: ...

class ResumeWorkersRequest(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, workers: _Optional[_Iterable[str]] = ...) -> None: ...

class ResumeWorkersResponse(_message.Message):
    __slots__ = ("workers",)
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    workers: _containers.RepeatedCompositeFieldContainer[_jobs_pb2.WorkerInfo]
    def __init__(self, workers: _Optional[_Iterable[_Union[_jobs_pb2.WorkerInfo, _Mapping]]] = ...) -> None: ...

class PauseQueueRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class PauseQueueResponse(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: QueueInfo
    def __init__(self, queue: _Optional[_Union[QueueInfo, _Mapping]] = ...) -> None: ...

class ResumeQueueRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ResumeQueueResponse(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: QueueInfo
    def __init__(self, queue: _Optional[_Union[QueueInfo, _Mapping]] = ...) -> None: ...

class ShowQueueRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShowQueueResponse(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: QueueInfo
    def __init__(self, queue: _Optional[_Union[QueueInfo, _Mapping]] = ...) -> None: ...

class QueueInfo(_message.Message):
    __slots__ = ("pause", "jobs", "paused_jobs", "shares", "running_jobs", "tasks")
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    JOBS_FIELD_NUMBER: _ClassVar[int]
    PAUSED_JOBS_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    RUNNING_JOBS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    pause: _job_pb2.Pause
    jobs: int
    paused_jobs: int
    shares: _containers.RepeatedCompositeFieldContainer[Share]
    running_jobs: int
    tasks: _job_pb2.TaskCounts
    def __init__(self, pause: _Optional[_Union[_job_pb2.Pause, _Mapping]] = ..., jobs: _Optional[int] = ..., paused_jobs: _Optional[int] = ..., shares: _Optional[_Iterable[_Union[Share, _Mapping]]] = ..., running_jobs: _Optional[int] = ..., tasks: _Optional[_Union[_job_pb2.TaskCounts, _Mapping]] = ...) -> None: ...

class Share(_message.Message):
    __slots__ = ("user", "weight", "used_cpu_seconds", "held_millicpus")
    USER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    USED_CPU_SECONDS_FIELD_NUMBER: _ClassVar[int]
    HELD_MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    user: str
    weight: float
    used_cpu_seconds: float
    held_millicpus: int
    def __init__(self, user: _Optional[str] = ..., weight: _Optional[float] = ..., used_cpu_seconds: _Optional[float] = ..., held_millicpus: _Optional[int] = ...) -> None: ...

class SetShareRequest(_message.Message):
    __slots__ = ("user", "weight")
    USER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    user: str
    weight: float
    def __init__(self, user: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class SetShareResponse(_message.Message):
    __slots__ = ("queue",)
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    queue: QueueInfo
    def __init__(self, queue: _Optional[_Union[QueueInfo, _Mapping]] = ...) -> None: ...
