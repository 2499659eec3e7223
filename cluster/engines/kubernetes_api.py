"""The API of Kubernetes, as far as it is used here: requests with their answers as JSON, and following what changes.

Credentials, addresses and TLS are the affair of its own client library (`kubernetes`, the extra `kubernetes`): a file
as kubectl has it, or what a Pod has been given. Its models are not used: an answer is taken as it came, which is also
what the tables of the domain read. Every call blocks; several threads may call.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from threading import Event
from typing import Any
from urllib.parse import urlencode

from cluster.domain.base.errors import ClusterError, InvalidInput
from cluster.domain.worker.kubernetes_answers import OLDEST, version_of

logger = logging.getLogger(__name__)

CONNECT, ANSWER = 5.0, 30.0  # seconds
WATCH = 60  # seconds after which the server ends a watch, to be asked for anew
PAUSE = 2.0  # seconds until a watch that failed is tried again
CALLS = 12  # connections that are kept
STRATEGIC = "application/strategic-merge-patch+json"
_IN_POD = "KUBERNETES_SERVICE_HOST"  # set in every Pod
_GONE = 410

Json = dict[str, Any]


class ApiRefused(Exception):
    """It answers with an error: `code` of HTTP, `reason` in one word of Kubernetes', the text in one line."""

    def __init__(self, code: int, reason: str, text: str) -> None:
        super().__init__(text)
        self.code, self.reason = code, reason


class ApiSilent(Exception):
    """It cannot be reached, or does not answer. The text says why, in one line."""


class KubernetesApi:
    """`kubeconfig`, `context`: "" as kubectl takes them, or, in a Pod, what that has been given. `needed_by`: who needs
    it, for the message where the library is not there. InvalidInput for what cannot be used."""

    def __init__(self, kubeconfig: str, context: str, needed_by: str) -> None:
        client, config = _library(needed_by)
        settings = client.Configuration()
        try:
            if _IN_POD in os.environ and not kubeconfig and "KUBECONFIG" not in os.environ:
                config.load_incluster_config(client_configuration=settings)
            else:
                config.load_kube_config(kubeconfig or None, context or None, settings, persist_config=False)
        except Exception as error:  # the library raises whatever its parsers do
            where = repr(kubeconfig) if kubeconfig else "the usual one"
            raise InvalidInput(f"Kubernetes: the kubeconfig ({where}) cannot be used: {_line(error)}") from None
        settings.retries = False
        settings.connection_pool_maxsize = CALLS
        self.address = str(settings.host)
        self._client = client.ApiClient(settings)
        self._pool = self._client.rest_client.pool_manager

    def call(self, method: str, path: str, body: Json | None = None, kind: str = "", **query: object) -> Json:
        """The answer. `kind`: the body's, if it is not plain JSON. Raises ApiRefused, ApiSilent."""
        answer = self.open(method, path, body, kind, **query)
        try:
            data = answer.data
        except Exception as error:
            raise ApiSilent(_line(error)) from None
        return _parsed(answer.status, data, self.address)

    def open(self, method: str, path: str, body: Json | None = None, kind: str = "", **query: object) -> Any:
        """The same, with an answer that comes as it is read, unless it is an error: close it."""
        import urllib3

        headers = {"Accept": "application/json"}
        wait = urllib3.Timeout(connect=CONNECT, read=_patience(query))
        url = self.address + path + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body)
        if body is not None:
            headers["Content-Type"] = kind or "application/json"
        try:
            self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
            answer = self._pool.request(
                method, url, body=data, headers=headers, timeout=wait, preload_content=False, redirect=False
            )
            if answer.status >= 300:
                raise _refusal(answer.status, answer.data, self.address)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiSilent(f"{self.address}: {_line(error)}") from None
        return answer

    def check_version(self) -> str:
        """As it tells it itself; "" where that is forbidden. ClusterError for one that is too old, or no Kubernetes.
        Raises ApiRefused, ApiSilent."""
        try:
            told = self.call("GET", "/version")
        except ApiRefused as error:
            if error.code != 403:
                raise
            return ""  # whoever forbids that forbids it to everybody
        try:
            version = version_of(told["major"], told["minor"])
        except (KeyError, ValueError):
            raise ClusterError(f"{self.address} does not answer as Kubernetes does") from None
        if version < OLDEST:
            said, oldest = (".".join(map(str, each)) for each in (version, OLDEST))
            raise ClusterError(f"Kubernetes {said} at {self.address} is too old: {oldest} or later is needed")
        return str(told.get("gitVersion", ""))

    def may(self, namespace: str, wishes: Mapping[str, str]) -> list[str]:
        """What of these is not permitted in that namespace: verbs by resource, as in `{"pods": "create get"}`."""
        missing = []
        for resource, verbs in wishes.items():
            name, _, sub = resource.partition("/")
            for verb in verbs.split():
                asked = {"namespace": namespace, "verb": verb, "resource": name, "subresource": sub}
                review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
                body = {**review, "spec": {"resourceAttributes": asked}}
                answer = self.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
                if not answer["status"].get("allowed"):
                    missing.append(f"{verb} {resource}")
        return missing

    def follow(
        self, path: str, selector: str, look: Callable[[], str], changed: Callable[[str, Json], None], over: Event
    ) -> None:
        """Tells all that happens to the objects of this path, until it is `over`. `look` lists them, and answers the
        list's version; it is called first, and whenever something may have been missed. What `changed` raises of
        ApiRefused and ApiSilent has it look again."""
        version = ""
        while not over.is_set():
            try:
                version = version or look()
                for kind, told in self._watch(path, selector, version):
                    if kind == "ERROR":
                        raise ApiRefused(told.get("code", 0), told.get("reason", ""), _status_text(told))
                    version = told["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        changed(kind, told)
                    if over.is_set():
                        return
            except (ApiRefused, ApiSilent) as error:
                version = ""
                if not (isinstance(error, ApiRefused) and error.code == _GONE) and not over.is_set():
                    logger.warning("Kubernetes does not say what happens: %s; trying again", error)
                    over.wait(PAUSE)

    def _watch(self, path: str, selector: str, version: str) -> Iterator[tuple[str, Json]]:
        asked: Json = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": WATCH, "resourceVersion": version}
        answer = self.open("GET", path, **asked, labelSelector=selector)
        rest = b""
        try:
            for part in answer.stream(1 << 16):
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    event = json.loads(line)
                    yield event["type"], event["object"]
        except (ValueError, KeyError) as error:
            raise ApiSilent(f"{self.address} tells nothing that can be read: {_line(error)}") from None
        except Exception as error:
            if isinstance(error, ApiRefused | ApiSilent | ClusterError):
                raise
            raise ApiSilent(f"{self.address}: {_line(error)}") from None
        finally:
            answer.close()


def _patience(query: Mapping[str, object]) -> float | None:
    """Seconds until the next part of an answer must be there; None: that may take any time."""
    return None if "follow" in query else WATCH + ANSWER if "watch" in query else ANSWER


def _parsed(status: int, data: bytes, address: str) -> Json:
    try:
        answer = json.loads(data)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ApiRefused(status, "NoKubernetes", f"{address} does not answer as Kubernetes does")
    return answer


def _refusal(status: int, data: bytes, address: str) -> ApiRefused:
    try:
        told = json.loads(data)
        assert told["kind"] == "Status"
    except (ValueError, KeyError, TypeError, AssertionError):
        return ApiRefused(status, "NoKubernetes", f"{address} does not answer as Kubernetes does, but with {status}")
    if status == 401:
        return ApiRefused(status, "Unauthorized", f"{address} does not accept these credentials")
    return ApiRefused(status, told.get("reason") or "", _status_text(told))


def _status_text(told: Mapping[str, Any]) -> str:
    return " ".join(str(told.get("message") or told.get("reason") or "it does not say why").split())


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _library(needed_by: str) -> tuple[Any, Any]:
    try:
        from kubernetes import client, config
    except ImportError:
        what = f"{needed_by} needs the package kubernetes: install cluster with its extra `kubernetes`"
        raise InvalidInput(what) from None
    return client, config
