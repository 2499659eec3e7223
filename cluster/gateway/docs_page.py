"""The page of the API: one HTML document, made from the OpenAPI document, with nothing from elsewhere and no script."""

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Any

from cluster.gateway.problems import KINDS

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
pre { background: #f4f4f4; padding: 0.7rem; overflow-x: auto; }
summary { cursor: pointer; padding: 0.3rem 0; } summary b { display: inline-block; min-width: 4.5rem; }
details details { margin-left: 1rem; } td, th { text-align: left; padding: 0 1rem 0.3rem 0; vertical-align: top; }
@media (prefers-color-scheme: dark) {
  body { background: #111; color: #ddd; } pre { background: #1d1d1d; } a { color: #8cf; }
}
"""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'"
)


def page(whole: dict[str, Any]) -> str:
    """The page's text, of that OpenAPI document."""
    operations = [
        _operation(verb, path, operation)
        for path, by_verb in whole["paths"].items()
        for verb, operation in by_verb.items()
    ]
    schemas = [
        f'<details id="{escape(name)}"><summary>{escape(name)}</summary>{_json(schema)}</details>'
        for name, schema in sorted(whole["components"]["schemas"].items())
    ]
    problems = [
        f'<tr id="{kind.name}"><td>{kind.status}</td><td>{kind.name}</td><td>{escape(kind.means)}</td></tr>'
        for kind in KINDS
    ]
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>cluster: HTTP</title>',
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
            f"<h1>cluster {escape(whole['info']['version'])}: HTTP</h1>",
            "<p>Show a token of <code>cluster token create --for http</code> with each request:",
            "<code>Authorization: Bearer TOKEN</code>, or as the password of HTTP Basic; or a user's certificate.",
            'The same for programs: <a href="/v1/openapi.json">openapi.json</a>.</p>',
            *("<h2>Calls</h2>", *operations, "<h2>Messages</h2>", *schemas),
            *("<h2>Problems</h2><table>", *problems, "</table></body></html>", ""),
        ]
    )


def _operation(verb: str, path: str, operation: dict[str, Any]) -> str:
    parameters = "".join(
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{each['in']}</td><td>{escape(_type(each['schema']))}</td></tr>"
        for each in operation.get("parameters", ())
    )
    body = operation.get("requestBody", {}).get("content", {})
    answers = "".join(
        f"<h4>{escape(status)}</h4>{''.join(map(_content, answer.get('content', {}).items()))}"
        for status, answer in operation["responses"].items()
        if "$ref" not in answer
    )
    return (
        f'<details id="{operation["operationId"]}"><summary><b>{verb.upper()}</b> <code>{escape(path)}</code> '
        f"{escape(operation['summary'])}</summary><p>{escape(operation.get('description', ''))}</p>"
        f"{f'<table>{parameters}</table>' if parameters else ''}"
        f"{''.join(f'<h4>Body</h4>{_content(each)}' for each in body.items())}{answers}</details>"
    )


def _type(schema: dict[str, Any]) -> str:
    """In a few words."""
    if "enum" in schema:
        return " | ".join(schema["enum"])
    if schema.get("type") == "array":
        return f"{_type(schema['items'])}, any number of times"
    return str(schema.get("type", ""))


def _content(of_type: tuple[str, dict[str, Any]]) -> str:
    media_type, content = of_type
    return f"<p><code>{escape(media_type)}</code></p>{_json(content['schema'])}"


def _json(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<p><a href="#{name}">{name}</a></p>'
    return f"<pre>{escape(json.dumps(schema, indent=2))}</pre>"
