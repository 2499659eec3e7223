"""The founding documents' calls, as their curl commands: a job scheduler, jobs for one worker, a job processor."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from tests.acceptance.command import Command
from tests.acceptance.containers import missing
from tests.acceptance.founding_places import (
    SCRIPT_AT,
    Curl,
    OfFile,
    Place,
    alone_in_a_container,
    alone_on_this_machine,
    in_containers,
    on_this_machine,
)

pytestmark = pytest.mark.slow

TIMESTAMP = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
IN_CONTAINERS = [pytest.mark.extra_compose, pytest.mark.skipif(bool(missing()), reason=missing())]
ELSEWHERE = [
    pytest.param("file", marks=pytest.mark.extra_compose),
    pytest.param("compose", marks=IN_CONTAINERS),
]


def command_for(request: pytest.FixtureRequest, home: Path) -> Command:
    """This program, or the one file."""
    return OfFile(home, request.getfixturevalue("cluster_file")) if request.param == "file" else Command(home)


@pytest.fixture(params=["program", *ELSEWHERE])  # for each test: in the documents' dialogues jobs are numbered from 1
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "compose":
        with in_containers(request.getfixturevalue("composed")) as place:
            yield place
    else:
        with on_this_machine(command_for(request, tmp_path)) as place:
            yield place


@pytest.fixture
def curl(place: Place) -> Curl:
    return place.curl


@pytest.fixture(params=["program", *ELSEWHERE])
def alone(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Curl]:
    """A worker that stands alone."""
    if request.param == "compose":
        with alone_in_a_container(request.getfixturevalue("composed"), tmp_path) as curl:
            yield curl
    else:
        with alone_on_this_machine(command_for(request, tmp_path)) as curl:
            yield curl


def test_the_sample_dialogue_of_the_job_scheduler_line_by_line(
    place: Place, curl: Curl
) -> None:  # S3.6, S3.7, S3.8, S3.10
    def status(job: str) -> dict[str, str]:
        found: dict[str, str] = curl(f"curl http://HOST/scheduler/jobs/{job}/status").json
        assert re.fullmatch(TIMESTAMP, found.pop("created-at"))
        return found

    def node_of(job: str) -> str:
        """Where it runs, once that is known."""
        while not (node := curl(f"curl http://HOST/scheduler/jobs/{job}/status").json["node"]):
            pass
        return str(node)

    # "First, a user requests a new job be placed", in the document's two forms. The first lacks braces there, too.
    request = """'{"commands": [ "command": [ "curl", "https://www.google.com/" ] ] }'"""
    assert list(curl(f"curl http://HOST/scheduler/jobs/new -d {request}").json) == ["request_id"]
    first = curl("curl http://HOST/scheduler/jobs?limit=1").text.strip()
    place.let_go(node_of(first))
    curl(f"curl http://HOST/v1/jobs/{first}/wait")
    answer = curl("""curl -i http://HOST/scheduler/jobs/new -d 'command=curl "https://www.google.com/"'""").text
    assert re.search(r'\r\n\r\n{"request_id": "[0-9a-f-]{36}"}$', answer)
    # "Returned data: '/scheduler/jobs/2'"
    second = str(int(first) + 1)
    assert f"\r\nlocation: /scheduler/jobs/{second}\r\n" in answer
    nodes = {node["name"]: node for node in curl("curl http://HOST/scheduler/nodes/available").json["nodes"]}
    assert tuple(sorted(nodes)) == place.nodes
    for name, node in nodes.items():
        assert (node["hostname"], len(node["ipv4"])) == (name, 1)
        assert re.fullmatch(rf"{re.escape(node['ipv4'][0])}:\d+", node["address"])
        assert node["uri"] == f"{curl.url}/nodes/{name}"
    # "In the background, the scheduler polls all running jobs for updates"
    assert curl("curl http://HOST/scheduler/jobs?state=running").text == f"{second}\n"
    where = node_of(second)
    assert status(second) == {"state": "running", "status": "unknown", "node": where}
    updated = curl(f"curl -X POST http://HOST/scheduler/jobs/{second}/update").json
    assert (updated["state"], updated["node"]) == ("running", where)
    (placed,) = curl(f"curl http://HOST/scheduler/jobs/{second}/placements").json["placements"]
    assert (placed["reference"], placed["succeeded"]) == (f"{nodes[where]['id']}/{second}.0#1", None)
    # "The user requests the status of jobs"
    place.let_go(where)
    curl(f"curl http://HOST/v1/jobs/{second}/wait")
    assert curl("curl http://HOST/scheduler/jobs?limit=2").text == f"{second}\n{first}\n"
    assert status(second) == {"state": "stopped", "status": "good", "node": where}
    assert curl(f"curl http://HOST/v1/jobs/{second}/logs").text == "<html>https://www.google.com/</html>\n"
    # "node: a TCP host:port with a job processor listening on it": what its uri says is one.
    processor = f"curl http://HOST/nodes/{where}/processor"
    assert curl(f"{processor}/job/new -d 'command=echo there&request_id=99'").json == {"request_id": "99"}
    curl(f"curl http://HOST/v1/jobs/{int(second) + 1}/wait")
    found = curl(f"{processor}/job/99/status").json
    assert (found["state"], found["status"], found["node"], found["exit-code"]) == ("stopped", "good", where, 0)
    assert curl(f"{processor}/job/99/log").text == "there\n"


def test_what_runs_too_long_is_killed_and_so_is_what_somebody_wants_killed(curl: Curl) -> None:  # S3.10, S3.12
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


def test_a_script_of_one_worker_is_started_read_asked_about_and_stopped(place: Place, curl: Curl) -> None:  # S2.12
    ids = {worker["name"]: worker["id"] for worker in curl("curl http://HOST/v1/workers").json["workers"]}
    request = f'{{"worker_id": "{ids[place.nodes[-1]]}", "path": "{SCRIPT_AT}", "command": "bash"}}'
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


def test_who_shows_neither_token_nor_certificate_of_a_worker_alone_is_refused(tmp_path: Path) -> None:
    other, own = tmp_path / "other", tmp_path / "own"
    for home in (other, own):
        home.mkdir()
    with on_this_machine(Command(other)) as cluster, alone_on_this_machine(Command(own)) as alone:
        url = f"{alone.url}/processor/jobs/status"
        assert alone.run(url).json["status"] == 401
        foreign = alone.run("-H", f"Authorization: Bearer {cluster.curl.token}", url).json
        assert (foreign["status"], "of this worker" in foreign["detail"]) == (401, True)
        shown = alone.run("--cert", str(own / "lone" / "admin.pem"), url)
        assert "jobs" in shown.json, shown


# On this program tests/acceptance/test_execute.py says more.
@pytest.mark.parametrize("place", ELSEWHERE, indirect=True)
def test_code_comes_as_its_document_quotes_it_and_a_page_runs_it(curl: Curl) -> None:  # S4.9, S4.10, S4.11
    code = "print(1+1, '%41', 'a+b')"
    for quoted in (quote_plus(code), quote_plus(quote_plus(code))):
        assert curl(f"curl 'http://HOST/execute?code={quoted}'").text == "2 %41 a+b\n"
        assert curl(f"curl http://HOST/execute -d 'code={quoted}'").text == "2 %41 a+b\n"
    assert (
        curl(f"""curl http://HOST/execute -H 'Content-Type: text/plain' -d {shlex.quote(code)}""").text == "2 %41 a+b\n"
    )
    failed = curl(f"curl 'http://HOST/execute?code={quote_plus('def f(): raise KeyError(7)')}%0Af()'").json
    assert (failed["status"], failed["exception"]["type"], failed["exception"]["line"]) == (422, "KeyError", 1)
    late = curl(f"curl 'http://HOST/execute?timeout=0.3s&code={quote_plus('while True: pass')}'").json
    assert (late["status"], late["reason"]) == (504, "timeout:run")
    page = curl("curl http://HOST/").text
    assert "<textarea" in page
    assert curl.run(f"{curl.url}/execute?code=print(1)").json["status"] == 401
    name_and_token = curl.url.replace("://", f"://x:{curl.token}@")  # a client that knows only a URL
    assert curl.run(f"{name_and_token}/execute?code=print(1)").text == "1\n"
