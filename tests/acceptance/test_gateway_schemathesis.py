"""The HTTP door is asked whatever its description leaves open, in each role: it answers as it says, and never fails."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.door import Door
from tests.sandboxes import worker_options
from tools.environments import clean_environ, environment

pytestmark = [pytest.mark.slow, pytest.mark.extra_http]

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "negative_data_rejection", "unsupported_method", "ignored_auth"),
)
# What has no end while its job has none, and code, are asked apart, where workers run them.
APART = ("/execute", "/stream", "/v1/jobs/{job}/logs", "/v1/jobs/{job}/wait", "/v1/jobs/{job}/tree")
EVENTS = ("/stream", "/v1/jobs/{job}/logs", "/v1/jobs/{job}/wait")
EXAMPLES, LEAST = 150, 5000  # of each operation, and of all together
LEAST_APART = 300
JOBS = ("1", "2", "2.3", "last", "sweep", "sweep:failed")  # all that there is of them, when streams are asked


class Fuzzed:
    """A door, and what it says of itself."""

    def __init__(self, door: Door, place: Path, request: pytest.FixtureRequest) -> None:
        self.door, self._place, self._request = door, place, request
        self.description = json.loads(door.curl(f"{door.url}/v1/openapi.json").text)

    def token(self, role: str) -> str:
        made = self.door.command.ok("token", "create", "--for", "http", "--role", role, "--user", f"fuzz-{role}")
        return made.text.strip()

    def cases(self, token: str, *options: str) -> int:
        """How many were made; none was answered as it must not be."""
        (self._place / "openapi.json").write_text(json.dumps(self.description))
        line: list[str | Path] = [environment("checks").with_name("schemathesis"), "run", self._place / "openapi.json"]
        line += [
            "--url",
            self.door.url,
            "--tls-verify",
            str(self.door.ca),
            "--header",
            f"Authorization: Bearer {token}",
        ]
        line += ["--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES)]
        line += ["--continue-on-failure", "--no-color", "--warnings", "off", "--suppress-health-check", "all"]
        line += ["--generation-deterministic", "--request-timeout", "60", "--workers", "2", *options]
        done = subprocess.run(line, cwd=self._place, env=clean_environ(), capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
        found = re.search(r"(\d+) generated", done.stdout)
        assert found, done.stdout[-2000:]
        self._keep(int(found[1]))
        return int(found[1])

    def _keep(self, cases: int) -> None:
        """Prints how many there were, also where all went well, and keeps it in .pytest_cache."""
        name, capture = self._request.node.name, self._request.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"\n{name}: {cases} cases")
        cache = self._request.config.cache
        cache.set("http/cases", {**cache.get("http/cases", {}), name: cases})


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with Daemons(Command(tmp_path_factory.mktemp("home"))) as daemons:
        door = Door(daemons)
        door.start()
        yield door


@pytest.fixture(scope="module")
def working(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """With a worker that runs code, and jobs that have ended."""
    with Daemons(Command(tmp_path_factory.mktemp("home"))) as daemons:
        door = Door(daemons)
        door.start()
        daemons.start_worker("box", "--cpus", "2", *worker_options())
        door.command("run", "--name", "other", "--", "sh", "-c", "echo out; echo err >&2")
        door.command("run", "--name", "sweep", "--array", "1-3", "--", "sh", "-c", "test $CLUSTER_TASK = 2")
        yield door


@pytest.mark.parametrize("role", ["viewer", "user", "admin"])
def test_whatever_the_description_leaves_open_is_answered_as_it_says(
    door: Door, role: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fuzzed = Fuzzed(door, tmp_path, request)
    before = door.get("/v1/jobs").json
    left_out = [word for path in APART for word in ("--exclude-path", path)]
    assert fuzzed.cases(fuzzed.token(role), *left_out) >= LEAST
    if role == "viewer":
        assert door.get("/v1/jobs").json == before
    door.wait_until_it_answers()


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
@pytest.mark.parametrize("role", ["viewer", "user", "admin"])
def test_so_are_streams(working: Door, role: str, accept: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    fuzzed = Fuzzed(working, tmp_path, request)
    for path in EVENTS:
        (operation,) = fuzzed.description["paths"][path].values()
        for parameter in operation["parameters"]:
            if parameter["name"] in ("job", "job_id"):
                parameter["schema"] = {"enum": [*JOBS]}
    wanted = [word for path in (*EVENTS, "/v1/jobs/{job}/tree") for word in ("--include-path", path)]
    assert fuzzed.cases(fuzzed.token(role), *wanted, "--header", f"Accept: {accept}") >= LEAST_APART
    working.wait_until_it_answers()


@pytest.mark.parametrize("role", ["viewer", "user", "admin"])
def test_so_is_code(working: Door, role: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    fuzzed = Fuzzed(working, tmp_path, request)
    assert fuzzed.cases(fuzzed.token(role), "--include-path", "/execute") >= LEAST_APART
    working.wait_until_it_answers()
