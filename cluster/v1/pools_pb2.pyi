from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ExchangeRequest(_message.Message):
    __slots__ = ("pools",)
    POOLS_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedCompositeFieldContainer[PoolInfo]
    def __init__(self, pools: _Optional[_Iterable[_Union[PoolInfo, _Mapping]]] = ...) -> None: ...

class ExchangeResponse(_message.Message):
    __slots__ = ("demand", "workers", "wishes", "schedulers")
    DEMAND_FIELD_NUMBER: _ClassVar[int]
    WORKERS_FIELD_NUMBER: _ClassVar[int]
    WISHES_FIELD_NUMBER: _ClassVar[int]
    SCHEDULERS_FIELD_NUMBER: _ClassVar[int]
    demand: _containers.RepeatedCompositeFieldContainer[Demand]
    workers: _containers.RepeatedCompositeFieldContainer[PoolMember]
    wishes: _containers.RepeatedCompositeFieldContainer[PoolWish]
    schedulers: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, demand: _Optional[_Iterable[_Union[Demand, _Mapping]]] = ..., workers: _Optional[_Iterable[_Union[PoolMember, _Mapping]]] = ..., wishes: _Optional[_Iterable[_Union[PoolWish, _Mapping]]] = ..., schedulers: _Optional[_Iterable[str]] = ...) -> None: ...

class Demand(_message.Message):
    __slots__ = ("millicpus", "amounts", "need", "exclusive", "worker", "ready")
    class AmountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    NEED_FIELD_NUMBER: _ClassVar[int]
    EXCLUSIVE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    millicpus: int
    amounts: _containers.ScalarMap[str, int]
    need: str
    exclusive: bool
    worker: str
    ready: int
    def __init__(self, millicpus: _Optional[int] = ..., amounts: _Optional[_Mapping[str, int]] = ..., need: _Optional[str] = ..., exclusive: _Optional[bool] = ..., worker: _Optional[str] = ..., ready: _Optional[int] = ...) -> None: ...

class PoolMember(_message.Message):
    __slots__ = ("pool", "machine", "worker", "online", "held", "drained")
    POOL_FIELD_NUMBER: _ClassVar[int]
    MACHINE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    DRAINED_FIELD_NUMBER: _ClassVar[int]
    pool: str
    machine: str
    worker: str
    online: bool
    held: int
    drained: bool
    def __init__(self, pool: _Optional[str] = ..., machine: _Optional[str] = ..., worker: _Optional[str] = ..., online: _Optional[bool] = ..., held: _Optional[int] = ..., drained: _Optional[bool] = ...) -> None: ...

class PoolWish(_message.Message):
    __slots__ = ("pool", "count", "paused")
    POOL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    pool: str
    count: int
    paused: bool
    def __init__(self, pool: _Optional[str] = ..., count: _Optional[int] = ..., paused: _Optional[bool] = ...) -> None: ...

class PoolInfo(_message.Message):
    __slots__ = ("name", "provider", "minimum", "maximum", "starting", "starting_since", "online", "leaving", "trouble", "millicpus", "amounts")
    class AmountsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    STARTING_FIELD_NUMBER: _ClassVar[int]
    STARTING_SINCE_FIELD_NUMBER: _ClassVar[int]
    ONLINE_FIELD_NUMBER: _ClassVar[int]
    LEAVING_FIELD_NUMBER: _ClassVar[int]
    TROUBLE_FIELD_NUMBER: _ClassVar[int]
    MILLICPUS_FIELD_NUMBER: _ClassVar[int]
    AMOUNTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    provider: str
    minimum: int
    maximum: int
    starting: int
    starting_since: float
    online: int
    leaving: int
    trouble: str
    millicpus: int
    amounts: _containers.ScalarMap[str, int]
    def __init__(self, name: _Optional[str] = ..., provider: _Optional[str] = ..., minimum: _Optional[int] = ..., maximum: _Optional[int] = ..., starting: _Optional[int] = ..., starting_since: _Optional[float] = ..., online: _Optional[int] = ..., leaving: _Optional[int] = ..., trouble: _Optional[str] = ..., millicpus: _Optional[int] = ..., amounts: _Optional[_Mapping[str, int]] = ...) -> None: ...

class ListPoolsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPoolsResponse(_message.Message):
    __slots__ = ("pools",)
    POOLS_FIELD_NUMBER: _ClassVar[int]
    pools: _containers.RepeatedCompositeFieldContainer[PoolStatus]
    def __init__(self, pools: _Optional[_Iterable[_Union[PoolStatus, _Mapping]]] = ...) -> None: ...

class PoolStatus(_message.Message):
    __slots__ = ("pool", "age", "wish")
    POOL_FIELD_NUMBER: _ClassVar[int]
    AGE_FIELD_NUMBER: _ClassVar[int]
    WISH_FIELD_NUMBER: _ClassVar[int]
    pool: PoolInfo
    age: float
    wish: PoolWish
    def __init__(self, pool: _Optional[_Union[PoolInfo, _Mapping]] = ..., age: _Optional[float] = ..., wish: _Optional[_Union[PoolWish, _Mapping]] = ...) -> None: ...

class SetPoolRequest(_message.Message):
    __slots__ = ("wish",)
    WISH_FIELD_NUMBER: _ClassVar[int]
    wish: PoolWish
    def __init__(self, wish: _Optional[_Union[PoolWish, _Mapping]] = ...) -> None: ...

class SetPoolResponse(_message.Message):
    __slots__ = ("pool",)
    POOL_FIELD_NUMBER: _ClassVar[int]
    pool: PoolStatus
    def __init__(self, pool: _Optional[_Union[PoolStatus, _Mapping]] = ...) -> None: ...
