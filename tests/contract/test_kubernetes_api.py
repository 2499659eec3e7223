"""What an engine makes of the answers of Kubernetes' API. These were written by hand in the form of the real one, which
test_kubernetes_runner asks under extra_kube."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cluster.domain.base.errors import ClusterError
from cluster.domain.launcher.sightings import Sight, Sighting
from cluster.worker.runners import KUBERNETES, engine_of
from cluster.worker.runners.kubernetes import KubernetesEngine, KubernetesSettings
from tests.patience import PATIENCE

VERSION = {"major": "1", "minor": "33", "gitVersion": "v1.33.4"}
PODS = "/api/v1/namespaces/jobs/pods"
NAME = "cluster-0123456789ab-5-2-1"
EXPIRED = {
    "kind": "Status",
    "status": "Failure",
    "message": "too old resource version: 3 (5)",
    "reason": "Expired",
    "code": 410,
}
Answer = tuple[int, bytes]


def said(answer: Any, code: int = 200) -> Answer:
    return code, json.dumps(answer).encode() + b"\n"


def status(code: int, reason: str, message: str) -> Answer:
    return said({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}, code)


def event(kind: str, version: int, **pod: Any) -> bytes:
    told = {"metadata": {"name": NAME, "namespace": "jobs", "resourceVersion": str(version)}, "spec": {}, **pod}
    return json.dumps({"type": kind, "object": told}).encode() + b"\n"


class Canned:
    """Answers by method and path, in order, the last one again and again; those to watches by `watches`."""

    def __init__(self, place: Path) -> None:
        self.answers: dict[str, list[Answer]] = {"GET /version": [said(VERSION)]}
        self.asked: list[str] = []
        canned = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path, _, query = self.path.partition("?")
                canned.asked.append(f"{self.command} {self.path}")
                key = f"{'WATCH' if 'watch=1' in query else self.command} {path}"
                answers = canned.answers.get(key, [status(404, "NotFound", "not there")])
                code, body = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(code)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_DELETE = do_PATCH = _answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.kubeconfig = place / "kubeconfig"
        config = {
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "here",
        }
        self.kubeconfig.write_text(json.dumps(config))

    def engine(self, **others: Any) -> KubernetesEngine:
        settings = {"namespace": "jobs", "image": "a:1", "kubeconfig": str(self.kubeconfig), **others}
        return KubernetesEngine(KubernetesSettings(**settings), self.kubeconfig.parent)


@pytest.fixture
def canned(tmp_path: Path) -> Iterator[Canned]:
    there = Canned(tmp_path)
    thread = threading.Thread(target=there.server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield there
    finally:
        there.server.shutdown()
        thread.join()
        there.server.server_close()


def one_line(what: Callable[[], object]) -> str:
    with pytest.raises(ClusterError) as raised:
        what()
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (said({**VERSION, "minor": "26+"}), "Kubernetes 1.26 at URL is too old: 1.27 or later is needed"),
        ((200, b"<html>"), "Kubernetes takes no Pod in namespace 'jobs': URL does not answer as Kubernetes does"),
        (said({}), "URL does not answer as Kubernetes does"),
        (
            (302, b""),
            "Kubernetes takes no Pod in namespace 'jobs': URL does not answer as Kubernetes does, but with 302",
        ),
        (
            status(401, "Unauthorized", "Unauthorized"),
            "Kubernetes takes no Pod in namespace 'jobs': URL does not accept these credentials",
        ),
    ],
)
def test_what_is_no_kubernetes_or_none_that_is_known_is_one_line(canned: Canned, answer: Answer, words: str) -> None:
    canned.answers["GET /version"] = [answer]
    assert one_line(canned.engine().check).replace(canned.url, "URL") == words


def test_what_is_not_permitted_is_named_verb_by_verb(canned: Canned) -> None:
    reviews = [said({"status": {"allowed": allowed}}, 201) for allowed in (True, False, True, True, True, True, False)]
    canned.answers["POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews"] = reviews
    assert one_line(canned.engine().check) == (
        "Kubernetes: no permission in namespace 'jobs' (if there is one) to get pods, get pods/log"
    )


def test_a_watch_that_has_missed_something_begins_with_a_list_again(canned: Canned) -> None:
    running = {"phase": "Running", "containerStatuses": [{"name": "main", "state": {"running": {}}}]}
    first = {"metadata": {"resourceVersion": "3"}, "items": [json.loads(event("", 3))["object"]]}
    canned.answers[f"GET {PODS}"] = [said(first), said({"metadata": {"resourceVersion": "9"}, "items": []})]
    missed = json.dumps({"type": "ERROR", "object": EXPIRED}).encode() + b"\n"
    changes = event("MODIFIED", 4, status=running) + event("BOOKMARK", 5) + missed
    canned.answers[f"WATCH {PODS}"] = [(200, changes), (200, b"")]
    told: list[Sighting] = []
    over = threading.Event()

    def tell(seen: Sighting) -> None:
        told.append(seen)
        if seen.sight is Sight.LOST:
            over.set()

    engine = canned.engine()
    thread = threading.Thread(target=engine.watch, args=("0123456789ab", lambda: {NAME: "jobs/x"}, tell, over))
    thread.start()
    thread.join(PATIENCE)
    assert [each.sight for each in told] == [Sight.PENDING, Sight.RUNNING, Sight.LOST]
    assert told[-1].text == "its Pod is not there any more, and nobody says how it ended"
    watch = next(each for each in canned.asked if "watch=1" in each)
    assert "resourceVersion=3" in watch
    assert "labelSelector=cluster-worker%3D0123456789ab" in watch


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no table [kubernetes]"),
        ("[kubernetes]\nimage = 'a'", "[kubernetes] lacks namespace"),
        ("[kubernetes]\nnamespace = 'a'\nimage = 'b'\ntemplate = 'c'", "needs an image or a template: one of them"),
        ("[kubernetes]\nnamespace = 'a'\ntemplate = 'none.yaml'", "none.yaml': No such file or directory"),
        ("[kubernetes]\nnamespace = 'a'\ntemplate = 'other.yaml'", "is no Pod: it has no spec.containers with names"),
        ("[kubernetes]\nnamespace = 'a'\nimage = 'b'\nkubeconfig = 'none'", "none') cannot be used: "),
        ("[kubernetes]\nnamespace = 'a'\nimage = 'b'\nlimit_cpu = 1", "limit_cpu = 1 is to be true or false"),
    ],
)
def test_settings_that_say_nothing_of_use_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "runner.toml").write_text(text)
    (tmp_path / "other.yaml").write_text("kind: Service")
    assert words in one_line(lambda: engine_of(KUBERNETES, tmp_path / "runner.toml"))


def test_without_its_library_it_says_which_to_install(canned: Canned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "kubernetes", None)
    assert one_line(canned.engine) == (
        "--runner kubernetes needs the package kubernetes: install cluster with its extra `kubernetes`"
    )
