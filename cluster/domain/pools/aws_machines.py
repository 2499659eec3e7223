"""Machines of pools as Amazon has them: what its tasks (ECS) and instances (EC2) say, and what an instance is told.

`since`: Unix seconds; what ended before that is not told any more.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from cluster.domain.pools.told import MachineState, ToldMachine

MACHINE_TAG, POOL_TAG = "cluster-machine", "cluster-pool"
LONGEST_TOKEN = 64  # characters by which Amazon knows a request again

_TASK_COMES = ("PROVISIONING", "PENDING", "ACTIVATING")
_BY_US = ("UserInitiated", "Client.UserInitiatedShutdown")
_BOOT = """#!/bin/sh
umask 077
{prepare}CLUSTER_WORKER_JOIN={join} setsid sh -c '
    for try in 1 2 3 4 5 6 7 8 9 10; do
        "$@" && break
        sleep 10
    done
    shutdown -h now
' cluster {words} > /var/log/cluster-worker.log 2>&1 < /dev/null &
"""
_PREPARE = """sh -e -c {script} > /var/log/cluster-prepare.log 2>&1 < /dev/null || {{ shutdown -h now; exit 1; }}
"""


def pool_mark(cluster: str, pool: str) -> str:
    """By which all machines of one pool are found again: letters, digits and hyphens."""
    return f"cluster-{cluster}-{pool}"


def request_token(cluster: str, machine: str) -> str:
    """By which Amazon knows the request for one machine again, however often it is sent."""
    return f"{cluster}-{machine}"[-LONGEST_TOKEN:]


def tags_of(cluster: str, pool: str, machine: str, others: Mapping[str, str]) -> dict[str, str]:
    return {**others, POOL_TAG: pool_mark(cluster, pool), MACHINE_TAG: machine}


def boot_script(words: Sequence[str], join: str, prepare: str) -> str:
    """What an instance does when it boots: `prepare`, a script of the operator's, then a worker, which is started again
    if it fails. When that has ended the instance shuts down."""
    before = _PREPARE.format(script=shlex.quote(prepare)) if prepare else ""
    return _BOOT.format(prepare=before, join=shlex.quote(join), words=shlex.join(words))


def told_task(task: Mapping[str, Any], since: float) -> ToldMachine | None:
    """As DescribeTasks tells it, with its tags. None: it is no machine, or has ended and that needs no telling."""
    name = next((tag["value"] for tag in task.get("tags", ()) if tag["key"] == MACHINE_TAG), "")
    status, stop, arn = task.get("lastStatus", ""), task.get("stopCode", ""), task["taskArn"]
    over = status == "STOPPED"
    if not name or (over and (stop in _BY_US or _seconds(task.get("stoppedAt")) < since)):
        return None
    if over or (task.get("desiredStatus") == "STOPPED" and stop not in _BY_US):
        return ToldMachine(name, arn, MachineState.BROKEN, _why_stopped(task))
    return ToldMachine(name, arn, MachineState.STARTING if status in _TASK_COMES else MachineState.RUNNING)


def told_instance(instance: Mapping[str, Any], since: float) -> ToldMachine | None:
    """As DescribeInstances tells it. None: it is no machine, or has ended and that needs no telling."""
    name = next((tag["Value"] for tag in instance.get("Tags", ()) if tag["Key"] == MACHINE_TAG), "")
    state, reason = instance["State"]["Name"], instance.get("StateReason") or {}
    ended_by_us = reason.get("Code", "") in _BY_US
    over = state == "terminated"
    if not name or (over and (ended_by_us or _seconds(instance.get("LaunchTime")) < since)):
        return None
    if state in ("pending", "running"):
        return ToldMachine(name, instance["InstanceId"], _INSTANCE_STATES[state])
    if state == "shutting-down" and ended_by_us:
        return ToldMachine(name, instance["InstanceId"])
    why = " ".join(str(reason.get("Message", "")).split()) or "EC2 does not say why"
    return ToldMachine(name, instance["InstanceId"], MachineState.BROKEN, f"its instance is {state}: {why}")


_INSTANCE_STATES = {"pending": MachineState.STARTING, "running": MachineState.RUNNING}


def _why_stopped(task: Mapping[str, Any]) -> str:
    parts = [task.get("stoppedReason", "")]
    for container in task.get("containers", ()):
        code = container.get("exitCode")
        said = [container.get("reason", ""), f"{container.get('name', '')} left with code {code}" if code else ""]
        parts += [each for each in said if each and each not in parts]
    return f"its task was stopped: {'; '.join(' '.join(part.split()) for part in parts if part) or 'ECS says no more'}"


def _seconds(moment: Any) -> float:
    return float(moment.timestamp()) if moment is not None else 0.0
