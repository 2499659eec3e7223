"""Machines as Pods: what Kubernetes is asked to make, and what is read from what it tells, as tables."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from cluster.domain.job.amounts import GPUS, MEMORY
from cluster.domain.pools.told import MachineState, ToldMachine

CLUSTER_LABEL, POOL_LABEL = "cluster-id", "cluster-pool"
JOIN_KEY = "join"  # in a machine's Secret
JOIN_VARIABLE = "CLUSTER_WORKER_JOIN"


def selector_of(pool: str, cluster: str) -> str:
    """Of the Pods of that pool."""
    return f"{CLUSTER_LABEL}={cluster},{POOL_LABEL}={pool}"


def machine_pod(
    template: Mapping[str, Any], container: str, name: str, labels: Mapping[str, str], words: Sequence[str]
) -> dict[str, Any]:
    """The operator's template, in which that container runs a worker by these words; its join token comes from a Secret
    of the machine's name. `words` begin with a dash where the image itself runs the program."""
    pod = deepcopy(dict(template))
    metadata, spec = dict(pod.get("metadata") or {}), dict(pod["spec"])
    for given in ("generateName", "namespace"):
        metadata.pop(given, None)
    metadata |= {"name": name, "labels": {**(metadata.get("labels") or {}), **labels}}
    spec["restartPolicy"] = "Never"  # a token is good for one start
    spec.setdefault("automountServiceAccountToken", False)
    spec.setdefault("enableServiceLinks", False)
    own = next(each for each in spec["containers"] if each["name"] == container)
    key = {"secretKeyRef": {"name": name, "key": JOIN_KEY}}
    given_env = [each for each in own.get("env") or () if each.get("name") != JOIN_VARIABLE]
    own["env"] = [*given_env, {"name": JOIN_VARIABLE, "valueFrom": key}]
    literal = [word.replace("$", "$$") for word in words]
    own |= {"args": literal} if words[0] == "worker" else {"command": literal, "args": []}
    return {**pod, "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def with_sizes(pod: dict[str, Any], container: str, millicpus: int, amounts: Mapping[str, int], gpus: str) -> None:
    """Gives that container what its worker will offer, where the template does not say that itself."""
    own = next(each for each in pod["spec"]["containers"] if each["name"] == container)
    requests, limits = {"cpu": f"{millicpus}m"}, {}
    if memory := amounts.get(MEMORY, 0):
        requests["memory"] = limits["memory"] = str(memory)
    if count := amounts.get(GPUS, 0):
        requests[gpus] = limits[gpus] = str(count)
    given = own.get("resources") or {}
    sizes = {"requests": requests, "limits": limits}
    own["resources"] = {**given, **{key: {**sizes[key], **(given.get(key) or {})} for key in sizes}}


def join_secret(pod: Mapping[str, Any], join: str) -> dict[str, Any]:
    """The Secret of a Pod that was made; it goes when that goes."""
    metadata = pod["metadata"]
    owner = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
    own = {"name": metadata["name"], "labels": metadata["labels"], "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": own, "stringData": {JOIN_KEY: join}}


def told_pod(pod: Mapping[str, Any], stuck: str) -> ToldMachine:
    """`stuck`: why its container will not begin; empty: it may."""
    name, uid = pod["metadata"]["name"], str(pod["metadata"]["uid"])
    status = pod.get("status") or {}
    phase = status.get("phase")
    if stuck:
        waits = f'secret "{name}" not found' in stuck  # which is made just after the Pod
        return ToldMachine(name, uid, MachineState.STARTING if waits else MachineState.BROKEN, stuck)
    if phase in ("Succeeded", "Failed"):
        return ToldMachine(name, uid, MachineState.BROKEN, f"its Pod has ended: {_end_of(status)}")
    if phase == "Running":
        return ToldMachine(name, uid, MachineState.RUNNING)
    return ToldMachine(name, uid, MachineState.STARTING, _unscheduled(status))


def _end_of(status: Mapping[str, Any]) -> str:
    said = _line(status.get("reason"), status.get("message"))
    for each in status.get("containerStatuses") or ():
        if ended := (each.get("state") or {}).get("terminated"):
            why = _line(ended.get("reason"), ended.get("message"))
            return said or f"code {ended.get('exitCode')}{f', {why}' if why else ''}"
    return said or str(status.get("phase"))


def _unscheduled(status: Mapping[str, Any]) -> str:
    for each in status.get("conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("status") == "False":
            return _line(each.get("reason"), each.get("message"))
    return ""


def _line(reason: str | None, message: str | None) -> str:
    return " ".join(f"{reason or ''}: {message or ''}".split()).strip(": ")
