from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FindMissingRequest(_message.Message):
    __slots__ = ("digests",)
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    digests: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, digests: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FindMissingResponse(_message.Message):
    __slots__ = ("missing", "begun")
    MISSING_FIELD_NUMBER: _ClassVar[int]
    BEGUN_FIELD_NUMBER: _ClassVar[int]
    missing: _containers.RepeatedScalarFieldContainer[int]
    begun: _containers.RepeatedCompositeFieldContainer[BegunContent]
    def __init__(self, missing: _Optional[_Iterable[int]] = ..., begun: _Optional[_Iterable[_Union[BegunContent, _Mapping]]] = ...) -> None: ...

class BegunContent(_message.Message):
    __slots__ = ("place", "bytes")
    PLACE_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    place: int
    bytes: int
    def __init__(self, place: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class ContentPiece(_message.Message):
    __slots__ = ("digest", "size", "offset", "data")
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    digest: bytes
    size: int
    offset: int
    data: bytes
    def __init__(self, digest: _Optional[bytes] = ..., size: _Optional[int] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class PutContentsRequest(_message.Message):
    __slots__ = ("pieces",)
    PIECES_FIELD_NUMBER: _ClassVar[int]
    pieces: _containers.RepeatedCompositeFieldContainer[ContentPiece]
    def __init__(self, pieces: _Optional[_Iterable[_Union[ContentPiece, _Mapping]]] = ...) -> None: ...

class PutContentsResponse(_message.Message):
    __slots__ = ("taken",)
    TAKEN_FIELD_NUMBER: _ClassVar[int]
    taken: int
    def __init__(self, taken: _Optional[int] = ...) -> None: ...

class GetContentsRequest(_message.Message):
    __slots__ = ("job", "digests", "offset")
    JOB_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    job: int
    digests: _containers.RepeatedScalarFieldContainer[bytes]
    offset: int
    def __init__(self, job: _Optional[int] = ..., digests: _Optional[_Iterable[bytes]] = ..., offset: _Optional[int] = ...) -> None: ...

class GetContentsResponse(_message.Message):
    __slots__ = ("pieces",)
    PIECES_FIELD_NUMBER: _ClassVar[int]
    pieces: _containers.RepeatedCompositeFieldContainer[ContentPiece]
    def __init__(self, pieces: _Optional[_Iterable[_Union[ContentPiece, _Mapping]]] = ...) -> None: ...
