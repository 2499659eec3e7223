"""The HTTP door is asked whatever its description leaves open, in each role: it answers as it says, and never fails."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.acceptance.door import Door
from tools.environments import clean_environ, environment

pytestmark = [pytest.mark.slow, pytest.mark.extra_http]

CHECKS = (
    *("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"),
    *("response_schema_conformance", "negative_data_rejection", "unsupported_method", "ignored_auth"),
)
# /execute answers 503 where no worker runs code; what streams has no end while its job has none.
LEFT_OUT = ("/execute", "/stream", "/v1/jobs/{job}/logs", "/v1/jobs/{job}/wait", "/v1/jobs/{job}/tree")
EXAMPLES, LEAST = 150, 5000  # of each operation, and of all together


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with Daemons(Command(tmp_path_factory.mktemp("home"))) as daemons:
        door = Door(daemons)
        door.start()
        yield door


@pytest.mark.parametrize("role", ["viewer", "user", "admin"])
def test_whatever_the_description_leaves_open_is_answered_as_it_says(door: Door, role: str, tmp_path: Path) -> None:
    token = door.command.ok("token", "create", "--for", "http", "--role", role, "--user", f"fuzz-{role}").text.strip()
    (tmp_path / "openapi.json").write_text(door.curl(f"{door.url}/v1/openapi.json").text)
    before = door.get("/v1/jobs").json
    line: list[str | Path] = [environment("checks").with_name("schemathesis"), "run", tmp_path / "openapi.json"]
    line += ["--url", door.url, "--tls-verify", str(door.ca), "--header", f"Authorization: Bearer {token}"]
    line += ["--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES)]
    line += ["--continue-on-failure", "--no-color", "--warnings", "off", "--suppress-health-check", "all"]
    line += ["--generation-deterministic", "--request-timeout", "60", "--workers", "2"]
    for path in LEFT_OUT:
        line += ["--exclude-path", path]
    done = subprocess.run(line, cwd=tmp_path, env=clean_environ(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    found = re.search(r"(\d+) generated", done.stdout)
    assert found, done.stdout[-2000:]
    assert int(found[1]) >= LEAST
    if role == "viewer":
        assert door.get("/v1/jobs").json == before
    door.wait_until_it_answers()
