"""The founding documents' calls, as their curl commands: a job scheduler, jobs for one worker, a job processor."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Command, Done
from tests.acceptance.daemons import Daemons, free_port
from tests.acceptance.door import Door

pytestmark = pytest.mark.slow

SCRIPT = 'for n in 1 2 3; do echo "$n"; done\n'
TIMESTAMP = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"


class Curl:
    """Curl, which shows a token to one door. `typed` is as in the documents, with the door's URL for http://HOST."""

    def __init__(self, door: Door, token: str, url: str) -> None:
        self._door, self._token, self._url = door, token, url

    def __call__(self, typed: str) -> Done:
        words = [word.replace("http://HOST", self._url) for word in shlex.split(typed)]
        assert words.pop(0) == "curl"
        return self._door.curl("-H", f"Authorization: Bearer {self._token}", *words)

    def status(self, typed: str) -> int:
        """Of the answer, whose problem is one where it has one."""
        done = self(f"{typed} -w '\\n%{{http_code}}'")
        body, _, code = done.text.rpartition("\n")
        assert int(code) < 400 or '"type": "/v1/docs#' in body, done
        return int(code)


@pytest.fixture  # for each test: in the documents' dialogues jobs are numbered from 1
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    home = tmp_path_factory.mktemp("home")
    (home / "scripts" / "worker" / "scripts").mkdir(parents=True)
    (home / "scripts" / "worker" / "scripts" / "count.sh").write_text(SCRIPT)
    (home / "bin").mkdir()
    # The documents' jobs fetch a page of the world outside. Ours waits until it may go on.
    os.mkfifo(home / "go")
    (home / "bin" / "curl").write_text(f'#!/bin/sh\nread line < {home / "go"}\necho "<html>$1</html>"\n')
    (home / "bin" / "curl").chmod(0o755)
    with Daemons(Command(home)) as daemons:
        door = Door(daemons)
        door.start()
        daemons.around["node-01"] = ["env", f"PATH={home / 'bin'}:{os.environ['PATH']}"]
        daemons.start_worker("node-01", "--scripts", str(home / "scripts"), "--cpus", "2")
        yield door


@pytest.fixture
def curl(door: Door) -> Curl:
    return Curl(door, door.token, door.url)


def let_go(door: Door) -> None:
    """A job that fetches a page goes on."""
    (door.command.home / "go").write_text("\n")


def test_the_sample_dialogue_of_the_job_scheduler_line_by_line(
    door: Door, curl: Curl
) -> None:  # S3.6, S3.7, S3.8, S3.10
    def status() -> dict[str, str]:
        found: dict[str, str] = curl("curl http://HOST/scheduler/jobs/2/status").json
        assert re.fullmatch(TIMESTAMP, found.pop("created-at"))
        return found

    # "First, a user requests a new job be placed", in the document's two forms. The first lacks braces there, too.
    request = """'{"commands": [ "command": [ "curl", "https://www.google.com/" ] ] }'"""
    assert list(curl(f"curl http://HOST/scheduler/jobs/new -d {request}").json) == ["request_id"]
    let_go(door)
    curl("curl http://HOST/v1/jobs/1/wait")
    answer = curl("""curl -i http://HOST/scheduler/jobs/new -d 'command=curl "https://www.google.com/"'""").text
    assert re.search(r'\r\n\r\n{"request_id": "[0-9a-f-]{36}"}$', answer)
    # "Returned data: '/scheduler/jobs/2'"
    assert "\r\nlocation: /scheduler/jobs/2\r\n" in answer
    (node,) = curl("curl http://HOST/scheduler/nodes/available").json["nodes"]
    assert {name: node[name] for name in ("name", "ipv4", "hostname")} == {
        "name": "node-01",
        "ipv4": ["127.0.0.1"],
        "hostname": "node-01",
    }
    assert re.fullmatch(r"https://127\.0\.0\.1:\d+", node["uri"])
    # "In the background, the scheduler polls all running jobs for updates"
    assert curl("curl http://HOST/scheduler/jobs?state=running").text == "2\n"
    assert status() == {"state": "running", "status": "unknown", "node": "node-01"}
    updated = curl("curl -X POST http://HOST/scheduler/jobs/2/update").json
    assert (updated["state"], updated["node"]) == ("running", "node-01")
    (placed,) = curl("curl http://HOST/scheduler/jobs/2/placements").json["placements"]
    assert (placed["reference"], placed["succeeded"]) == (f"{node['id']}/2.0#1", None)
    # "The user requests the status of jobs"
    let_go(door)
    curl("curl http://HOST/v1/jobs/2/wait")
    assert curl("curl http://HOST/scheduler/jobs").text == "2\n1\n"
    assert status() == {"state": "stopped", "status": "good", "node": "node-01"}
    assert curl("curl http://HOST/v1/jobs/2/logs").text == "<html>https://www.google.com/</html>\n"


def test_what_runs_too_long_is_killed_and_so_is_what_somebody_wants_killed(
    door: Door, curl: Curl
) -> None:  # S3.10, S3.12
    curl("curl http://HOST/scheduler/jobs/new -d 'command=sleep 1000&timeout=0.2&request_id=slow'")
    (ended,) = curl("curl http://HOST/v1/jobs/last/wait").json["jobs"]
    assert ended["reason"] == "timeout:run"
    found = curl("curl http://HOST/scheduler/job/slow/status").json
    assert (found["state"], found["status"]) == ("stopped", "error")
    curl("curl http://HOST/scheduler/jobs/new -d 'command=sleep 1000&request_id=stuck'")
    curl("curl -X POST http://HOST/scheduler/job/stuck/kill")
    (ended,) = curl("curl http://HOST/v1/jobs/last/wait").json["jobs"]
    assert (ended["reason"], ended["cancelled_by"]) == ("cancelled", "ada")
    assert str(ended["number"]) in curl("curl http://HOST/scheduler/jobs?state=dead").text.split()


def test_a_script_of_one_worker_is_started_read_asked_about_and_stopped(door: Door, curl: Curl) -> None:  # S2.12
    (worker,) = curl("curl http://HOST/v1/workers").json["workers"]
    request = f'{{"worker_id": "{worker["id"]}", "path": "worker/scripts/count.sh", "command": "bash"}}'
    started = curl(f"curl http://HOST/start -d '{request}' -w ' %{{http_code}}'").text
    job = started.split('"')[3]
    assert started == f'{{"job_id": "{job}"}} 201'
    streamed = curl(f"curl http://HOST/stream?job_id={job}").text
    assert re.search('"data": "MQo', streamed), streamed  # 1 and the end of a line
    assert streamed.endswith("event: end\ndata: {}\n\n")
    asked = f"""-d '{{"job_id": "{job}"}}'"""
    assert curl(f"curl http://HOST/query {asked}").json == {"done": True, "error": False, "error_text": ""}
    assert curl(f"curl http://HOST/stop {asked}").json == {"success": True}
    assert curl.status("""curl http://HOST/start -d '{"worker_id": "nobody", "command": "true"}'""") == 404
    assert curl.status(f"""curl http://HOST/query -d '{{"job_id": "{job[:-4]}ffff"}}'""") == 404
    long = curl("""curl http://HOST/start -d '{"command": "sleep 1000", "path": ""}'""").json["job_id"]
    assert curl(f"""curl http://HOST/stop -d '{{"job_id": "{long}"}}'""").json == {"success": True}
    curl(f"curl http://HOST/v1/jobs/{long}/wait")
    said = curl(f"""curl http://HOST/query -d '{{"job_id": "{long}"}}'""").json
    assert (said["done"], said["error"]) == (True, True)
    assert said["error_text"].startswith("cancelled")


@pytest.fixture
def alone(door: Door) -> Iterator[Curl]:
    """A worker that stands alone, with an HTTP door of its own."""
    command = Command(door.command.home / "alone")
    command.home.mkdir()
    port = free_port()
    with Daemons(command) as daemons:
        daemons.start_worker("lone", "--standalone", "--http", f"127.0.0.1:{port}")
        ca = command.ok(
            "ca", "show", "--direct", "127.0.0.1:1", "--credentials", str(command.home / "lone" / "admin.pem")
        )
        its = Door(daemons)
        its.port, its.ca = port, command.home / "ca.pem"
        its.ca.write_bytes(ca.out)
        its.wait_until_it_answers()
        yield Curl(its, (command.home / "lone" / "http-token").read_text().strip(), its.url)


def wait(alone: Curl, job: str) -> Any:
    """How the job is once it has stopped."""
    while (found := alone(f"curl http://HOST/processor/job/{job}/status").json)["state"] != "stopped":
        assert found["status"] == "unknown"
    return found


def test_a_worker_alone_is_a_job_processor(alone: Curl) -> None:  # S3.1, S3.3, S3.4, S3.5
    assert alone("curl http://HOST/processor/jobs/status").json == {"jobs": [], "next": 0}
    request = """'{
        "commands": [ { "exec": [ "echo", "https://www.google.com/" ] }, { "exec": [ "sh", "-c", "echo $A >&2" ] } ] ,
        "environment": { "A": "b" } ,
        "request_id": "123456789"
    }'"""
    for form in ("job", "jobs", "job"):  # the same id again is the same job
        made = alone(f"curl http://HOST/processor/{form}/new -d {request}")
        assert made.json == {"request_id": "123456789"}
    assert wait(alone, "123456789")["status"] == "good"
    for path in ("job/123456789/log", "jobs/1/log"):
        assert alone(f"curl http://HOST/processor/{path}").text == "https://www.google.com/\nb\n"
    found = alone("curl http://HOST/processor/jobs/1/status").json
    assert (found["job"], found["request_id"], found["exit-code"], found["recorded"]) == (1, "123456789", 0, None)
    for said in ("-d status=half", "-d half", """-d '{"status": "half"}'"""):
        recorded = alone(f"curl http://HOST/processor/job/123456789/status {said}").json
        assert (recorded["status"], recorded["recorded"]["status"]) == ("good", "half")
        assert re.fullmatch(TIMESTAMP, recorded["recorded"]["at"])
    assert alone("curl http://HOST/processor/jobs/1/status").json == recorded
    (listed,) = alone("curl http://HOST/processor/job/status").json["jobs"]
    assert listed == recorded


def test_a_file_is_sent_along_and_given_to_the_command(alone: Curl, tmp_path: Path) -> None:  # S3.2
    content = b"one\r\ntwo \xff\n\0three\n"
    (tmp_path / "words.txt").write_bytes(content)
    file = f"-F file=@{tmp_path}/words.txt"
    alone(f"curl http://HOST/processor/jobs/new {file} -F command='wc -c' -F request_id=count")
    assert wait(alone, "count")["status"] == "good"
    assert alone("curl http://HOST/processor/job/count/log").text == f"{len(content)} words.txt\n"
    there = f"'file=@{tmp_path}/words.txt;filename=../../etc/a b.txt'"
    command = """--form-string 'command=sh -c "cat words.txt; ls -A"' """
    alone(f"curl http://HOST/processor/jobs/new {file} -F {there} {command} -F request_id=both")
    wait(alone, "both")
    assert alone("curl http://HOST/processor/job/both/log").out == content + b"a_b.txt\nwords.txt\n"
    assert (
        alone.status(f"curl http://HOST/processor/jobs/new -F 'file=@{tmp_path}/words.txt;filename=..' -F command=ls")
        == 400
    )
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    assert alone.status(f"curl http://HOST/processor/jobs/new -F file=@{tmp_path}/large -F command=ls") == 413
    (tmp_path / "larger").write_bytes(bytes(6 << 20))
    assert alone.status(f"curl http://HOST/processor/jobs/new -F file=@{tmp_path}/larger -F command=ls") == 413


def test_a_worker_alone_kills_what_runs_too_long_or_is_not_wanted(alone: Curl) -> None:  # S3.12
    alone("curl http://HOST/processor/jobs/new -d 'command=sleep 1000&timeout=0.2&request_id=slow'")
    assert wait(alone, "slow")["reason"] == "timeout:run"
    alone("curl http://HOST/processor/jobs/new -d 'command=sleep 1000&request_id=stuck'")
    assert alone.status("curl -X POST http://HOST/processor/job/stuck/kill") == 200
    assert wait(alone, "stuck")["reason"] == "cancelled"


def test_what_a_worker_alone_cannot_do_it_says(alone: Curl) -> None:
    new = "curl http://HOST/processor/jobs/new"
    assert alone.status(f"{new} -d 'command=true&request_id=taken'") == 201
    wrong = {
        f"{new} -d ''": 400,
        f"{new} -d '{{'": 400,
        f"{new} -d 'command=echo \"a'": 400,
        f"{new} -d 'command=true&comand=true'": 400,
        f"{new} -d 'command=true&after=5'": 400,  # only a scheduler can
        f"{new} -d 'command=false&request_id=taken'": 409,
        f"{new} -H 'Content-Type: text/yaml' -d 'command: true'": 415,
        f"{new} -H 'Content-Type: multipart/form-data' -d 'command=true'": 400,
        "curl http://HOST/processor/jobs/new": 405,
        "curl http://HOST/processor/jobs/99/status": 404,
        "curl http://HOST/processor/job/nobody/log": 404,
        "curl -X POST http://HOST/processor/jobs/all/kill": 404,
        "curl http://HOST/processor/jobs/1/status -d ''": 400,
        'curl http://HOST/processor/jobs/1/status -d \'{"state": "good"}\'': 400,
        "curl http://HOST/processor/jobs/status?below=x": 400,
        "curl http://HOST/v1/jobs": 404,
    }
    assert {typed: alone.status(typed) for typed in wrong} == wrong


def test_who_shows_neither_token_nor_certificate_of_a_worker_alone_is_refused(alone: Curl, door: Door) -> None:
    its, home = alone._door, alone._door.command.home
    url = f"{alone._url}/processor/jobs/status"
    assert its.curl(url).json["status"] == 401
    foreign = its.curl("-H", f"Authorization: Bearer {door.token}", url).json
    assert (foreign["status"], "of this worker" in foreign["detail"]) == (401, True)
    its.command.ok("ca", "show", "--direct", "127.0.0.1:1", "--credentials", str(home / "lone" / "admin.pem"))
    shown = its.curl("--cert", str(home / "lone" / "admin.pem"), url)
    assert "jobs" in shown.json, shown
