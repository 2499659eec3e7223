"""What several tests of Redis need."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_servers import RedisServer, redis_server


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="redis-") as directory, redis_server(Path(directory)) as server:
        yield server


@pytest.fixture
def empty(server: RedisServer) -> RedisServer:
    """With nothing in it."""
    with server.client() as client:
        client.flushall()
    return server
