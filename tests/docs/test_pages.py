"""Every example of every page of documentation does what the page says, on machines made for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.machines import ALONE, missing
from tests.docs.pages import blocks
from tests.patience import PATIENCE
from tools import npm
from tools.environments import REPOSITORY

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
# Tools that a page uses, and the packages that have them.
NEEDED = {
    "README": {"xz": "xz-utils"},
    "execute": {"bwrap": "bubblewrap"},
    "grpc": {"node": "nodejs", "npm": "npm"},
    "redis": {"redis-server": "redis-server", "redis-cli": "redis-tools"},
    "standby": {"redis-server": "redis-server", "redis-cli": "redis-tools"},
    "operations": {"systemd-analyze": "systemd"},
}
needs_machines = pytest.mark.skipif(missing() is not None, reason=missing() or "")


@pytest.fixture(scope="session")
def cache(cluster_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the file is unpacked, once for all pages: whichever process plays them finds there what others have
    compiled."""
    place = tmp_path_factory.getbasetemp()
    place = (place.parent if "PYTEST_XDIST_WORKER" in os.environ else place) / "unpacked"
    environ = {**os.environ, "CLUSTER_CACHE": str(place)}
    subprocess.run([sys.executable, cluster_file, "--version"], env=environ, check=True, capture_output=True)
    return place


@pytest.mark.slow
@needs_machines
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page.read_text())], ids=lambda page: page.stem)
def test_a_page_says_what_happens(page: Path, cache: Path, tmp_path: Path) -> None:
    tools = NEEDED.get(page.stem, {})
    if lacking := [tool for tool in tools if shutil.which(tool) is None]:
        pytest.skip(
            f"{page.name} needs {' and '.join(lacking)} (apt-get install {' '.join(tools[t] for t in lacking)})"
        )
    if page.stem == "grpc":
        npm.modules("grpc-js")
    play = [*ALONE, sys.executable, "-m", "tests.docs.play", str(page), str(cache), str(tmp_path)]
    done = subprocess.run(play, cwd=REPOSITORY, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
