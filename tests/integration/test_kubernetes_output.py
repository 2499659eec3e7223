"""What a Pod has written comes whole, also where the connection breaks by which its end is followed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.worker.runners import kubernetes
from cluster.worker.runners.engine import OutputPart
from cluster.worker.runners.kubernetes import KubernetesEngine, KubernetesSettings

NAME = "cluster-0123456789ab-5-2-1"
LINES = [b"2026-01-02T00:00:00.1Z one\n", b"2026-01-02T00:00:00.2Z two\n"]


class Answer:
    def __init__(self, *, breaks: bool) -> None:
        self._breaks = breaks

    def stream(self, size: int) -> Iterator[bytes]:
        yield LINES[0]
        if self._breaks:
            raise OSError("reset")
        yield LINES[1]

    def close(self) -> None:
        pass


class Api:
    """Its answers that follow a log break."""

    address = "https://127.0.0.1:6443"

    def __init__(self, *_: object) -> None:
        pass

    def call(self, *_: object, **query: object) -> dict[str, Any]:
        return {}

    def open(self, *_: object, **query: object) -> Answer:
        return Answer(breaks="follow" in query)


def test_what_is_written_after_the_connection_broke_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "KubernetesApi", Api)
    engine = KubernetesEngine(KubernetesSettings("jobs", image="image"), tmp_path)
    engine.stop(NAME, "jobs/it", 10.0)
    part, written = OutputPart(b"", "", True), b""
    while part.more:
        part = engine.output(NAME, "jobs/it", part.position)
        written += part.data
    assert written == b"one\ntwo\n"
