"""Plays what runs Pods in a cluster: the scheduler, which gives each its node, and that node's kubelet.

All of it goes through the API, as theirs does: bindings, the status of Pods, their final deletion; logs are served to
the API server by HTTPS. A container is a process of this machine with its command, whatever its image; an image
`missing:…` cannot be pulled, and one `nowhere:…` finds no node. The variable PLAY of a container says what happens to
it beside that: `oom` (the end of its command is told as one for lack of memory).
"""

import base64
import os
import re
import signal
import ssl
import subprocess
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cluster.engines.kubernetes_api import ApiRefused, ApiSilent, KubernetesApi
from tests.engines.certificate import self_signed

NODE = "node-1"
MERGE = "application/merge-patch+json"
_REFERENCE = re.compile(r"\$(\$|\([^()]*\))")


class Played:
    """One Pod on the node."""

    def __init__(self, pod: dict[str, Any]) -> None:
        self.pod = pod
        self.process: subprocess.Popen[bytes] | None = None
        self.lines: list[tuple[str, bytes]] = []  # of the log: time, and the line
        self.over = threading.Event()
        self.stop_within: float | None = None  # seconds, once it is to end
        self.stopping = threading.Event()


class Kubelet:
    """`place`: a directory for its certificate."""

    def __init__(self, api: KubernetesApi, place: Path) -> None:
        self._api, self._place_of_keys = api, place
        self._played: dict[str, Played] = {}
        self._over = threading.Event()

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self_signed(self._place_of_keys))
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread(self._server.serve_forever)
        self._api.call("POST", "/api/v1/nodes", {"metadata": {"name": NODE}})
        port = {"kubeletEndpoint": {"Port": self._server.server_port}}
        ready = [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]
        address = [{"type": "InternalIP", "address": "127.0.0.1"}]
        status = {"addresses": address, "daemonEndpoints": port, "conditions": ready}
        self._api.call("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": status}, MERGE)
        self._thread(self._follow)

    def stop(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        for played in list(self._played.values()):
            played.stopping.set()
            if played.process is not None and played.process.poll() is None:
                _kill(played.process, signal.SIGKILL)

    def log(self, name: str, *lines: tuple[str, bytes]) -> None:
        """Adds to what the container has written, at times of one's own."""
        self._played[name].lines += lines

    def status(self, name: str, namespace: str = "jobs", **status: Any) -> None:
        path = f"/api/v1/namespaces/{namespace}/pods/{name}/status"
        self._api.call("PATCH", path, {"status": status}, MERGE)

    # -- all Pods

    def _thread(self, target: Any, *arguments: Any) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()

    def _follow(self) -> None:
        def look() -> str:
            answer = self._api.call("GET", "/api/v1/pods")
            for pod in answer["items"]:
                self._changed("ADDED", pod)
            return str(answer["metadata"]["resourceVersion"])

        self._api.follow("/api/v1/pods", "", look, self._changed, self._over)

    def _changed(self, kind: str, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        if kind == "DELETED":
            self._played.pop(name, None)
        elif not pod["spec"].get("nodeName"):
            if not pod["metadata"].get("deletionTimestamp"):
                self._thread(self._place, pod)
        else:
            played = self._played.get(name)
            if played is None and not pod["metadata"].get("deletionTimestamp"):
                self._played[name] = Played(pod)
                self._thread(self._play, self._played[name])
            elif played is not None and pod["metadata"].get("deletionTimestamp"):
                played.stop_within = pod["metadata"]["deletionGracePeriodSeconds"]
                played.stopping.set()

    def _place(self, pod: dict[str, Any]) -> None:
        path, name = _path(pod), pod["metadata"]["name"]
        if pod["spec"]["containers"][0]["image"].startswith("nowhere"):
            if not (pod.get("status") or {}).get("conditions"):
                why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
                self.status(name, conditions=[{**why, "message": "0/1 nodes are available: 1 Insufficient cpu."}])
            return
        target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
        with suppress(ApiRefused):  # it has a node by now, or is deleted
            self._api.call("POST", f"{path}/binding", {"metadata": {"name": name}, "target": target})

    # -- one Pod

    def _play(self, played: Played) -> None:
        try:
            end = self._waiting(played) if self._is_missing(played) else self._run(played)
            self._end(played, end)
        except (ApiSilent, ApiRefused):
            if not self._over.is_set():
                raise

    def _is_missing(self, played: Played) -> bool:
        return bool(played.pod["spec"]["containers"][0]["image"].startswith("missing"))

    def _waiting(self, played: Played) -> dict[str, Any] | None:
        """Until it is deleted: a kubelet tries again and again."""
        image = played.pod["spec"]["containers"][0]["image"]
        for reason, message in (
            ("ErrImagePull", f'failed to pull and unpack image "{image}": not found'),
            ("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: not found'),
        ):
            self._tell(played, "Pending", {"waiting": {"reason": reason, "message": message}})
        played.stopping.wait()
        return None

    def _run(self, played: Played) -> dict[str, Any]:
        container = played.pod["spec"]["containers"][0]
        env = {"PATH": os.environ["PATH"]}
        for each in container.get("env", ()):
            given = each.get("valueFrom", {}).get("secretKeyRef")
            env[each["name"]] = self._secret(played, **given) if given else expanded(each.get("value", ""), env)
        command = [expanded(word, env) for word in (*container.get("command", ()), *container.get("args", ()))]
        began = _now()
        try:
            process = played.process = subprocess.Popen(
                command,
                env=env,
                cwd=container.get("workingDir"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            why = f'exec: "{command[0]}": {error.strerror}'
            return {"exitCode": 128, "reason": "StartError", "message": f"failed to create containerd task: {why}"}
        self._tell(played, "Running", {"running": {"startedAt": began}})
        self._thread(self._end_in_time, played)
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                played.lines.append((datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z"), line))
        code = process.wait()
        played.over.set()
        reason = "OOMKilled" if env.get("PLAY") == "oom" else "Error" if code else "Completed"
        return {"exitCode": code if code >= 0 else 128 - code, "reason": reason, "startedAt": began}

    def _secret(self, played: Played, name: str, key: str) -> str:
        """A value of a Secret: it is waited for."""
        path = f"{_path(played.pod).rpartition('/pods/')[0]}/secrets/{name}"
        while not played.stopping.is_set():
            try:
                return base64.b64decode(self._api.call("GET", path)["data"][key]).decode()
            except ApiRefused:
                why = {"reason": "CreateContainerConfigError", "message": f'secret "{name}" not found'}
                self._tell(played, "Pending", {"waiting": why})
                played.stopping.wait(0.1)
        return ""

    def _end_in_time(self, played: Played) -> None:
        played.stopping.wait()
        assert played.process is not None
        if self._over.is_set():
            return
        _kill(played.process, signal.SIGTERM)
        told = time.monotonic()
        while not played.over.wait(0.02):
            if time.monotonic() - told >= (played.stop_within or 0):
                _kill(played.process, signal.SIGKILL)
                return

    def _end(self, played: Played, end: dict[str, Any] | None) -> None:
        phase = "Succeeded" if end is not None and end["exitCode"] == 0 else "Failed"
        state = None if end is None else {"terminated": {"finishedAt": _now(), **end}}
        self._tell(played, phase, state)
        played.stopping.wait()
        name, uid = played.pod["metadata"]["name"], played.pod["metadata"]["uid"]
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
        if not self._over.is_set():
            with suppress(ApiRefused):
                self._api.call("DELETE", _path(played.pod), body)
        self._played.pop(name, None)

    def _tell(self, played: Played, phase: str, state: dict[str, Any] | None) -> None:
        container = played.pod["spec"]["containers"][0]
        status: dict[str, Any] = {"phase": phase}
        if state is not None:
            own = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
            status["containerStatuses"] = [{**own, "ready": "running" in state, "state": state}]
        with suppress(ApiRefused):  # it was deleted by force
            self._api.call("PATCH", f"{_path(played.pod)}/status", {"status": status}, MERGE)

    # -- logs

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        kubelet = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                played = kubelet._played.get(parts.path.split("/")[3])
                if played is None or (played.process is None and not played.lines):
                    self.send_error(400, "container is waiting to start")
                    return
                asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                since = asked.get("sinceTime", "")
                self.send_response(200)
                self.send_header("Content-Type", "text/plain")
                self.end_headers()
                told = 0
                while True:
                    over = played.over.is_set()
                    new = played.lines[told:]
                    told += len(new)
                    said = [time.encode() + b" " + line for time, line in new if f"{time[:19]}Z" >= since]
                    self.wfile.write(b"".join(said))
                    if over or "follow" not in asked:
                        return
                    self.wfile.flush()
                    played.over.wait(0.02)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def expanded(text: str, env: dict[str, str]) -> str:
    """As a kubelet does: `$(NAME)` is a variable if there is one of that name, `$$` is a dollar."""

    def one(found: re.Match[str]) -> str:
        what = found[1]
        return "$" if what == "$" else env.get(what[1:-1], found[0])

    return _REFERENCE.sub(one, text)


def _path(pod: dict[str, Any]) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _kill(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """All of the container."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
