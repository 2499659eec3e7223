"""What the acceptance tests share: the one file, made by `build.py` as anyone would make it, and the command line."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.composed import Composed, composed_in
from tools.environments import REPOSITORY, locked

SOURCES = ("build.py", "cluster", "tools", "requirements")


@pytest.fixture(scope="session")
def cluster_file() -> Path:
    """`dist/cluster`, made now if something that it is made of is newer. `build.py test` has made it already."""
    file = REPOSITORY / "dist" / "cluster"
    with locked("dist"):
        if not file.exists() or file.stat().st_mtime < _newest():
            subprocess.run([sys.executable, "build.py"], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return file


def _newest() -> float:
    """The time of the latest change to what the file is made of, in seconds since the epoch."""
    paths = [REPOSITORY / name for name in SOURCES]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    # Python, in another process, may be about to rename what it compiles.
    sources = [file for file in files if "__pycache__" not in file.parts and file.is_file()]
    return max(file.stat().st_mtime for file in sources)


@pytest.fixture(scope="session")
def composed(cluster_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """compose.yaml in containers, the same for all tests of a process."""
    assert cluster_file == REPOSITORY / "dist" / "cluster"
    with composed_in(tmp_path_factory.mktemp("containers")) as composed:
        yield composed


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """`cluster` in a home where nothing ever ran."""
    return Command(tmp_path)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """`cluster` with an embedded cluster of two cpus, the same for all tests of a process."""
    command = Command(tmp_path_factory.mktemp("home"))
    command.ok("up", "--cpus", "2")
    yield command
    command.ok("down")
