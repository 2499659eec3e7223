"""What several contracts need."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_servers import RedisServer, redis_server


@pytest.fixture(scope="module")
def redis_of_module() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="redis-") as directory, redis_server(Path(directory)) as server:
        yield server


@pytest.fixture
def empty_redis(redis_of_module: RedisServer) -> str:
    """The URL of a Redis with nothing in it."""
    with redis_of_module.client() as client:
        client.flushall()
    return redis_of_module.url
