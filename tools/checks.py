"""Everything that must hold before a change lands, side by side where one does not need the other."""

import os
import subprocess
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tools import page, protos
from tools.environments import REPOSITORY, clean_environ, environment


class Failed(Exception):
    """A check found something; the message is what it says about it."""


@dataclass(frozen=True)
class Result:
    """How one check ended: `problem` is empty when it passed, `remark` is a few words for the summary."""

    name: str
    seconds: float
    problem: str = ""
    remark: str = ""


Check = Callable[[], str]  # returns the remark; raises Failed or CalledProcessError


def run(pytest_arguments: list[str], *, quick: bool, make_file: Callable[[], Path]) -> int:
    """Runs all checks, prints what they found and a summary, and returns how many failed."""
    checks: dict[str, Check] = {"types": _types, "lint": _lint, "format": _format, "protos": _protos}
    if not quick:
        # The file comes first: making it takes longest, and the acceptance tests wait for it. The environment of
        # the outside checkers is made here too, so that no test has to.
        checks = {"file": lambda: _size(make_file()), **checks, "page": _page, "buf": _buf, "checkers": _checkers}
        checks["found"] = lambda: _found(pytest_arguments)
    environment("dev")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        running = [pool.submit(_timed, name, check) for name, check in checks.items()]
        results = [future.result() for future in running]
    for result in results:
        if result.problem:
            print(f"== {result.name}\n{result.problem}", flush=True)
    results.append(_timed("tests", lambda: _tests(pytest_arguments, quick)))
    for result in results:
        said = result.remark or result.problem.splitlines()[-1]
        print(f"{result.name:<10}{'FAILED' if result.problem else 'ok':<8}{result.seconds:6.1f} s   {said}")
    return sum(bool(result.problem) for result in results)


def simulate(seeds: str) -> int:
    """Runs seeds of the simulation, `N` or `FIRST-LAST`, on all cores; returns 0 when none failed."""
    command: list[str | Path] = [environment("dev"), "-m", "tests.sim.many", seeds]
    return subprocess.run(command, check=False, cwd=REPOSITORY, env=clean_environ()).returncode


def fix() -> None:
    """Formats everything and repairs what the linter can repair by itself."""
    _tool("ruff", "check", "--fix")
    _tool("ruff", "format")


def _timed(name: str, check: Check) -> Result:
    start = time.monotonic()
    problem = remark = ""
    try:
        remark = check()
    except Failed as failed:
        problem = str(failed) or "failed"
    except subprocess.CalledProcessError as failed:
        problem = f"{failed.output or ''}failed with code {failed.returncode}: {' '.join(map(str, failed.cmd))}"
    return Result(name, time.monotonic() - start, problem, remark)


def _lint() -> str:
    return _tool("ruff", "check", "--output-format=concise")


def _format() -> str:
    return _tool("ruff", "format", "--check")


def _types() -> str:
    return _tool("mypy")


def _protos() -> str:
    if stale := protos.stale():
        raise Failed(f"not what protoc writes now, run `python3 build.py protos`: {', '.join(stale)}")
    return "generated code is up to date"


def _buf() -> str:
    _run([protos.buf(), "lint"], cwd=protos.PROTOS)
    return "lint is clean"


def _page() -> str:
    place = page.make()
    if found := page.check_types():
        raise Failed(found)
    return f"the script has {(place / 'app.js').stat().st_size:,} bytes"


def _checkers() -> str:
    environment("checks")
    return "sslyze and pkilint are there for the tests"


def _size(file: Path) -> str:
    size = file.stat().st_size
    if size > 32_000_000:
        raise Failed(f"{file} has {size:,} bytes, more than the 32,000,000 that it may have")
    return f"{file.relative_to(REPOSITORY)} has {size:,} bytes"


def _found(arguments: list[str]) -> str:
    """Imports all tests: each is compiled once, and not by each of the processes that run them."""
    collect: list[str | Path] = [environment("dev"), "-m", "pytest", "--collect-only", *arguments]
    return _run(collect, cwd=REPOSITORY, environ=_compiling())


def _compiling() -> dict[str, str]:
    """An environment in which Python keeps what it has compiled, also in a container image that says otherwise: the
    tests start thousands of processes, each of which would compile all that it imports."""
    return {name: value for name, value in clean_environ().items() if name != "PYTHONDONTWRITEBYTECODE"}


def _tests(arguments: list[str], quick: bool) -> str:
    """Runs pytest, shows its output as it comes, and returns its closing line."""
    selection = ["-m", "not slow"] if quick else []
    # Three for each cpu: tests wait for processes that they start, for half of their time. With two a fifth of the cpus
    # had nothing to do.
    spread = ["-n", str(3 * (os.cpu_count() or 1)), "--dist=worksteal"]
    slowest = ["--durations=25", "--durations-min=5"]
    pytest = [*_own_mounts(), str(environment("dev")), "-m", "pytest", *spread, *slowest, *selection, *arguments]
    closing = ""
    # Directories of their own: pytest by itself clears away what earlier runs left, and fails where it cannot.
    with TemporaryDirectory(prefix="tests-", ignore_cleanup_errors=True) as directory:
        environ = {**_compiling(), "PYTEST_DEBUG_TEMPROOT": directory}
        with subprocess.Popen(
            pytest, cwd=REPOSITORY, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            assert process.stdout is not None, "it is a pipe"
            for line in process.stdout:
                print(line, end="", flush=True)
                closing = line.strip() or closing
    if process.returncode:
        raise Failed(closing)
    return closing


def _own_mounts() -> list[str]:
    """What to put before a command, so that what it mounts is gone with its last process, however that ends."""
    unshare = ["unshare", "--mount"]
    try:
        allowed = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        allowed = False
    return unshare if allowed else []


def _tool(name: str, *arguments: str) -> str:
    """Runs a tool of the dev environment on the repository and returns the last line that it wrote."""
    return _run([environment("dev").with_name(name), *arguments], cwd=REPOSITORY)


def _run(command: list[str | Path], cwd: Path, environ: Mapping[str, str] | None = None) -> str:
    environ = clean_environ() if environ is None else environ
    done = subprocess.run(
        command, cwd=cwd, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise Failed(done.stdout)
    return (done.stdout.splitlines() or [""])[-1]
