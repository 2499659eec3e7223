"""A worker whose jobs an engine runs is killed again and again: each attempt is made once, as the engine records it."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.acceptance.command import Command
from tests.acceptance.daemons import Daemons
from tests.engines.aws import REGION, Aws, aws  # noqa: F401 (a fixture)
from tests.engines.kube import NAMESPACE, Kube, kube  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow

TASKS, KILLS = 200, 10
LONGEST = 1500.0  # seconds
SCRIPT = "sleep 1; echo $CLUSTER_TASK; test $((CLUSTER_TASK % 10)) != 0 || exit 9"


@pytest.fixture
def daemons(command: Command) -> Iterator[Daemons]:
    with Daemons(command) as running:
        running.start_scheduler()
        yield running


def all_end_as_they_do(daemons: Daemons, runner: str, config: Path) -> None:
    """200 tasks, of which each tenth fails, while the worker's agent is killed ten times."""
    cluster, chance = daemons.command, Random(3)
    options = ("--runner", runner, "--runner-config", str(config), "--cpus", "4", "--mem", "8GiB")
    daemons.start_worker("engine", *options)
    asks = ("--cpus", "0.25", "--lost-after", "30m")  # an agent that is slow to come back is no fault
    cluster.ok("job", "submit", "--array", f"1-{TASKS}", *asks, "--", "sh", "-c", SCRIPT)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.5, 3.0))
        daemons.kill("engine")
        daemons.start_worker("engine", *options)
    waited = cluster("job", "wait", "1", patience=LONGEST)
    with daemons.client() as client:
        _, tasks = client.get("1", max_tasks=TASKS)
    ends = {task.number: (task.reason, task.attempt) for task in tasks}
    assert ends == {number: ("ok" if number % 10 else "exit:9", 1) for number in range(1, TASKS + 1)}
    assert waited.text == "job 1 failed (exit:9)\n"
    lines = cluster.ok("job", "logs", "1").text.split()
    assert sorted(map(int, lines)) == list(range(1, TASKS + 1))


@pytest.mark.extra_pools
def test_each_attempt_is_one_task_of_ecs(daemons: Daemons, aws: Aws) -> None:  # noqa: F811
    # S3.5
    config = daemons.command.home / "ecs.toml"
    config.write_text(
        f'[ecs]\ncluster = "jobs"\ntask_definition = "shell"\nregion = "{REGION}"\nendpoint = "{aws.endpoint}"\n'
        f'subnets = ["{aws.subnet}"]\npoll = 0.5\n'
    )
    all_end_as_they_do(daemons, "ecs", config)
    made = [name for name in aws.made() if name.split("-")[2] == "1"]
    assert len(made) == len(set(made)) == TASKS


@pytest.mark.extra_kube
def test_each_attempt_is_one_pod(daemons: Daemons, kube: Kube) -> None:  # noqa: F811
    # S3.5
    config = daemons.command.home / "kubernetes.toml"
    kubeconfig = kube.kubeconfig("admin")
    config.write_text(f'[kubernetes]\nnamespace = "{NAMESPACE}"\nimage = "shell:1"\nkubeconfig = "{kubeconfig}"\n')
    with recorded(kube) as record:
        all_end_as_they_do(daemons, "kubernetes", config)
        deadline = time.monotonic() + LONGEST
        while kube.pods():
            assert time.monotonic() < deadline, "Pods are left"
            time.sleep(0.2)
    assert len(record) == TASKS
    assert all(len(uids) == 1 for uids in record.values()), "by what the API server has stored"
    answered = kube.made()
    assert len(answered) == len(set(answered)), "and by what it has answered"
    # A request whose sender was killed may be stored, and answered to nobody: the log tells it with another code.
    print(f"{len(record)} Pods stored, {len(answered)} answered with 201; all answers: {dict(kube.answers())}")


@contextmanager
def recorded(kube: Kube) -> Iterator[Mapping[str, set[str]]]:  # noqa: F811
    """The uids of all Pods of each name that were stored since then."""
    path, over, found = f"/api/v1/namespaces/{NAMESPACE}/pods", threading.Event(), dict[str, set[str]]()

    def note(pod: Mapping[str, Any]) -> None:
        found.setdefault(pod["metadata"]["name"], set()).add(pod["metadata"]["uid"])

    def look() -> str:
        answer = kube.admin.call("GET", path)
        for pod in answer["items"]:
            note(pod)
        return str(answer["metadata"]["resourceVersion"])

    def changed(kind: str, pod: dict[str, Any]) -> None:
        note(pod)

    thread = threading.Thread(target=kube.admin.follow, args=(path, "", look, changed, over), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        over.set()
