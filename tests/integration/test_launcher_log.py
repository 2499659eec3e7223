"""The launcher's log lies on the disk that may be full, and nothing may end for want of a line in it."""

import os
from collections.abc import Callable
from pathlib import Path

from cluster.launcher.log import log
from tests.faults import no_file_may_exceed


def in_place_of_stderr(path: Path, flags: int, body: Callable[[], None]) -> None:
    kept = os.dup(2)
    file = os.open(path, flags, 0o600)
    os.dup2(file, 2)
    try:
        body()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(file)


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    def body() -> None:
        log("first")
        with no_file_may_exceed(os.fstat(2).st_size):
            log("lost")
            log("lost too")
        log("with a byte of no text: \udcff")
        log("last")

    path = tmp_path / "launcher.log"
    in_place_of_stderr(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, body)
    assert [line.partition(": ")[2] for line in path.read_text().splitlines()] == [
        "first",
        "with a byte of no text: \\udcff (2 lines before this one could not be written)",
        "last",
    ]


def test_without_any_stderr_it_says_nothing(tmp_path: Path) -> None:
    kept = os.dup(2)
    os.close(2)
    try:
        log("nobody hears it")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
