from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ShowRoomRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ShowRoomResponse(_message.Message):
    __slots__ = ("spaces", "free", "size", "keep_jobs", "keep_output", "workers", "reserve", "keep_files", "user_files", "users", "keep_usage", "user_output", "outputs")
    SPACES_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    KEEP_JOBS_FIELD_NUMBER: _ClassVar[int]
    KEEP_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    RESERVE_FIELD_NUMBER: _ClassVar[int]
    KEEP_FILES_FIELD_NUMBER: _ClassVar[int]
    USER_FILES_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    KEEP_USAGE_FIELD_NUMBER: _ClassVar[int]
    USER_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    spaces: _containers.RepeatedCompositeFieldContainer[Space]
    free: int
    size: int
    keep_jobs: str
    keep_output: str
    workers: _containers.RepeatedCompositeFieldContainer[WorkerRoom]
    reserve: int
    keep_files: str
    user_files: int
    users: _containers.RepeatedCompositeFieldContainer[UserFiles]
    keep_usage: str
    user_output: int
    outputs: _containers.RepeatedCompositeFieldContainer[UserFiles]
    def __init__(self, spaces: _Optional[_Iterable[_Union[Space, _Mapping]]] = ..., free: _Optional[int] = ..., size: _Optional[int] = ..., keep_jobs: _Optional[str] = ..., keep_output: _Optional[str] = ..., workers: _Optional[_Iterable[_Union[WorkerRoom, _Mapping]]] = ..., reserve: _Optional[int] = ..., keep_files: _Optional[str] = ..., user_files: _Optional[int] = ..., users: _Optional[_Iterable[_Union[UserFiles, _Mapping]]] = ..., keep_usage: _Optional[str] = ..., user_output: _Optional[int] = ..., outputs: _Optional[_Iterable[_Union[UserFiles, _Mapping]]] = ...) -> None: ...

class UserFiles(_message.Message):
    __slots__ = ("user", "bytes")
    USER_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    user: str
    bytes: int
    def __init__(self, user: _Optional[str] = ..., bytes: _Optional[int] = ...) -> None: ...

class Space(_message.Message):
    __slots__ = ("name", "bytes", "free")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    name: str
    bytes: int
    free: int
    def __init__(self, name: _Optional[str] = ..., bytes: _Optional[int] = ..., free: _Optional[int] = ...) -> None: ...

class WorkerRoom(_message.Message):
    __slots__ = ("id", "name", "spaces", "free", "size", "reserve")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SPACES_FIELD_NUMBER: _ClassVar[int]
    FREE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    RESERVE_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    spaces: _containers.RepeatedCompositeFieldContainer[Space]
    free: int
    size: int
    reserve: int
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., spaces: _Optional[_Iterable[_Union[Space, _Mapping]]] = ..., free: _Optional[int] = ..., size: _Optional[int] = ..., reserve: _Optional[int] = ...) -> None: ...

class PruneRequest(_message.Message):
    __slots__ = ("dry_run", "keep_jobs", "keep_output", "keep_files", "keep_usage")
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    KEEP_JOBS_FIELD_NUMBER: _ClassVar[int]
    KEEP_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    KEEP_FILES_FIELD_NUMBER: _ClassVar[int]
    KEEP_USAGE_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    keep_jobs: str
    keep_output: str
    keep_files: str
    keep_usage: str
    def __init__(self, dry_run: _Optional[bool] = ..., keep_jobs: _Optional[str] = ..., keep_output: _Optional[str] = ..., keep_files: _Optional[str] = ..., keep_usage: _Optional[str] = ...) -> None: ...

class PruneResponse(_message.Message):
    __slots__ = ("jobs", "outputs", "job_bytes", "output_bytes", "keep_jobs", "keep_output", "files", "file_bytes", "keep_files", "usage_days", "keep_usage")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    JOB_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEEP_JOBS_FIELD_NUMBER: _ClassVar[int]
    KEEP_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    FILE_BYTES_FIELD_NUMBER: _ClassVar[int]
    KEEP_FILES_FIELD_NUMBER: _ClassVar[int]
    USAGE_DAYS_FIELD_NUMBER: _ClassVar[int]
    KEEP_USAGE_FIELD_NUMBER: _ClassVar[int]
    jobs: int
    outputs: int
    job_bytes: int
    output_bytes: int
    keep_jobs: str
    keep_output: str
    files: int
    file_bytes: int
    keep_files: str
    usage_days: int
    keep_usage: str
    def __init__(self, jobs: _Optional[int] = ..., outputs: _Optional[int] = ..., job_bytes: _Optional[int] = ..., output_bytes: _Optional[int] = ..., keep_jobs: _Optional[str] = ..., keep_output: _Optional[str] = ..., files: _Optional[int] = ..., file_bytes: _Optional[int] = ..., keep_files: _Optional[str] = ..., usage_days: _Optional[int] = ..., keep_usage: _Optional[str] = ...) -> None: ...
