"""What the routes say of themselves: the OpenAPI 3.1 document, made from the table of routes and the messages."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor

import cluster
from cluster.gateway.binding import MOST_KEY
from cluster.gateway.event_streams import EVENT, EVENT_STREAM
from cluster.gateway.handled_routes import HandledRoute
from cluster.gateway.json_messages import LONG, RANGES, is_map, numbers_of, value_of_map
from cluster.gateway.problems import KINDS, MEDIA_TYPE
from cluster.gateway.routes import WHOLE, Form, Route
from cluster.gateway.table import TABLE
from cluster.v1 import job_pb2

Schema = dict[str, Any]

_SPEC = job_pb2.JobSpec.DESCRIPTOR.full_name
_TEXT = {"type": "string"}
_PROBLEM: Schema = {
    "type": "object",
    "description": "An error (RFC 9457).",
    "properties": {
        "type": {"type": "string", "enum": [f"/v1/docs#{kind.name}" for kind in KINDS]},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": _TEXT,
        "line": {"type": "integer", "description": "Of a body that is not JSON: where, from 1."},
        "column": {"type": "integer"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"detail": _TEXT, "pointer": _TEXT, "parameter": _TEXT},
                "required": ["detail"],
            },
        },
    },
    "required": ["type", "title", "status", "detail"],
}
_SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token of `cluster token create --for http`."},
    "basic": {"type": "http", "scheme": "basic", "description": "Such a token as the password, of any name."},
    "certificate": {"type": "mutualTLS", "description": "A user's certificate of this cluster."},
}


@cache
def document() -> Schema:
    """The whole document of a scheduler's gateway."""
    return document_of(TABLE)


def document_of(routes: Iterable[Route | HandledRoute]) -> Schema:
    """That of a gateway with these routes."""
    schemas = _Schemas()
    paths: dict[str, Schema] = {}
    for route in routes:
        operation = _handled(route) if isinstance(route, HandledRoute) else _operation(route, schemas)
        paths.setdefault(route.path, {})[route.verb.lower()] = operation
    for path, words in (("/healthz", "Whether this gateway answers."), ("/readyz", "Whether its scheduler serves.")):
        paths[path] = {"get": _probe(path, words)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cluster",
            "version": cluster.__version__,
            "description": "One secure computer for running commands, made of Linux machines.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{name: []} for name in _SECURITY],
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM, **schemas.found},
            "securitySchemes": _SECURITY,
            "responses": {"Problem": {"description": "An error.", "content": _content(MEDIA_TYPE, _ref("Problem"))}},
        },
    }


def _operation(route: Route, schemas: "_Schemas") -> Schema:
    request: Descriptor = route.method.request.DESCRIPTOR
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": dict(_TEXT)}  # whatever it selects
        for name in route.at
    ]
    parameters += [_query(request.fields_by_name[name]) for name in route.query]
    parameters += _headers(route)
    operation = _of(route, parameters, _answer(route, schemas))
    if route.verb == "GET" and route.form in (Form.MESSAGE, Form.COLLECTED):
        operation["responses"]["304"] = {"description": "As it was when it had the ETag of If-None-Match."}
    if route.body:
        body = schemas.body(route, request)
        operation["requestBody"] = {"required": route.body != WHOLE, "content": _content("application/json", body)}
    return operation


def _handled(route: HandledRoute) -> Schema:
    """Of a route that says its schemas itself."""
    in_path = [part.strip("{}") for part in route.path.split("/") if part.startswith("{")]
    parameters: list[Schema] = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in in_path]
    for name, words in route.query.items():
        parameters.append({"name": name, "in": "query", "required": False, "schema": _TEXT, "description": words})
    content = {media_type: {"schema": dict(schema)} for media_type, schema in route.answers.items()}
    operation = _of(route, parameters, {"description": "It is done.", "content": content})
    if route.bodies:
        bodies = {media_type: {"schema": dict(schema)} for media_type, schema in route.bodies.items()}
        operation["requestBody"] = {"required": route.verb == "POST", "content": bodies}
    return operation


def _of(route: Route | HandledRoute, parameters: list[Schema], answer: Schema) -> Schema:
    """An operation, which answers so where it went well."""
    return {
        "operationId": route.name,
        "summary": route.summary,
        "description": f"Roles: {', '.join(route.roles)}.",
        "parameters": parameters,
        "responses": {str(route.status): answer, "default": {"$ref": "#/components/responses/Problem"}},
    }


def _headers(route: Route) -> list[Schema]:
    found = []
    if route.makes_id:
        key = {"type": "string", "minLength": 1, "maxLength": MOST_KEY}
        words = "The same key of the same caller again is the same job."
        found.append({"name": "Idempotency-Key", "in": "header", "schema": key, "description": words})
    if route.form in (Form.OUTPUT, Form.EVENTS):
        words = "Goes on after the event of that id."
        found.append({"name": "Last-Event-ID", "in": "header", "schema": _TEXT, "description": words})
    return found


def _query(field: FieldDescriptor) -> Schema:
    return {"name": field.name, "in": "query", "required": False, "schema": _field(field, None, parameter=True)}


def _answer(route: Route, schemas: "_Schemas") -> Schema:
    """The response of a request that went well."""
    response: Descriptor = route.method.response.DESCRIPTOR
    events = _content(EVENT_STREAM, dict(EVENT))
    match route.form:
        case Form.OUTPUT:
            written = {"type": "string", "description": "What was written, as it is."}
            return {"description": "Output.", "content": {**_content("text/plain", written), **events}}
        case Form.EVENTS:
            content = {**_content("application/json", schemas.ref(response)), **events}
            return {"description": "What has happened.", "content": content}
        case Form.CHANGES:
            content = {**_content("application/json", schemas.ref(response)), **events}
            return {"description": "It has ended; or how it changes.", "content": content}
    schema = schemas.of(response.fields_by_name[route.answer]) if route.answer else schemas.ref(response)
    answer: Schema = {"description": "It is done.", "content": _content("application/json", schema)}
    if route.verb == "GET":
        answer["headers"] = {"ETag": {"schema": _TEXT}}
    return answer


def _probe(path: str, words: str) -> Schema:
    schema = {"type": "object", "properties": {"status": {"type": "string", "const": "ok"}}, "required": ["status"]}
    responses: Schema = {"200": {"description": "It does.", "content": _content("application/json", schema)}}
    responses["default"] = {"$ref": "#/components/responses/Problem"}
    return {"operationId": f"get-{path[1:]}", "summary": words, "security": [], "responses": responses}


def _content(media_type: str, schema: Schema) -> Schema:
    return {media_type: {"schema": schema}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


class _Schemas:
    """The schemas of all messages that are named, by the message's name."""

    def __init__(self) -> None:
        self.found: dict[str, Schema] = {}

    def ref(self, descriptor: Descriptor, whole: bool = True) -> Schema:
        """A reference to a message's schema. Of one that is written `whole` every field is there."""
        whole = whole and descriptor.full_name != _SPEC
        if descriptor.name not in self.found:
            self.found[descriptor.name] = {}  # it may hold its own kind
            self.found[descriptor.name].update(self._message(descriptor.fields, whole))
        return _ref(descriptor.name)

    def of(self, field: FieldDescriptor, whole: bool = True) -> Schema:
        """The schema of one field."""
        return _field(field, self, whole=whole)

    def body(self, route: Route, request: Descriptor) -> Schema:
        """Of the body: a field of the message, or what path and query leave of it."""
        if route.body != WHOLE:
            return self.of(request.fields_by_name[route.body], whole=False)
        taken = {*route.at.values(), *route.query, *route.fixed}
        return self._message([field for field in request.fields if field.name not in taken], whole=False)

    def _message(self, fields: Iterable[FieldDescriptor], whole: bool) -> Schema:
        fields = list(fields)
        schema: Schema = {
            "type": "object",
            "properties": {field.name: _field(field, self, whole=whole) for field in fields},
            "additionalProperties": False,
        }
        if always := [field.name for field in fields if whole and not field.has_presence]:
            schema["required"] = always
        return schema


def _field(field: FieldDescriptor, schemas: "_Schemas | None", parameter: bool = False, whole: bool = True) -> Schema:
    if is_map(field):
        return {"type": "object", "additionalProperties": _one(value_of_map(field), schemas, parameter, whole)}
    one = _one(field, schemas, parameter, whole)
    return {"type": "array", "items": one} if field.is_repeated else one


def _one(field: FieldDescriptor, schemas: "_Schemas | None", parameter: bool, whole: bool) -> Schema:
    """Of one value. In a parameter a message is its one text, and a number its digits."""
    if field.message_type is not None:
        return dict(_TEXT) if schemas is None else schemas.ref(field.message_type, whole)
    if field.enum_type is not None:
        names = list(numbers_of(field.enum_type))
        if whole and not parameter:  # an answer
            return {"type": "string", "enum": [name for name in names if name.isupper()]}
        return {"type": "string", "enum": names, "description": "Both kinds of names say the same."}
    if field.type in RANGES:
        lowest, highest = RANGES[field.type]
        if field.type in LONG and not parameter:
            bounds = {} if whole else {"minimum": lowest, "maximum": highest}
            kind: Any = "string" if whole else ["string", "integer"]
            return {"type": kind, "pattern": "^-?[0-9]{1,20}$", **bounds}
        return {"type": "integer", "minimum": lowest, "maximum": highest}
    return dict(
        {
            FieldDescriptor.TYPE_STRING: _TEXT,
            FieldDescriptor.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
            FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
            FieldDescriptor.TYPE_DOUBLE: {"type": "number"},
        }[field.type]
    )
