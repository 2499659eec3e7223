"""The parts of the page that need no browser: their own tests of page/tests, bundled as the page is and run by node."""

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from tools import npm
from tools.environments import REPOSITORY

pytestmark = pytest.mark.slow
MACHINES = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node (apt install nodejs)")
@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm (apt install npm)")
@pytest.mark.skipif(not (REPOSITORY / "tools/page").exists(), reason="needs what bundles the page: tools/page")
def test_the_modules_of_the_page_keep_their_own_tests(tmp_path: Path) -> None:
    modules = npm.modules("page")
    assert modules
    tests = sorted((REPOSITORY / "page" / "tests").glob("*.test.ts"))
    assert len(tests) >= 3
    bundle: list[str | Path] = [
        modules / "@esbuild" / MACHINES[platform.machine()] / "bin" / "esbuild",
        *tests,
        f"--outdir={tmp_path}",
    ]
    options = ["--bundle", "--platform=node", "--format=esm", "--out-extension:.js=.mjs", "--log-level=warning"]
    subprocess.run([*bundle, *options], check=True)
    made = sorted(tmp_path.glob("*.mjs"))
    assert len(made) == len(tests)
    done = subprocess.run(["node", "--test", *made], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
