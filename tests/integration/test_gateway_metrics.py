"""What is measured, as Prometheus reads it."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from cluster.domain.trust.identity import Role
from tests.integration.gateways import Gateway, in_gateway
from tools.environments import REPOSITORY

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


async def scraped(gateway: Gateway) -> Samples:
    """Each sample by its name and labels. The parser is Prometheus's own."""
    answer = await gateway.ask("GET", "/metrics")
    assert answer.status == 200, answer
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.body.decode()))
    assert len({family.name for family in families}) == len(families), "each is told once"
    assert all(family.documentation and family.type != "unknown" for family in families)
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


def test_jobs_workers_turns_commits_requests_and_processes_are_measured(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        first = await scraped(gateway)
        assert of(first, "cluster_jobs", state="ready") == 0
        for argv in (["true"], ["false"]):
            await gateway.ask("POST", "/v1/jobs", {"argv": argv, "array": [{"first": "1", "last": "3", "step": "1"}]})
        await gateway.ask("GET", "/v1/jobs/99")
        await gateway.ask("GET", "/nowhere")
        async with gateway.admin() as admin:
            await admin.pause_queue("")
        samples = await scraped(gateway)
        assert of(samples, "cluster_jobs", state="ready") == 2
        assert of(samples, "cluster_tasks", state="ready") == 6
        assert of(samples, "cluster_queue_paused") == 1
        assert of(samples, "cluster_workers", state="online") == 0
        for name in ("turn", "commit"):
            longest = of(samples, f"cluster_{name}_seconds_bucket", le="+Inf")
            assert longest == of(samples, f"cluster_{name}_seconds_count") > 0
            assert longest > of(first, f"cluster_{name}_seconds_count")
            assert of(samples, f"cluster_{name}_seconds_sum") > 0

        def requests(**labels: str) -> float:
            before = first.get(("cluster_http_requests_total", frozenset(labels.items())), 0)
            return of(samples, "cluster_http_requests_total", **labels) - before

        assert requests(method="POST", route="/v1/jobs", status="2xx") == 2
        assert requests(method="GET", route="/v1/jobs/{job}", status="4xx") == 1
        assert requests(method="GET", route="none", status="4xx") == 1
        assert of(samples, "cluster_http_requests_in_progress") >= 1  # this one
        for process in ("scheduler", "gateway"):
            assert of(samples, "cluster_process_cpu_seconds_total", process=process) > 0
            assert of(samples, "cluster_process_resident_memory_bytes", process=process) > 1e7
            assert of(samples, "cluster_process_open_fds", process=process) > 5
            assert 0 < of(samples, "cluster_process_start_time_seconds", process=process) < 1e11

    in_gateway(tmp_path, body)


def test_no_label_has_more_values_than_there_are_routes_and_states(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        for verb, path in (("GET", "/v1/jobs/1"), ("GET", "/x"), ("BREW", "/v1/jobs")):
            await gateway.ask(verb, path)
        before = set(await scraped(gateway))
        for number in range(2, 20):
            await gateway.ask("GET", f"/v1/jobs/{number}")
            await gateway.ask("GET", f"/x{number}")
            await gateway.ask(f"BREW{number}", "/v1/jobs")
            await gateway.ask("POST", "/v1/jobs", {"argv": ["true"], "name": f"n{number}"})
        more = {key for key in set(await scraped(gateway)) - before if "route" not in dict(key[1])}
        assert not more
        assert len([key for key in await scraped(gateway) if dict(key[1]).get("method") == "other"]) <= 4

    in_gateway(tmp_path, body)


def test_metrics_are_for_whoever_may_read_all_jobs_and_nobody_else(tmp_path: Path) -> None:
    async def body(gateway: Gateway) -> None:
        viewer = gateway.showing(await gateway.new_token(Role.VIEWER, "eve"))
        assert (await viewer.ask("GET", "/metrics")).status == 200
        assert (await gateway.showing().ask("GET", "/metrics")).status == 401

    in_gateway(tmp_path, body)


def test_each_query_of_the_dashboard_asks_for_what_is_measured_by_labels_that_it_has(tmp_path: Path) -> None:
    dashboard = json.loads((REPOSITORY / "docs" / "grafana" / "cluster.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [variable["definition"] for variable in dashboard["templating"]["list"] if "definition" in variable]

    async def body(gateway: Gateway) -> None:
        await gateway.ask("GET", "/v1/jobs/99")  # a kind of request has no sample before there was one
        there: dict[str, set[str]] = {}
        for name, labels in await scraped(gateway):
            there.setdefault(name, {"instance", "job"}).update(label for label, _ in labels)  # two are Prometheus's own
        asked = set()
        for query in queries:
            names = set(re.findall(r"\bcluster_\w+", query))
            assert names, query
            assert names <= there.keys(), query
            used = set(re.findall(r"[{,]\s*(\w+)\s*(?:=~|!~|!=|=)", query))
            used |= {word for by in re.findall(r"\bby \(([^)]*)\)", query) for word in by.split(", ")}
            assert used <= set.intersection(*(there[name] for name in names)), query
            asked |= {re.sub(r"_(bucket|count|sum)$", "", name) for name in names}
        told = set(re.findall(r"^\| `(cluster_\w+)", (REPOSITORY / "docs" / "metrics.md").read_text(), re.MULTILINE))
        assert asked == told, "it shows all that docs/metrics.md names"

    in_gateway(tmp_path, body)


def test_a_panel_of_the_dashboard_lies_on_no_other() -> None:
    dashboard = json.loads((REPOSITORY / "docs" / "grafana" / "cluster.json").read_text())
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in dashboard["panels"]):
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24  # columns that Grafana has
        assert not cells & taken
        taken |= cells
