from cluster.v1 import job_pb2 as _job_pb2
from cluster.v1 import jobs_pb2 as _jobs_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StartJobRequest(_message.Message):
    __slots__ = ("id", "spec")
    ID_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    id: str
    spec: _job_pb2.JobSpec
    def __init__(self, id: _Optional[str] = ..., spec: _Optional[_Union[_job_pb2.JobSpec, _Mapping]] = ...) -> None: ...

class StartJobResponse(_message.Message):
    __slots__ = ("job", "task")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    task: _job_pb2.Task
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ..., task: _Optional[_Union[_job_pb2.Task, _Mapping]] = ...) -> None: ...

class StopJobRequest(_message.Message):
    __slots__ = ("selector", "grace", "reason")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    selector: _jobs_pb2.Selector
    grace: float
    reason: str
    def __init__(self, selector: _Optional[_Union[_jobs_pb2.Selector, _Mapping]] = ..., grace: _Optional[float] = ..., reason: _Optional[str] = ...) -> None: ...

class StopJobResponse(_message.Message):
    __slots__ = ("jobs",)
    JOBS_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ...) -> None: ...

class GetJobsRequest(_message.Message):
    __slots__ = ("selector", "below")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    BELOW_FIELD_NUMBER: _ClassVar[int]
    selector: _jobs_pb2.Selector
    below: int
    def __init__(self, selector: _Optional[_Union[_jobs_pb2.Selector, _Mapping]] = ..., below: _Optional[int] = ...) -> None: ...

class GetJobsResponse(_message.Message):
    __slots__ = ("jobs", "tasks", "next")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[_job_pb2.Job]
    tasks: _containers.RepeatedCompositeFieldContainer[_job_pb2.Task]
    next: int
    def __init__(self, jobs: _Optional[_Iterable[_Union[_job_pb2.Job, _Mapping]]] = ..., tasks: _Optional[_Iterable[_Union[_job_pb2.Task, _Mapping]]] = ..., next: _Optional[int] = ...) -> None: ...

class WaitJobRequest(_message.Message):
    __slots__ = ("selector",)
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    selector: _jobs_pb2.Selector
    def __init__(self, selector: _Optional[_Union[_jobs_pb2.Selector, _Mapping]] = ...) -> None: ...

class WaitJobResponse(_message.Message):
    __slots__ = ("job", "task")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    task: _job_pb2.Task
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ..., task: _Optional[_Union[_job_pb2.Task, _Mapping]] = ...) -> None: ...

class RecordJobStatusRequest(_message.Message):
    __slots__ = ("selector", "status")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    selector: _jobs_pb2.Selector
    status: str
    def __init__(self, selector: _Optional[_Union[_jobs_pb2.Selector, _Mapping]] = ..., status: _Optional[str] = ...) -> None: ...

class RecordJobStatusResponse(_message.Message):
    __slots__ = ("job", "task")
    JOB_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    job: _job_pb2.Job
    task: _job_pb2.Task
    def __init__(self, job: _Optional[_Union[_job_pb2.Job, _Mapping]] = ..., task: _Optional[_Union[_job_pb2.Task, _Mapping]] = ...) -> None: ...

class ReadJobOutputRequest(_message.Message):
    __slots__ = ("selector", "stdout", "stderr", "follow", "tail_lines", "position")
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    TAIL_LINES_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    selector: _jobs_pb2.Selector
    stdout: bool
    stderr: bool
    follow: bool
    tail_lines: int
    position: _jobs_pb2.Position
    def __init__(self, selector: _Optional[_Union[_jobs_pb2.Selector, _Mapping]] = ..., stdout: _Optional[bool] = ..., stderr: _Optional[bool] = ..., follow: _Optional[bool] = ..., tail_lines: _Optional[int] = ..., position: _Optional[_Union[_jobs_pb2.Position, _Mapping]] = ...) -> None: ...

class ReadJobOutputResponse(_message.Message):
    __slots__ = ("stderr", "data", "end")
    STDERR_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    stderr: bool
    data: bytes
    end: int
    def __init__(self, stderr: _Optional[bool] = ..., data: _Optional[bytes] = ..., end: _Optional[int] = ...) -> None: ...
