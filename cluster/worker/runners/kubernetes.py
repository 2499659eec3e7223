"""Runs each attempt as a Pod of Kubernetes, in a namespace that the operator has made.

A Pod's name follows from its attempt, and the API takes no second one of a name; a finalizer keeps the Pod until its
end is kept here, whoever deletes it meanwhile. So what there is always can be found, and its exit code is not lost.
Pods are watched, from a list on; a watch that has missed something begins with a list again.
"""

import logging
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from cluster.domain.base.errors import ClusterError
from cluster.domain.launcher.sightings import Sight, Sighting
from cluster.domain.worker.engine_orders import NAME_PATTERN, ContainerOrder, name_parts
from cluster.domain.worker.kubernetes_answers import may_be_taken_later
from cluster.domain.worker.kubernetes_logs import LogReader
from cluster.domain.worker.kubernetes_pods import (
    FINALIZER,
    GIVEN_UP,
    OWNER_LABEL,
    REFUSED,
    grace_of,
    is_given_up,
    pod_of,
    sighting_of,
    stuck,
)
from cluster.engines.kubernetes_api import STRATEGIC, ApiRefused, ApiSilent, Json, KubernetesApi
from cluster.engines.kubernetes_template import read_template
from cluster.worker.runners.engine import EngineDeclined, EngineFull, EngineRefused, OutputPart, Tell, Wanted
from cluster.worker.runners.kubernetes_tail import KubernetesTail

logger = logging.getLogger(__name__)

MOST_READ = 1 << 20  # bytes of output that are taken at once
WISHES = {"pods": "create get list watch patch delete", "pods/log": "get"}
_GONE = "its Pod is not there any more, and nobody says how it ended"


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """The table `[kubernetes]` of `--runner-config`. `template`: a file with a Pod; "": one container of `image`.
    `container`: of the template, the one that is the attempt's; "": the first. `kubeconfig`, `context`: "": as kubectl
    has them, or in a Pod what that was given. `gpu_resource`: what one gpu is. `limit_cpu`: whether the cpus that a job
    asks for are the most that it gets, too."""

    namespace: str
    image: str = ""
    template: str = ""
    container: str = ""
    kubeconfig: str = ""
    context: str = ""
    gpu_resource: str = "nvidia.com/gpu"
    limit_cpu: bool = True


class KubernetesEngine:
    """`base`: where the files are that the settings name. Its calls may come from several threads."""

    name = "kubernetes"

    def __init__(self, settings: KubernetesSettings, base: Path) -> None:
        self._settings = settings
        file = base / settings.template if settings.template else None
        where = "--runner-config: [kubernetes]"
        template = read_template(where, settings.image, file, settings.container, "--runner kubernetes")
        self._template, self._container = template.pod, template.container
        kubeconfig = str(base / settings.kubeconfig) if settings.kubeconfig else ""
        self._api = KubernetesApi(kubeconfig, settings.context, "--runner kubernetes")
        self._pods = f"/api/v1/namespaces/{settings.namespace}/pods"
        self._tails: dict[str, KubernetesTail] = {}
        self._waits: dict[str, str] = {}  # why a Pod has no node yet, as was logged
        self.external_id = f"{self._api.address}/api/v1/namespaces/{settings.namespace}"
        self.reference = f"{settings.namespace}/{NAME_PATTERN}"
        self.metadata = {"engine": "kubernetes", "kubernetes-namespace": settings.namespace}

    def check(self) -> None:
        namespace = self._settings.namespace
        try:
            self.metadata["kubernetes-version"] = self._api.check_version()
            if missing := self._api.may(namespace, WISHES):
                raise ClusterError(
                    f"Kubernetes: no permission in namespace {namespace!r} (if there is one) to {', '.join(missing)}"
                )
            # Nothing is made by this, but all is asked that a Pod has to pass.
            self._api.call("POST", self._pods, self._pod(_TRIED), dryRun="All")
        except ApiSilent as error:
            raise ClusterError(f"Kubernetes does not answer: {error}") from None
        except ApiRefused as error:
            if error.code == 409 or "exceeded quota" in str(error):
                return
            raise ClusterError(f"Kubernetes takes no Pod in namespace {namespace!r}: {error}") from None

    # -- one container

    def make(self, order: ContainerOrder) -> Sighting:
        try:
            return self._seen(self._api.call("POST", self._pods, self._pod(order)))
        except ApiSilent as error:
            raise EngineFull(f"it does not answer: {error}") from None
        except ApiRefused as error:
            if error.reason == "AlreadyExists":
                return self._ours(order.name)
            if may_be_taken_later(error.code, str(error)):
                raise (EngineFull if error.code == 408 or error.code >= 500 else EngineDeclined)(str(error)) from None
            raise EngineRefused(f"Kubernetes does not take its Pod: {error}") from None

    def _pod(self, order: ContainerOrder) -> Json:
        settings = self._settings
        return pod_of(order, self._template, self._container, settings.gpu_resource, settings.limit_cpu)

    def _ours(self, name: str) -> Sighting:
        """The Pod that there is of this name."""
        if (found := self._get(name)) is None:
            raise EngineFull(f"{name} was there, and is not")
        if (found["metadata"].get("labels") or {}).get(OWNER_LABEL) != name_parts(name)[0]:
            raise EngineRefused(f"there is a Pod {name}, which no worker has made")
        return self._wanted(found)

    def find(self, name: str) -> Sighting | None:
        found = self._get(name)
        return None if found is None else self._wanted(found)

    def _wanted(self, pod: Json) -> Sighting:
        """Of one that was not given up."""
        if is_given_up(pod):
            name = pod["metadata"]["name"]
            self.discard(name, "")  # whoever did that may have died in between
            raise EngineFull(f"{name} was given up, and has not ended yet")
        return self._seen(pod)

    def discard(self, name: str, reference: str) -> None:
        """The Pod says itself that it was given up: so nobody, now or after a crash, takes its end for another's."""
        self._tails.pop(name, None)
        body = {"metadata": {"annotations": {GIVEN_UP: "true"}, "$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
        try:
            self._api.call("PATCH", f"{self._pods}/{name}", body, STRATEGIC)
            self._delete(name, 1)
        except ApiSilent as error:
            raise EngineFull(str(error)) from None
        except ApiRefused as error:
            if error.code != 404:
                raise EngineFull(str(error)) from None

    def _get(self, name: str) -> Json | None:
        try:
            return self._api.call("GET", f"{self._pods}/{name}")
        except ApiSilent as error:
            raise EngineFull(f"it does not answer: {error}") from None
        except ApiRefused as error:
            if error.code == 404 and error.reason == "NotFound":
                return None
            raise EngineFull(str(error)) from None

    def stop(self, name: str, reference: str, grace: float) -> None:
        """Whoever deletes a Pod has its log go with it: so that is followed from before."""
        if name not in self._tails:
            with suppress(ApiRefused, ApiSilent):
                self._tails[name] = KubernetesTail(self._log(name, "", follow="true"))
        try:
            self._delete(name, grace_of(grace))
        except (ApiSilent, ApiRefused) as error:
            raise EngineFull(str(error)) from None

    def output(self, name: str, reference: str, position: str) -> OutputPart:
        if (tail := self._tails.get(name)) is not None and (part := tail.next(position)) is not None:
            return part  # else it has ended, or its connection broke: what is still kept there is asked for as usual
        reader = LogReader(position, MOST_READ)
        try:
            answer = self._log(name, reader.since)
        except ApiSilent as error:
            raise EngineFull(str(error)) from None
        except ApiRefused as error:
            if error.code in (400, 404):  # nothing has begun to write, or it is gone with its Pod
                return OutputPart(b"", position, False)
            raise EngineFull(str(error)) from None
        try:
            for part in answer.stream(1 << 16):
                if not reader.feed(part):
                    break
        except Exception as error:  # a connection that broke: what came is whole
            logger.info("the output of %s came in part: %s", name, error)
        finally:
            answer.close()
        return OutputPart(reader.take(), reader.position, reader.full)

    def _log(self, name: str, since: str, **more: str) -> Any:
        """`since`: a whole second; "": all. Raises ApiRefused, ApiSilent."""
        asked: dict[str, Any] = {"container": self._container, "timestamps": "true", **more}
        if since:
            asked["sinceTime"] = since
        return self._api.open("GET", f"{self._pods}/{name}/log", **asked)

    def forget(self, name: str, reference: str) -> None:
        self._tails.pop(name, None)
        try:
            self._delete(name, 1)
            body = {"metadata": {"$deleteFromPrimitiveList/finalizers": [FINALIZER]}}
            self._api.call("PATCH", f"{self._pods}/{name}", body, STRATEGIC)
        except ApiSilent as error:
            raise EngineFull(str(error)) from None
        except ApiRefused as error:
            if error.code != 404:
                raise EngineFull(str(error)) from None

    def _delete(self, name: str, grace: int) -> None:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": grace}
        try:
            self._api.call("DELETE", f"{self._pods}/{name}", body)
        except ApiRefused as error:
            if error.code != 404:
                raise

    # -- all

    def watch(self, owner: str, wanted: Wanted, tell: Tell, over: Event) -> None:
        selector = f"{OWNER_LABEL}={owner}"

        def look() -> str:
            asked = dict(wanted())  # before the list: what is made after it is none of its affair
            answer = self._api.call("GET", self._pods, labelSelector=selector)
            for pod in answer["items"]:
                asked.pop(pod["metadata"]["name"], None)
                self._tell(pod, tell)
            for name, reference in asked.items():
                tell(Sighting(name, Sight.LOST, reference, text=_GONE))
            return str(answer["metadata"]["resourceVersion"])

        def changed(kind: str, pod: Json) -> None:
            if kind != "DELETED" or pod["metadata"]["name"] in wanted():
                self._tell(pod, tell, kind == "DELETED")

        self._api.follow(self._pods, selector, look, changed, over)

    def _tell(self, pod: Json, tell: Tell, gone: bool = False) -> None:
        if is_given_up(pod):
            return
        seen = sighting_of(pod, self._container, gone)
        if not seen.sight.over and (why := stuck(pod, self._container)):
            self._give_up(seen.name, why)
        if seen.sight is Sight.PENDING and seen.text and self._waits.get(seen.name) != seen.text:
            self._waits[seen.name] = seen.text
            logger.info("%s waits: %s", seen.name, seen.text)
        elif seen.sight is not Sight.PENDING:
            self._waits.pop(seen.name, None)
        tell(seen)

    def _give_up(self, name: str, why: str) -> None:
        """Deletes a Pod that will not begin. It keeps why, for whoever sees it end."""
        try:
            self._api.call("PATCH", f"{self._pods}/{name}", {"metadata": {"annotations": {REFUSED: why}}}, STRATEGIC)
            self._delete(name, 1)
        except ApiRefused as error:
            if error.code != 404:
                raise

    def _seen(self, pod: Json) -> Sighting:
        return sighting_of(pod, self._container)


_TRIED = ContainerOrder("cluster-check-0-0-0", ("true",), (), 10)
