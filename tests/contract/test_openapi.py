"""What the HTTP door says of itself: valid OpenAPI, and nothing but what there is."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.gateway import job_processor
from cluster.gateway.docs_page import CONTENT_SECURITY_POLICY, page
from cluster.gateway.json_messages import to_json
from cluster.gateway.openapi import document, document_of
from cluster.gateway.problems import KINDS
from cluster.gateway.routes import ROUTES, WHOLE, Route
from cluster.gateway.table import HANDLED, TABLE
from tests.contract.test_json_messages import filled
from tools.environments import REPOSITORY, environment


@pytest.mark.slow
def test_openapi_validates_it(tmp_path: Path) -> None:
    files = [tmp_path / "openapi.json", tmp_path / "processor.json"]
    files[0].write_text(json.dumps(document()))
    files[1].write_text(json.dumps(document_of(job_processor.ROUTES)))
    line: list[str | Path] = [environment("checks"), "-m", "openapi_spec_validator", *files]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_route_is_an_operation_with_a_name_of_its_own() -> None:
    paths = document()["paths"]
    operations = [operation for by_verb in paths.values() for operation in by_verb.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations) == len(TABLE) + 2
    for route in ROUTES:
        operation = paths[route.path][route.verb.lower()]
        assert str(route.status) in operation["responses"]
        in_path = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
        assert in_path == re.findall(r"{(\w+)}", route.path)
        assert ("requestBody" in operation) == bool(route.body)


def test_a_route_that_says_its_schemas_itself_has_them_there() -> None:
    paths = document()["paths"] | document_of(job_processor.ROUTES)["paths"]
    for route in (*HANDLED, *job_processor.ROUTES):
        operation = paths[route.path][route.verb.lower()]
        assert operation["responses"][str(route.status)]["content"].keys() == route.answers.keys()
        assert operation.get("requestBody", {}).get("content", {}).keys() == route.bodies.keys()
        names = [each["name"] for each in operation["parameters"]]
        assert names == [*re.findall(r"{(\w+)}", route.path), *route.query]
        assert route.answers


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (value["$ref"],) if "$ref" in value else ()
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_each_reference_leads_somewhere() -> None:
    whole = document()
    for reference in set(references(whole)):
        found: Any = whole
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found, reference


def check(value: Any, schema: Any) -> None:
    """Whether the value has the schema, as far as ours say anything."""
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    kinds: dict[str, Any] = {
        "object": dict,
        "array": list,
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
    }
    kind = schema["type"] if isinstance(schema["type"], str) else schema["type"][0]
    assert isinstance(value, kinds[kind]), (value, schema)
    if kind == "array":
        for item in value:
            check(item, schema["items"])
    if kind == "object" and "properties" in schema:
        assert set(schema.get("required", ())) <= value.keys() <= schema["properties"].keys()
        for name, item in value.items():
            check(item, schema["properties"][name])
    if "enum" in schema:
        assert value in schema["enum"]
    if "pattern" in schema:
        assert re.search(schema["pattern"], value)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_what_is_answered_is_as_it_says(route: Route) -> None:
    operation = document()["paths"][route.path][route.verb.lower()]
    content = operation["responses"][str(route.status)]["content"]
    if "application/json" in content:
        for message in (filled(route.method.response.DESCRIPTOR), route.method.response()):
            answer = to_json(message)
            if not route.answer or message.HasField(route.answer):
                check(answer[route.answer] if route.answer else answer, content["application/json"]["schema"])


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body == WHOLE], ids=lambda route: route.name)
def test_a_body_has_what_path_and_query_leave_of_its_message(route: Route) -> None:
    body = document()["paths"][route.path][route.verb.lower()]["requestBody"]["content"]["application/json"]["schema"]
    names = {field.name for field in route.method.request.DESCRIPTOR.fields}
    assert set(body["properties"]) == names - {*route.at.values(), *route.query, *route.fixed}
    assert body["additionalProperties"] is False


def test_the_page_needs_nothing_from_elsewhere_and_explains_each_problem() -> None:
    text = page(document())
    assert not re.search(r"<script|<link|<img|@import|url\(|https?://", text)
    assert "script" not in CONTENT_SECURITY_POLICY
    for kind in KINDS:
        assert f'id="{kind.name}"' in text
    for route in TABLE:
        assert f'id="{route.name}"' in text
