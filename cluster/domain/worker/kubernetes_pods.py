"""What Kubernetes says of its Pods and is asked for, as tables: each Pod is there for one container."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from math import ceil
from typing import Any

from cluster.domain.launcher.sightings import Sight, Sighting
from cluster.domain.worker.engine_orders import ContainerOrder, name_parts

# Keeps a Pod that somebody deletes until its end is kept here: so no attempt can be made twice, and no code is lost.
FINALIZER = "cluster.internal/end-is-kept"
OWNER_LABEL, JOB_LABEL, TASK_LABEL = "cluster-worker", "cluster-job", "cluster-task"
GIVEN_UP = "cluster.internal/given-up"  # annotation: it came after its order was given up, and is nobody's
REFUSED = "cluster.internal/refused"  # annotation: why we have deleted it before it began

# Of a container that waits: it does so for good, or for so long that it is to end.
_NO_IMAGE = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
_NEVER_BEGINS = ("CreateContainerConfigError", "CreateContainerError", "PreCreateHookError")
# Of a container that has ended, or has not begun.
_NOT_STARTED = ("ContainerCannotRun", "StartError")
_UNKNOWN_END = "ContainerStatusUnknown"
# Of a Pod: Kubernetes took it away, so that a command which was ended by that is not to blame.
_TAKEN = ("Evicted", "Preempting", "NodeLost", "NodeShutdown", "Shutdown", "Terminated")
SECOND = 1_000_000  # microseconds: how exactly Kubernetes tells times
_DISRUPTED = "DisruptionTarget"

Seen = Callable[..., Sighting]


def pod_of(
    order: ContainerOrder, template: Mapping[str, Any], container: str, gpus: str, limit_cpu: bool
) -> dict[str, Any]:
    """The Pod for an order: the operator's template, in which that container ("": the first) has the attempt's command,
    variables and sizes. `gpus`: the resource that a gpu is."""
    owner, job, index, _ = name_parts(order.name)
    pod = deepcopy(dict(template))
    pod |= {"apiVersion": "v1", "kind": "Pod"}
    metadata, spec = dict(pod.get("metadata") or {}), dict(pod["spec"])
    for given in ("generateName", "namespace"):
        metadata.pop(given, None)
    labels = {"app.kubernetes.io/managed-by": "cluster", OWNER_LABEL: owner, JOB_LABEL: job, TASK_LABEL: index}
    metadata |= {"name": order.name, "labels": {**(metadata.get("labels") or {}), **labels}}
    metadata["finalizers"] = [*(metadata.get("finalizers") or ()), FINALIZER]
    spec["restartPolicy"] = "Never"
    spec["terminationGracePeriodSeconds"] = grace_of(order.grace)
    spec.setdefault("automountServiceAccountToken", False)
    spec.setdefault("enableServiceLinks", False)
    own = container_in(spec["containers"], container)
    own["command"], own["args"] = [literal(word) for word in order.argv], []
    given_env = [each for each in own.get("env") or () if each.get("name") not in dict(order.env)]
    own["env"] = [*given_env, *({"name": name, "value": literal(value)} for name, value in order.env)]
    if order.cwd:
        own["workingDir"] = order.cwd
    own["resources"] = _resources(order, own.get("resources") or {}, gpus, limit_cpu)
    return {**pod, "metadata": metadata, "spec": spec}


def _resources(order: ContainerOrder, given: Mapping[str, Any], gpus: str, limit_cpu: bool) -> dict[str, Any]:
    requests = {"cpu": f"{order.millicpus}m"}
    limits = dict(requests) if limit_cpu else {}
    if order.memory:
        requests["memory"] = limits["memory"] = str(order.memory)
    if order.gpus:
        limits[gpus] = requests[gpus] = str(order.gpus)
    old = {name: dict(given.get(name) or {}) for name in ("requests", "limits")}
    return {**given, "requests": {**old["requests"], **requests}, "limits": {**old["limits"], **limits}}


def literal(text: str) -> str:
    """For a command or a variable's value, in which Kubernetes would put variables in place of `$(NAME)`."""
    return text.replace("$", "$$")


def grace_of(seconds: float) -> int:
    """Whole seconds, at least one: with none Kubernetes forgets a Pod before its command has ended."""
    return max(1, ceil(seconds))


def container_in(containers: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """The container of that name, "": the first. KeyError: there is none."""
    for each in containers:
        if not name or each.get("name") == name:
            return each
    raise KeyError(name)


def is_given_up(pod: Mapping[str, Any]) -> bool:
    """Whether it is deleted as nobody's: another one may come by its name."""
    return GIVEN_UP in (pod["metadata"].get("annotations") or {})


def sighting_of(pod: Mapping[str, Any], container: str, gone: bool = False) -> Sighting:
    """What a Pod, as the API tells it, says of that container. `gone`: nobody will tell more of it."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    own = _own_status(status.get("containerStatuses") or (), container)
    state: Mapping[str, Any] = own.get("state") or {}
    ended, waiting = state.get("terminated"), state.get("waiting") or {}
    reference, node = f"{metadata.get('namespace', '')}/{metadata['name']}", pod["spec"].get("nodeName") or ""
    began = _micros((ended or state.get("running") or {}).get("startedAt"))

    def seen(sight: Sight, text: str = "", **more: Any) -> Sighting:
        over = _micros((ended or {}).get("finishedAt"))
        same = {"within_us": SECOND, "uid": metadata.get("uid", "")}
        return Sighting(metadata["name"], sight, reference, node, began, over, text=text, **same, **more)

    if ended is not None and ended.get("reason") != _UNKNOWN_END:
        return _ended(ended, began, seen, taken_away(status))
    if is_over(pod) or gone:
        return _without_end(pod, own, ended is not None or bool(began), seen)
    if "running" in state:
        return seen(Sight.RUNNING)
    return seen(Sight.PENDING, _said(waiting) or _unscheduled(status))


def _ended(ended: Mapping[str, Any], began: int, seen: Seen, taken: str) -> Sighting:
    code, reason = ended.get("exitCode"), ended.get("reason", "")
    if reason in _NOT_STARTED:
        return seen(Sight.UNMADE, f"it could not be started: {_said(ended)}")
    if reason == "OOMKilled":
        return seen(Sight.ENDED, _said(ended), code=code, oom=True)
    if taken and code != 0:
        return seen(Sight.LOST, taken)
    return seen(Sight.ENDED, code=code)


def _without_end(pod: Mapping[str, Any], own: Mapping[str, Any], began: bool, seen: Seen) -> Sighting:
    """Of a Pod that is over, where nobody says how the command has ended, or whether it has begun."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    taken = taken_away(status)
    said = " ".join(f"{status.get('reason', '')}: {status.get('message', '')}".split()).strip(": ")
    refused = (metadata.get("annotations") or {}).get(REFUSED)
    never = not began and "running" not in (own.get("state") or {})
    if refused and never:
        return seen(Sight.UNMADE, refused)
    if never and not taken and status.get("phase") == "Failed" and status.get("reason"):
        return seen(Sight.UNMADE, f"its node did not take it: {said}", returned=True)
    if never and (broken := _broken_before(status)):
        return seen(Sight.UNMADE, broken)
    if never and not pod["spec"].get("nodeName"):
        return seen(Sight.UNMADE, "its Pod was deleted before it began", returned=True)
    return seen(Sight.LOST, taken or said or "its Pod was deleted, and nobody says how it ended")


def is_over(pod: Mapping[str, Any]) -> bool:
    """Whether nothing runs of it, or it was taken away by force."""
    if (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return True
    metadata = pod["metadata"]
    return bool(metadata.get("deletionTimestamp")) and not metadata.get("deletionGracePeriodSeconds")


def stuck(pod: Mapping[str, Any], container: str) -> str:
    """Why that container will not begin, so that its Pod is to be deleted; empty: it may. (It is over only when that is
    done: its node tries again and again.)"""
    if pod["metadata"].get("deletionTimestamp") or is_over(pod):
        return ""
    status = pod.get("status") or {}
    known = [
        *(status.get("initContainerStatuses") or ()),
        _own_status(status.get("containerStatuses") or (), container),
    ]
    for each in known:
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _NO_IMAGE:
            return f"its image cannot be pulled: {_said(waiting)}"
        if waiting.get("reason") in _NEVER_BEGINS:
            return f"it could not be started: {_said(waiting)}"
    return ""


def taken_away(status: Mapping[str, Any]) -> str:
    """Why Kubernetes has taken a Pod of this status away; empty: it has not."""
    if status.get("reason") in _TAKEN:
        return f"Kubernetes took it away: {status['reason']}: {status.get('message', '')}".rstrip(": ")
    for each in status.get("conditions") or ():
        if each.get("type") == _DISRUPTED and each.get("status") == "True":
            return f"Kubernetes took it away: {_said(each)}"
    return ""


def _broken_before(status: Mapping[str, Any]) -> str:
    for each in status.get("initContainerStatuses") or ():
        ended = (each.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            return f"its init container {each.get('name')} ended with code {ended['exitCode']}"
    return ""


def _unscheduled(status: Mapping[str, Any]) -> str:
    for each in status.get("conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return _said(each)
    return ""


def _own_status(statuses: Sequence[Mapping[str, Any]], container: str) -> Mapping[str, Any]:
    return next((each for each in statuses if each.get("name") == container), {})


def _said(what: Mapping[str, Any]) -> str:
    return " ".join(f"{what.get('reason', '')}: {what.get('message', '')}".split()).strip(": ")


def _micros(moment: str | None) -> int:
    return round(datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp() * 1e6) if moment else 0
