"""moto's server, which answers as AWS does, and what it leaves out: containers and machines, which are processes here.

    python aws_server.py    (in the environment `checks`; says its port, ends with its stdin)

A task's command runs as a process of this machine; what it writes goes to the log group;
its end stops the task. An image `missing:…` cannot be pulled; StopTask is SIGTERM, and SIGKILL 0.3 s after it. An
instance runs its user data, in a namespace of its own, where `shutdown` ends it. A request that is sent again with its
client token makes nothing more, as AWS has it and moto does not.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2 import ec2_backends
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import InstanceBackend
from moto.ecs import ecs_backends
from moto.ecs import models as ecs
from moto.ecs.exceptions import InvalidParameterException
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.logs import logs_backends
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"
LOCK = threading.Lock()
MADE: list[str] = []  # what started each task, and the client token of each instance, as often as it was made
MOST: dict[str, int] = {}  # how many tasks of one `startedBy`, or instances, there were at once, at most
ASKED = threading.local()  # the client token of the request that this thread answers
KNOWN: dict[str, Any] = {}  # what was made by each client token


def play(backend: Any, task: Any) -> None:
    """Runs the task's command to its end, as its container would."""
    definition = backend.describe_task_definition(task.task_definition_arn).container_definitions[0]
    own = task.overrides["containerOverrides"][0]
    if definition["image"].startswith("missing"):
        stop(
            task,
            None,
            f"CannotPullContainerError: pull image manifest has been retried 5 time(s): {definition['image']}",
        )
        return
    options = definition["logConfiguration"]["options"]
    stream = f"{options['awslogs-stream-prefix']}/{definition['name']}/{task.id}"
    logs = logs_backends[DEFAULT_ACCOUNT_ID][REGION]
    logs.create_log_stream(options["awslogs-group"], stream)
    env = {"PATH": os.environ["PATH"], **{each["name"]: each["value"] for each in own["environment"]}}
    with LOCK:
        task.started_at, task.last_status = time.time(), "RUNNING"
    try:
        process = task.process = subprocess.Popen(
            own["command"],
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        stop(task, 127, f"CannotStartContainerError: {error}")
        return
    assert process.stdout is not None, "it is a pipe"
    for line in process.stdout:
        event = {"timestamp": int(time.time() * 1000), "message": line.decode().rstrip("\n")}
        logs.put_log_events(options["awslogs-group"], stream, [event])
    code = process.wait()
    stop(task, code if code >= 0 else 128 - code, "Essential container in task exited")


def stop(task: Any, code: int | None, reason: str) -> None:
    """`code` None: it was not begun."""
    why = "TaskFailedToStart" if code is None else "EssentialContainerExited"
    with LOCK:
        task.stop_code = getattr(task, "stop_code", why)
        task.stopped_at = time.time()
        task.containers[0].exitCode = code
        task.stopped_reason = task.stopped_reason or reason
        task.desired_status = "STOPPED"
        task.last_status = "STOPPED"


def at_one_moment(tasks: Any) -> Any:
    """Copies, since the answer is made of a task part by part, while it may end."""
    copies = [copy(task) for task in tasks]
    for each in copies:
        each.containers = [copy(container) for container in each.containers]
    return copies


def describe_tasks(backend: Any, *arguments: Any, **named: Any) -> Any:
    with LOCK:
        return at_one_moment(_describe_tasks(backend, *arguments, **named))


def run_task(backend: Any, *arguments: Any, **named: Any) -> Any:
    token = f"task {ASKED.token}" if getattr(ASKED, "token", "") else ""
    with LOCK:
        if token in KNOWN:
            return KNOWN[token]
        tasks = _run_task(backend, *arguments, **named)
        for task in tasks:
            MADE.append(task.started_by)
            there = [t for t in backend.tasks[task.cluster_name].values() if t.last_status != "STOPPED"]
            count(task.started_by, [t for t in there if t.started_by == task.started_by])
            task.containers[0].exitCode = None
            task.last_status = "PENDING"
            task._transitions = []  # it does not go on by being looked at
        told = at_one_moment(tasks)
        if token:
            KNOWN[token] = told
    for task in tasks:
        threading.Thread(target=play, args=(backend, task), daemon=True).start()
    return told


def count(what: str, there: list[Any]) -> None:
    MOST[what] = max(MOST.get(what, 0), len(there))


def answer_run_task(response: Any) -> Any:
    ASKED.token = response._get_param("clientToken")
    return _answer_run_task(response)


def stop_task(backend: Any, cluster: str, name: str, reason: str) -> Any:
    there = backend.tasks.get(cluster.split("/")[-1], {}).items()
    task = next((t for arn, t in there if arn.endswith(name.split("/")[-1])), None)
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    if task.last_status != "STOPPED":
        task.desired_status, task.stopped_reason, task.stop_code = "STOPPED", reason, "UserInitiated"
        os.killpg(task.process.pid, signal.SIGTERM)
        threading.Timer(0.3, kill, [task.process]).start()
    return task


# -- instances

BOOT = """
mkdir "$0/bin"
printf '#!/bin/sh\ntouch %s/off\n' "$0" > "$0/bin/shutdown"
chmod +x "$0/bin/shutdown"
export PATH="$0/bin:/usr/bin:/bin" HOME="$0"
sed "s#/var/log/#$0/#" "$0/user-data" > "$0/boot"
sh "$0/boot"
until test -e "$0/off"; do sleep 0.1; done
"""


def boot(backend: Any, instance: Any, place: Path) -> None:
    """Does what the instance is told at its boot, until it is off."""
    (place / "user-data").write_text(instance.user_data.decode())
    command = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", BOOT, str(place)]
    instance.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    instance.process.wait()
    if instance._state.name != "terminated":
        instance.terminate()
        instance.state_reason.code = "Client.InstanceInitiatedShutdown"
        instance.state_reason.message = "Client.InstanceInitiatedShutdown: Instance initiated shutdown"


def run_instances(backend: Any, *arguments: Any, **named: Any) -> Any:
    token = named.get("client_token", "")
    with LOCK:
        if (known := f"instance {token}") in KNOWN:
            return KNOWN[known]
        KNOWN[known] = reservation = _run_instances(backend, *arguments, **named)
        MADE.append(token)
        count("instances", running(backend))
    for instance in reservation.instances:
        place = Path(ROOT.name, instance.id)
        place.mkdir()
        threading.Thread(target=boot, args=(backend, instance, place), daemon=True).start()
    return reservation


def running(backend: Any) -> list[Any]:
    instances = [instance for each in backend.reservations.values() for instance in each.instances]
    return [instance for instance in instances if instance._state.name != "terminated"]


def terminate_instances(backend: Any, ids: list[str]) -> Any:
    ended = _terminate_instances(backend, ids)
    for instance, _ in ended:
        if getattr(instance, "process", None) is not None:
            kill(instance.process)
    return ended


def kill(process: Any) -> None:
    """All of the container."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


_run_task = ecs.EC2ContainerServiceBackend.run_task
ecs.EC2ContainerServiceBackend.run_task = run_task
ecs.EC2ContainerServiceBackend.stop_task = stop_task
_describe_tasks = ecs.EC2ContainerServiceBackend.describe_tasks
ecs.EC2ContainerServiceBackend.describe_tasks = describe_tasks
_answer_run_task = EC2ContainerServiceResponse.run_task
EC2ContainerServiceResponse.run_task = answer_run_task
_run_instances, _terminate_instances = InstanceBackend.run_instances, InstanceBackend.terminate_instances
EC2Backend.run_instances, EC2Backend.terminate_instances = run_instances, terminate_instances
ROOT = TemporaryDirectory()


def main() -> None:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    print(server._server.server_port, flush=True)
    for line in sys.stdin:  # asked what was made, or how many there were at most
        words = MADE if line == "made\n" else [f"{what}={most}" for what, most in MOST.items()]
        print(" ".join(words), flush=True)
    tasks = [task for tasks in ecs_backends[DEFAULT_ACCOUNT_ID][REGION].tasks.values() for task in tasks.values()]
    for each in (*tasks, *running(ec2_backends[DEFAULT_ACCOUNT_ID][REGION])):
        if (process := getattr(each, "process", None)) is not None and process.poll() is None:
            kill(process)
    ROOT.cleanup()
    os._exit(0)


if __name__ == "__main__":
    main()
