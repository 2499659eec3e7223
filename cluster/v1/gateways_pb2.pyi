from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PassOnRequest(_message.Message):
    __slots__ = ("calls", "given_up")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    GIVEN_UP_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[PassedCall]
    given_up: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, calls: _Optional[_Iterable[_Union[PassedCall, _Mapping]]] = ..., given_up: _Optional[_Iterable[int]] = ...) -> None: ...

class PassedCall(_message.Message):
    __slots__ = ("id", "method", "request", "token", "certificate")
    ID_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CERTIFICATE_FIELD_NUMBER: _ClassVar[int]
    id: int
    method: str
    request: bytes
    token: str
    certificate: bytes
    def __init__(self, id: _Optional[int] = ..., method: _Optional[str] = ..., request: _Optional[bytes] = ..., token: _Optional[str] = ..., certificate: _Optional[bytes] = ...) -> None: ...

class PassOnResponse(_message.Message):
    __slots__ = ("answers",)
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    answers: _containers.RepeatedCompositeFieldContainer[PassedAnswer]
    def __init__(self, answers: _Optional[_Iterable[_Union[PassedAnswer, _Mapping]]] = ...) -> None: ...

class PassedAnswer(_message.Message):
    __slots__ = ("id", "response", "error", "details")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    id: int
    response: bytes
    error: str
    details: str
    def __init__(self, id: _Optional[int] = ..., response: _Optional[bytes] = ..., error: _Optional[str] = ..., details: _Optional[str] = ...) -> None: ...
