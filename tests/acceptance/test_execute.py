"""Code over HTTP, as its callers meet it: real processes, curl, and a worker that runs it."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote_plus, urlencode

import pytest

from tests.acceptance.browser import browser, needs_browser
from tests.acceptance.command import Command, Done
from tests.acceptance.daemons import Daemons, free_port
from tests.acceptance.door import Door
from tests.patience import PATIENCE
from tests.sandboxes import worker_options

pytestmark = pytest.mark.slow

# Each with what it writes.
CORPUS = {
    "print(1)": b"1\n",
    "print(1+1, 5 % 41, '%41', 'a+b')": b"2 5 %41 a+b\n",
    "import sys; sys.stdout.buffer.write(bytes(range(256)))": bytes(range(256)),
    "for i in range(3):\n\tprint(i, end='\\r\\n')\n": b"0\r\n1\r\n2\r\n",
    "#!/bin/sh\nprint('ü€', end='')": "ü€".encode(),
    "import sys; print(len(sys.argv), __name__, __file__[-1:]); sys.exit(0)": b"1 __main__ t\n",
    "import sys; print('kept', file=sys.stderr)": b"",
    "print('x' * 100_000)": b"x" * 100_000 + b"\n",
}


class CodeDoor(Door):
    """`debug`: the port of its door for debugging."""

    def __init__(self, daemons: Daemons) -> None:
        super().__init__(daemons)
        self.debug = free_port()

    def ask(self, *arguments: str, query: str = "", debug: bool = False) -> Done:
        """The body of the answer, with its status as `code`."""
        url = f"https://127.0.0.1:{self.debug if debug else self.port}/execute{query}"
        done = self.curl("-H", f"Authorization: Bearer {self.token}", "-w", "\n%{http_code}", *arguments, url)
        assert done.code == 0, done
        body, _, status = done.out.rpartition(b"\n")
        return Done(int(status), body, done.err)

    def run(self, code: str, timeout: str = "", debug: bool = False) -> Done:
        """That code, in a query as its document has it."""
        more = f"&timeout={timeout}" if timeout else ""
        return self.ask(query=f"?code={quote_plus(code)}{more}", debug=debug)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CodeDoor]:
    with Daemons(Command(tmp_path_factory.mktemp("home"))) as daemons:
        door = CodeDoor(daemons)
        door.start("--debug-http", f"127.0.0.1:{door.debug}")
        daemons.start_worker("box", "--cpus", "2", *worker_options())
        yield door


@pytest.mark.parametrize("code", CORPUS)
def test_what_code_writes_comes_back_byte_for_byte(door: CodeDoor, code: str) -> None:  # S4.9
    assert door.run(code) == Done(200, CORPUS[code], "")
    assert door.ask(query=f"?code={quote_plus(quote_plus(code))}") == Done(200, CORPUS[code], "")


def test_code_comes_in_bodies_too(door: CodeDoor) -> None:
    code = "print('%41+', 1+1)"
    assert door.ask("-d", urlencode({"code": code})).out == b"%41+ 2\n"
    for kind in ("text/plain", "text/x-python"):
        assert door.ask("-H", f"Content-Type: {kind}", "--data-binary", code).out == b"%41+ 2\n"
    assert door.ask("--json", "{}").code == 415
    assert door.ask("-d", "code=1", query="?code=2").code == 400


def test_each_run_is_a_job_of_its_caller_that_keeps_its_stderr(door: CodeDoor) -> None:
    answer = door.ask("-D", "-", query=f"?code={quote_plus('import sys; print(7, file=sys.stderr)')}").text
    found = re.search(r"(?i)^cluster-job: (\d+)\r$", answer, re.MULTILINE)
    assert found, answer
    job = door.get(f"/v1/jobs/{found[1]}").json["job"]
    assert (job["owner"], job["spec"]["name"], job["state"]) == ("ada", "execute", "TASK_STATE_SUCCEEDED")
    assert door.get(f"/v1/jobs/{found[1]}/logs?stderr=true").text == "7\n"


def test_what_the_code_does_wrong_is_told_and_never_an_empty_answer(door: CodeDoor) -> None:  # S4.5, S4.11
    raised = door.run("import sys\nprint('so far')\nprint('seen', file=sys.stderr)\ndef f(): 1/0\nf()")
    said = raised.json
    assert (raised.code, said["type"], said["reason"], said["exit_code"]) == (422, "/v1/docs#failed", "exit:1", 1)
    place = {name: said["exception"][name] for name in ("type", "message", "line", "function")}
    assert place == {"type": "ZeroDivisionError", "message": "division by zero", "line": 4, "function": "f"}
    assert said["stderr"].startswith("seen\nTraceback (most recent call last):\n")
    wrong = door.run("print(")
    assert (wrong.code, wrong.json["exception"]["type"], wrong.json["exception"]["line"]) == (422, "SyntaxError", 1)
    left = door.run("import os; os.write(2, b'x\\xff'); os._exit(3)")
    assert (left.code, left.json["exit_code"], left.json["stderr"], left.json["exception"]) == (422, 3, "x\\xff", None)
    ended = door.run("import os, signal; os.kill(os.getpid(), signal.SIGABRT)")
    assert (ended.code, ended.json["signal"]) == (422, "SIGABRT")
    late = door.run("import time; print('begun', flush=True); time.sleep(600)", timeout="0.3s")
    assert (late.code, late.json["type"], late.json["reason"]) == (504, "/v1/docs#timed-out", "timeout:run")
    much = door.run("import os, sys\nwhile True: os.write(1, b'x' * 65536)")
    assert (much.code, much.json["exception"]["type"], much.json["exception"]["line"]) == (422, "OSError", 2)
    hidden = door.run("import os\ntry:\n  while True: os.write(1, b'x' * 65536)\nexcept OSError: pass")
    assert (hidden.code, hidden.json["reason"]) == (422, "output")


def test_nobody_runs_anything_without_a_token_that_may(door: CodeDoor) -> None:  # S4.11
    before = door.get("/v1/jobs?limit=1").json["jobs"][0]["number"]
    viewer = door.command.ok("token", "create", "--for", "http", "--user", "eve", "--role", "viewer").text.strip()
    url = f"{door.url}/execute?code=print(1)"
    for shown, status in ((), 401), (("-H", "Authorization: Bearer H1.no.token"), 401), (("-u", f"x:{viewer}"), 403):
        assert door.curl(*shown, url).json["status"] == status
    assert door.curl("-u", f"x:{door.token}", "-H", "Sec-Fetch-Site: cross-site", url).json["status"] == 403
    assert door.ask("-I", query="?code=print(1)").out.startswith(b"HTTP/1.1 405 ")
    for query in ("", "?code=", "?code=+", "?code=1&code=2", "?code=1&timeout=0s", "?code=1&timeout=2h", "?code=%00"):
        assert door.ask(query=query).code == 400, query
    assert door.ask(query="?code=1&cpus=2").json["errors"][0]["parameter"] == "cpus"
    assert door.get("/v1/jobs?limit=1").json["jobs"][0]["number"] == before
    assert door.curl("-u", f"x:{door.token}", url).out == b"1\n"  # a client that knows only a URL


@contextmanager
def running(door: CodeDoor) -> Iterator[tuple[subprocess.Popen[bytes], int, Iterator[str]]]:
    """Somebody who waits for code that does not end, once it runs: the process, its job, and what happens to jobs then,
    a kind of event each."""
    shown = ["--cacert", str(door.ca), "-u", f"x:{door.token}"]
    watching = ["curl", "-sN", *shown, "-H", "Accept: text/event-stream", f"{door.url}/v1/events"]
    code = quote_plus("import time; time.sleep(600)")
    with subprocess.Popen(watching, stdout=subprocess.PIPE) as watcher:
        assert watcher.stdout is not None
        kinds = (line.split()[1].decode() for line in watcher.stdout if line.startswith(b"event: "))
        try:
            assert watcher.stdout.readline().startswith(b":"), "from now on"
            waiting = subprocess.Popen(
                ["curl", "-s", *shown, f"{door.url}/execute?code={code}"], stdout=subprocess.PIPE
            )
            with waiting:
                assert "job.started" in kinds
                try:
                    yield waiting, door.get("/v1/jobs?limit=1").json["jobs"][0]["number"], kinds
                finally:
                    waiting.kill()
        finally:
            watcher.kill()


def test_who_hangs_up_cancels_the_run(door: CodeDoor) -> None:
    with running(door) as (waiting, number, kinds):
        waiting.kill()
        assert "job.ended" in kinds
        job = door.get(f"/v1/jobs/{number}").json["job"]
        assert (job["state"], job["cancelled_by"]) == ("TASK_STATE_CANCELLED", "ada")
        assert "hung up" in job["cancel_reason"]


def test_a_cancelled_run_is_no_success(door: CodeDoor) -> None:
    with running(door) as (waiting, number, _):
        door.get(f"/v1/jobs/{number}/cancel", "--json", "{}")
        out, _ = waiting.communicate(timeout=PATIENCE)
    assert (json.loads(out)["status"], json.loads(out)["detail"]) == (409, "the run was cancelled by ada")


def test_the_door_for_debugging_tells_all_of_a_run(door: CodeDoor) -> None:
    done = door.run("import sys; print('out'); print('err', file=sys.stderr)", debug=True)
    said = done.json
    assert (done.code, said["stdout"], said["stderr"], said["exit_code"]) == (200, "out\n", "err\n", 0)
    assert said["worker"]["name"] == "box"
    assert [each["attempt"] for each in said["attempts"]] == [1]
    assert said["timing"]["submitted_at"] <= said["timing"]["started_at"] <= said["timing"]["ended_at"]
    half = "def half(n):\n  rest = n % 2\n  raise ValueError('odd')\n"
    code = f"{half}try:\n  half(7)\nexcept ValueError as e:\n  raise KeyError('k') from e"
    failed = door.run(code, debug=True)
    raised = failed.json["exception"]
    assert (failed.code, raised["type"], raised["line"]) == (422, "KeyError", 7)
    frame = raised["cause"]["frames"][-1]
    assert (frame["function"], frame["line"], frame["code"]) == ("half", 3, "raise ValueError('odd')")
    assert frame["locals"] == {"n": "7", "rest": "1"}
    assert failed.json["stderr"].startswith("Traceback")
    assert failed.json["stderr"].endswith("KeyError: 'k'\n")
    binary = door.run("import sys; sys.stdout.buffer.write(b'\\xff')", debug=True).json
    assert (binary["stdout"], binary["stdout_base64"]) == ("\\xff", "/w==")
    awkward = (
        "class A:\n  def __repr__(self): raise SystemExit(5)\na = A(); b = 'x' * 10**6; c = '\\ud800'\nprint(1 / 0)"
    )
    shown = door.run(awkward, debug=True).json["exception"]["frames"][0]["locals"]
    assert len(shown["b"]) <= 300
    assert shown["a"].startswith("<SystemExit")
    assert door.curl(f"https://127.0.0.1:{door.debug}/execute?code=1").json["status"] == 401


def test_sandbox_is_an_option_of_any_job(door: CodeDoor) -> None:
    ran = door.command("run", "--sandbox", "--", "python3", "-c", "import os; print(len(os.listdir('.')))")
    assert (ran.code, ran.text) == (0, "0\n"), ran.err
    script = door.command(
        "run", "--sandbox", "--script-file", "-", "--", "a b", stdin=b'#!/bin/sh\necho "$1 $CLUSTER_TASK"\n'
    )
    assert (script.code, script.text) == (0, "a b 0\n"), script.err
    refused = door.command("run", "--sandbox", "--cwd", "/", "--", "true")
    assert (refused.code, "--sandbox and --cwd exclude each other" in refused.err) == (2, True)
    (worker,) = door.command.ok("worker", "list", "--json").json
    assert worker["sandbox"] in ("bubblewrap", "unconfined")
    shown = door.command.ok("worker", "show", "box").text
    assert ["sandbox", worker["sandbox"]] in [line.split() for line in shown.splitlines()]


def test_the_page_runs_code_and_is_complete_in_itself(door: CodeDoor) -> None:  # S4.10
    head, _, page = door.curl("-D", "-", f"{door.url}/").text.partition("\r\n\r\n")
    assert "<textarea" in page
    assert not re.search(r"(?:src|href)=\"(?!/v1/docs)", page), "nothing comes from elsewhere"
    assert "unsafe" not in head
    assert "default-src 'none'" in head
    body = urlencode({"code": "print('a+b', '%41')"})  # as URLSearchParams of a browser writes it
    sent = ("-H", f"Origin: {door.url}", "-H", "Sec-Fetch-Site: same-origin", "-d", body)
    assert door.ask(*sent) == Done(200, b"a+b %41\n", "")


@needs_browser
def test_a_browser_runs_code_on_the_page(door: CodeDoor) -> None:  # S4.10
    """As people do: they type code and a token, press the button, and read."""
    run = """new Promise(done => {
        const at = id => document.getElementById(id);
        at("code").value = CODE; at("token").value = TOKEN;
        new MutationObserver(() => {
            if (at("run").textContent == "Run") done(["status", "output", "problem"].map(id => at(id).textContent));
        }).observe(at("run"), {childList: true});
        at("run").click();
    })"""
    with browser() as page:
        page.open(door.url)

        def typed(code: str, token: str = door.token) -> list[str]:
            told: list[str] = page.run(run.replace("CODE", json.dumps(code)).replace("TOKEN", json.dumps(token)))
            return told

        status, output, problem = typed("print('a+b', '%41 €')")
        assert re.fullmatch(r"Job \d+, 200, \d+ ms", status)
        assert (output, problem) == ("a+b %41 €\n", "")
        status, output, problem = typed("<b>1/0")
        assert re.fullmatch(r"Job \d+, 422, \d+ ms", status)
        assert (output, problem.startswith("SyntaxError: ")) == ("", True)
        assert page.run("document.querySelector('#problem').children.length") == 0
        assert page.complaints[1:] == []  # of the network: 422
        assert typed("1", "H1.no.token")[0].startswith("401, ")
        stored = "JSON.stringify([localStorage.length, sessionStorage.length, document.cookie, location.search])"
        assert page.run(stored) == '[0,0,"",""]'
        evaded = "new Promise(d => { const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
        assert page.run(evaded + "document.body.append(s); d(window.bad === undefined) })"), (
            "no other script runs there"
        )
