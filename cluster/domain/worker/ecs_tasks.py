"""What ECS says of its tasks and is asked for, as tables. A task of ECS is a container here: `task` is our own word."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any

from cluster.domain.launcher.sightings import Sight, Sighting
from cluster.domain.worker.engine_orders import ContainerOrder

# vCPUs in 1,024ths, and the memory that Fargate has with these, in MiB: least, most, and in which steps.
_FARGATE = (
    (256, (512, 1024, 2048)),
    (512, range(1024, 4096 + 1, 1024)),
    (1024, range(2048, 8192 + 1, 1024)),
    (2048, range(4096, 16384 + 1, 1024)),
    (4096, range(8192, 30720 + 1, 1024)),
    (8192, range(16384, 61440 + 1, 4096)),
    (16384, range(32768, 122880 + 1, 8192)),
)
LONGEST_OVERRIDES = 8192  # characters of all that a task has of its own, as JSON
MIB = 1 << 20
GIVEN_UP = "it came after its order was given up"  # the reason of a task that is nobody's
# What is said of a task that could not be placed just now, and may be later.
_NO_ROOM = ("RESOURCE", "CAPACITY", "AGENT", "MEMORY", "No Container Instances", "Capacity is unavailable", "limit")
_RUNNING = ("RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED")
# Why a task was stopped that nobody of us has stopped.
_TAKEN_BACK = {
    "SpotInterruption": "its machine was a spot one, and was taken back",
    "TerminationNotice": "its machine was told to end",
    "ServiceSchedulerInitiated": "a service of ECS has stopped it",
}


def fargate_size(millicpus: int, memory: int) -> tuple[str, str] | None:
    """The smallest size of Fargate with so much (memory in bytes): its cpu and memory, as ECS is told. None: there is
    none."""
    for units, sizes in _FARGATE:
        if units * 1000 >= millicpus * 1024:
            for size in sizes:
                if size * MIB >= memory:
                    return str(units), str(size)
    return None


def overrides_of(order: ContainerOrder, container: str, fargate: bool) -> dict[str, Any] | None:
    """What a task has of its own. None: Fargate has no machine of that size."""
    own: dict[str, Any] = {
        "name": container,
        "command": list(order.argv),
        "environment": [{"name": name, "value": value} for name, value in order.env],
        "cpu": max(2, order.millicpus * 1024 // 1000),
    }
    if order.memory:
        own["memory"] = max(6, -(-order.memory // MIB))
    if order.gpus:
        own["resourceRequirements"] = [{"type": "GPU", "value": str(order.gpus)}]
    if not fargate:
        return {"containerOverrides": [own]}
    size = fargate_size(order.millicpus, order.memory)
    return None if size is None else {"containerOverrides": [own], "cpu": size[0], "memory": size[1]}


def token_of(name: str, before: Sequence[str]) -> str:
    """With which the task is asked for once. `before`: references of those of that name that are of no use any more."""
    return sha256(" ".join([name, *sorted(before)]).encode()).hexdigest() if before else name


def no_room(reason: str) -> bool:
    """Whether a task that was refused so may be taken later."""
    return any(word.lower() in reason.lower() for word in _NO_ROOM)


def sighting_of(name: str, task: Mapping[str, Any], container: str) -> Sighting:
    """Of a task as DescribeTasks and RunTask tell it, of which that container is the attempt's."""
    last, stop = task.get("lastStatus", ""), task.get("stopCode", "")
    reference, node = task["taskArn"], task.get("containerInstanceArn") or task.get("availabilityZone") or ""
    began, ended = _micros(task.get("startedAt")), _micros(task.get("stoppedAt"))
    own = _container(task.get("containers", ()), container)
    code, why = own.get("exitCode"), own.get("reason", "")
    text = " ".join(part for part in (task.get("stoppedReason", ""), why) if part)

    def seen(sight: Sight, text: str = "", **more: Any) -> Sighting:
        return Sighting(name, sight, reference, node, began, ended, text=text, **more)

    if last != "STOPPED":
        return Sighting(name, Sight.RUNNING if last in _RUNNING else Sight.PENDING, reference, node, began)
    if "OutOfMemory" in text:
        return seen(Sight.ENDED, text, code=code if code is not None else 137, oom=True)
    if stop in _TAKEN_BACK:
        return seen(Sight.LOST, f"{_TAKEN_BACK[stop]}: {text}")
    if stop == "TaskFailedToStart" or (code is None and not began):
        return seen(Sight.UNMADE, _unmade(text), returned=no_room(text))
    if code is None:
        return seen(Sight.LOST, f"ECS does not say how it ended: {text or stop}")
    return seen(Sight.ENDED, code=code)


def _unmade(text: str) -> str:
    if "CannotPull" in text or "pull image" in text.lower():
        return f"its image cannot be pulled: {text}"
    return f"ECS could not start it: {text or 'it does not say why'}"


def _container(containers: Sequence[Mapping[str, Any]], name: str) -> Mapping[str, Any]:
    return next((each for each in containers if each.get("name") == name), containers[0] if containers else {})


def _micros(moment: datetime | None) -> int:
    return round(moment.timestamp() * 1e6) if moment is not None else 0
