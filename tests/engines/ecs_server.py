"""moto's server, which answers as AWS does, and what it leaves out: the containers, which are processes here.

    python ecs_server.py    (in the environment `checks`; says its port, ends with its stdin)

A task is RUNNING at once there. Its command runs as a process of this machine; what it writes goes to the log group;
its end stops the task. An image `missing:…` cannot be pulled; StopTask is SIGTERM, and SIGKILL 0.3 s after it.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ecs import ecs_backends
from moto.ecs import models as ecs
from moto.logs import logs_backends
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"
LOCK = threading.Lock()
MADE: list[str] = []  # the name of each container, as often as it was made


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
        task.stop_code = "TaskFailedToStart"
        return
    options = definition["logConfiguration"]["options"]
    stream = f"{options['awslogs-stream-prefix']}/{definition['name']}/{task.id}"
    logs = logs_backends[DEFAULT_ACCOUNT_ID][REGION]
    logs.create_log_stream(options["awslogs-group"], stream)
    env = {"PATH": os.environ["PATH"], **{each["name"]: each["value"] for each in own["environment"]}}
    task.started_at = time.time()
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
    task.stop_code = "EssentialContainerExited"


def stop(task: Any, code: int | None, reason: str) -> None:
    task.stopped_at = time.time()
    task.containers[0].exitCode = code
    task.stopped_reason = task.stopped_reason or reason
    task.desired_status = "STOPPED"
    task.last_status = "STOPPED"


def run_task(backend: Any, *arguments: Any, **named: Any) -> Any:
    tasks = _run_task(backend, *arguments, **named)
    for task in tasks:
        with LOCK:
            MADE.append(task.started_by)
        task.containers[0].exitCode = None
        task._transitions = []  # it does not go on by being looked at
        threading.Thread(target=play, args=(backend, task), daemon=True).start()
    return tasks


def stop_task(backend: Any, cluster: str, name: str, reason: str) -> Any:
    task = next(t for arn, t in backend.tasks[cluster.split("/")[-1]].items() if arn.endswith(name.split("/")[-1]))
    if task.last_status != "STOPPED":
        task.desired_status, task.stopped_reason = "STOPPED", reason
        os.killpg(task.process.pid, signal.SIGTERM)
        threading.Timer(0.3, kill, [task.process]).start()
    return task


def kill(process: Any) -> None:
    """All of the container."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


_run_task = ecs.EC2ContainerServiceBackend.run_task
ecs.EC2ContainerServiceBackend.run_task = run_task
ecs.EC2ContainerServiceBackend.stop_task = stop_task


def main() -> None:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    print(server._server.server_port, flush=True)
    for _ in sys.stdin:  # asked what was made
        print(" ".join(MADE), flush=True)
    for tasks in ecs_backends[DEFAULT_ACCOUNT_ID][REGION].tasks.values():
        for task in tasks.values():
            if (process := getattr(task, "process", None)) is not None and process.poll() is None:
                kill(process)
    os._exit(0)


if __name__ == "__main__":
    main()
