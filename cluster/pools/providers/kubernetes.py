"""The provider `kubernetes`: each machine is a Pod of a template, in which one worker runs.

A Pod has the machine's name, and the API takes no second one of it; by its labels it is found again. Its join token is
in a Secret that is made after it and belongs to it, so that none is left over: a Pod whose Secret never came does not
begin, and is replaced. Pods are watched.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from cluster.domain.base.errors import ClusterError
from cluster.domain.pools.kubernetes_machines import (
    CLUSTER_LABEL,
    POOL_LABEL,
    join_secret,
    machine_pod,
    selector_of,
    told_pod,
    with_sizes,
)
from cluster.domain.pools.told import MachineState, ToldMachine
from cluster.domain.worker.kubernetes_pods import stuck
from cluster.engines.kubernetes_api import ApiRefused, ApiSilent, Json, KubernetesApi
from cluster.engines.kubernetes_template import PodTemplate, read_template
from cluster.pools.providers.interface import NewMachine, PoolTable, ProviderError, worker_arguments
from cluster.pools.providers.options import TableReader

AT_ONCE = 8  # Pods of one pool that are made or deleted
WISHES = {"pods": "create get list watch delete", "secrets": "create"}

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class KubernetesOptions:
    namespace: str
    template: PodTemplate
    program: Sequence[str]  # by which `cluster` is run in the container; none: by the image's entry point
    worker: Sequence[str]  # further options of `cluster worker`
    gpu_resource: str  # what one gpu is


def open_provider(table: PoolTable) -> "KubernetesProvider":
    read = TableReader.of(table)
    where, needed_by = f"{table.where}: [pool.kubernetes]", f"{table.where}: provider kubernetes"
    namespace = read.text("namespace")
    image, template, container, kubeconfig, context = (
        read.text(key, "-") for key in ("image", "template", "container", "kubeconfig", "context")
    )
    program = read.texts("program", ["cluster"])
    worker = read.worker_options()
    gpu_resource = read.text("gpu_resource", "nvidia.com/gpu")
    read.done()
    file = None if template == "-" else table.base / template
    made_of = read_template(where, _given(image), file, _given(container), needed_by)
    config = str(table.base / kubeconfig) if _given(kubeconfig) else ""
    api = KubernetesApi(config, _given(context), needed_by)
    return KubernetesProvider(table, KubernetesOptions(namespace, made_of, program, worker, gpu_resource), api)


def _given(text: str) -> str:
    return "" if text == "-" else text


class KubernetesProvider:
    def __init__(self, table: PoolTable, options: KubernetesOptions, api: KubernetesApi) -> None:
        self._table, self._options, self._api = table, options, api
        self._free = asyncio.Semaphore(AT_ONCE)
        self._namespace = f"/api/v1/namespaces/{options.namespace}"
        self._pods = f"{self._namespace}/pods"
        self._selector = selector_of(table.name, table.cluster)
        self._without: dict[str, str] = {}  # machines whose Secret could not be made: why

    async def check(self) -> None:
        try:
            await self._do(self._check)
        except ClusterError as error:
            raise ProviderError(f"{self._table.where}: {error}") from None

    def _check(self) -> None:
        namespace = self._options.namespace
        self._api.check_version()
        if missing := self._api.may(namespace, WISHES):
            raise ClusterError(
                f"Kubernetes: no permission in namespace {namespace!r} (if there is one) to {', '.join(missing)}"
            )
        try:  # nothing is made by this, but all is asked that a Pod has to pass
            self._api.call("POST", self._pods, self._pod(f"{self._table.name}-check-0"), dryRun="All")
        except ApiRefused as error:
            if error.code != 409 and "exceeded quota" not in str(error):
                raise ClusterError(f"Kubernetes takes no Pod in namespace {namespace!r}: {error}") from None

    async def start(self, machines: Sequence[NewMachine]) -> Mapping[str, str]:
        found = await asyncio.gather(*(self._do(partial(self._start, each)) for each in machines))
        return {machine.name: why for machine, why in zip(machines, found, strict=True) if why}

    def _start(self, machine: NewMachine) -> str:
        """Why it was certainly not made; empty: it was, or may have been."""
        try:
            pod = self._made(machine.name)
        except ApiSilent:
            return ""
        except ApiRefused as error:
            return "" if error.code >= 500 else f"Kubernetes does not take its Pod: {error}"
        try:
            self._api.call("POST", f"{self._namespace}/secrets", join_secret(pod, machine.join))
        except (ApiRefused, ApiSilent) as error:
            if not isinstance(error, ApiRefused) or error.reason != "AlreadyExists":
                self._without[machine.name] = f"Kubernetes does not take its Secret: {error}"
        return ""

    def _made(self, name: str) -> Json:
        try:
            return self._api.call("POST", self._pods, self._pod(name))
        except ApiRefused as error:
            if error.reason != "AlreadyExists":
                raise
        pod = self._api.call("GET", f"{self._pods}/{name}")
        if (pod["metadata"].get("labels") or {}).get(CLUSTER_LABEL) != self._table.cluster:
            raise ApiRefused(409, "AlreadyExists", f"there is a Pod {name} that no pool of this cluster has made")
        return pod

    def _pod(self, name: str) -> Json:
        table, options = self._table, self._options
        labels = {"app.kubernetes.io/managed-by": "cluster", CLUSTER_LABEL: table.cluster, POOL_LABEL: table.name}
        words = [*options.program, *worker_arguments(table, name), "--stop-jobs", *options.worker]
        pod = machine_pod(options.template.pod, options.template.container, name, labels, words)
        with_sizes(pod, options.template.container, table.millicpus, table.amounts, options.gpu_resource)
        return pod

    async def list(self) -> Sequence[ToldMachine]:
        answer = await self._do(lambda: self._api.call("GET", self._pods, labelSelector=self._selector))
        told = [told_pod(each, stuck(each, self._options.template.container)) for each in answer["items"]]
        for machine in set(self._without) - {each.name for each in told}:
            del self._without[machine]
        return [
            each._replace(state=MachineState.BROKEN, why=why) if (why := self._without.get(each.name)) else each
            for each in told
        ]

    async def stop(self, machines: Sequence[ToldMachine]) -> None:
        await asyncio.gather(*(self._do(partial(self._delete, each.name)) for each in machines))

    def _delete(self, name: str) -> None:
        try:
            self._api.call("DELETE", f"{self._pods}/{name}")
        except ApiRefused as error:
            if error.code != 404:
                raise

    async def changes(self) -> AsyncIterator[None]:
        loop, happened, over = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        def tell(*_: object) -> None:
            with suppress(RuntimeError):  # nobody listens any more
                loop.call_soon_threadsafe(happened.set)

        def look() -> str:
            answer = self._api.call("GET", self._pods, labelSelector=self._selector)
            tell()
            return str(answer["metadata"]["resourceVersion"])

        words = (self._pods, self._selector, look, tell, over)
        threading.Thread(target=self._api.follow, args=words, daemon=True).start()
        try:
            while True:
                await happened.wait()
                happened.clear()
                yield
        finally:
            over.set()

    async def close(self) -> None:
        pass

    async def _do(self, call: Callable[[], Answer]) -> Answer:
        """In a thread. ProviderError."""
        async with self._free:
            try:
                return await asyncio.to_thread(call)
            except ApiSilent as error:
                raise ProviderError(f"Kubernetes does not answer: {error}") from None
            except ApiRefused as error:
                raise ProviderError(f"Kubernetes: {error}") from None
