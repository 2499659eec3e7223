"""The parts of the page that need no browser: their own tests of page/tests, bundled as the page is and run by node."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools import npm
from tools.environments import REPOSITORY

pytestmark = pytest.mark.slow
MACHINES = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node (apt install nodejs)")
def test_the_modules_of_the_page_keep_their_own_tests(tmp_path: Path) -> None:
    modules = npm.modules("page")
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


def test_a_machine_without_npm_has_that_of_the_package_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    done = subprocess.run([*npm.command(), "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout)
