"""JSON Schema: what a value must be like, where it is not, and what is no schema."""

import json
from typing import Any

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.check_options import MAX_SCHEMA
from cluster.domain.job.json_schema import Schema
from cluster.domain.job.options import Option
from cluster.domain.job.spec import OPTIONS, JobSpec, validate

TREE = {"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "object", "additionalProperties": {"$ref": "#"}}}}


@pytest.mark.parametrize(
    ("schema", "right", "wrong", "place", "words"),
    [
        ({"type": "integer"}, 1.0, 1.5, "$", "1.5 is not of type integer"),
        ({"type": "number"}, 1, True, "$", "true is not of type number"),
        ({"type": ["string", "null"]}, None, 3, "$", "3 is not of type string or null"),
        ({"enum": [1, "a"]}, 1.0, True, "$", 'true is none of [1, "a"]'),
        ({"const": {"a": [1]}}, {"a": [1.0]}, {"a": [True]}, "$", '{"a": [true]} is not {"a": [1]}'),
        ({"minimum": 2}, 2, 1, "$", "1 is less than 2"),
        ({"exclusiveMaximum": 2}, 1.9, 2, "$", "2 is not less than 2"),
        ({"multipleOf": 0.1}, 0.3, 0.35, "$", "0.35 is no multiple of 0.1"),
        ({"minLength": 2}, "ab", "a", "$", "it has 1 characters, and the least are 2"),
        ({"maxItems": 1}, [1], [1, 2], "$", "it has 2 items, and the most are 1"),
        ({"pattern": "^a"}, "ab", "ba", "$", "\"ba\" does not match '^a'"),
        ({"required": ["a"]}, {"a": 1}, {"b": 1}, "$", 'it has no "a"'),
        ({"dependentRequired": {"a": ["b"]}}, {}, {"a": 1}, "$", 'it has "a" and no "b"'),
        (
            {"properties": {"a": {"items": {"type": "string"}}}},
            {"a": ["x"]},
            {"a": ["x", 3]},
            "$.a[1]",
            "3 is not of type string",
        ),
        ({"patternProperties": {"^a b": False}}, {}, {"a bc": 1}, '$["a bc"]', "nothing may be here"),
        (
            {"properties": {"a": True}, "additionalProperties": False},
            {"a": 1},
            {"a": 1, "b": 2},
            "$",
            'it has "b", which may not be there',
        ),
        ({"propertyNames": {"maxLength": 1}}, {"a": 1}, {"ab": 1}, "$", 'it has "ab" as a name: it has 2 characters'),
        ({"prefixItems": [{"const": 1}], "items": False}, [1], [1, 2], "$[1]", "nothing may be here"),
        ({"contains": {"const": 1}, "maxContains": 1}, [1, 2], [1, 1], "$", "2 of its items are as one must be"),
        ({"uniqueItems": True}, [1, True], [[1], [1.0]], "$[1]", "it is the same as $[0]"),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 2, 4, "$", "4 is more than 3"),
        ({"anyOf": [{"type": "string"}, {"minimum": 1}]}, "a", 0, "$", "0 is as none of 2 schemas says"),
        ({"oneOf": [{"minimum": 1}, {"maximum": 3}]}, 5, 2, "$", "2 is as 2 of 2 schemas say, and only one may be"),
        ({"not": {"type": "null"}}, 1, None, "$", "null is as it may not be"),
        (
            {"if": {"type": "string"}, "then": {"minLength": 1}, "else": {"minimum": 1}},
            "a",
            0,
            "$",
            "0 is less than 1",
        ),
        (TREE, {"a": {"b": {}}}, {"a": {"b": 1}}, "$.a.b", "1 is not of type object"),
        ({"items": {"$ref": "#/$defs/a~1b"}, "$defs": {"a/b": {"const": 1}}}, [1], [2], "$[0]", "2 is not 1"),
        (False, None, 1, "$", "nothing may be here"),
    ],
)
def test_what_is_not_as_it_says_is_named_with_its_place(  # S4.6
    schema: Any, right: Any, wrong: Any, place: str, words: str
) -> None:
    judge = Schema(schema)
    if schema is not False:
        assert judge.first_problem(right) is None
    found = judge.first_problem(wrong)
    assert found is not None
    assert (found[0], found[1][: len(words)]) == (place, words)


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ([], "#: a schema is an object, or true or false"),
        ({"typ": "string"}, "#/typ: the keyword 'typ' is not known here"),
        ({"properties": {"a": {"unevaluatedItems": True}}}, "#/properties/a/unevaluatedItems: the keyword"),
        ({"items": [{}]}, "#/items: a list of schemas is prefixItems in this draft"),
        ({"type": "int"}, '#/type: "int" is no type: use some of null, boolean, object'),
        ({"pattern": "("}, "#/pattern: no pattern: missing )"),
        ({"minimum": "1"}, "#/minimum: use a number"),
        ({"multipleOf": 0}, "#/multipleOf: use a number above 0"),
        ({"maxItems": -1}, "#/maxItems: use a number of things, 0 or more"),
        ({"required": "a"}, "#/required: use a list of names"),
        ({"anyOf": []}, "#/anyOf: use a list that is not empty"),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#"},
            "#/$schema: 'http://json-schema.org/draft-07/",
        ),
        ({"$ref": "http://example.com/a"}, "#/$ref: 'http://example.com/a' is no place of this schema"),
        ({"$ref": "#/$defs/a"}, "#/$ref: there is no '#/$defs/a' in it"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}}, "#/$ref: it refers to itself in a circle"),
        ({"items": {"$ref": "#/default"}, "default": {"typ": 1}}, "#/default/typ: the keyword 'typ' is not known"),
        ({"items": {"$id": "x"}}, "#/items/$id: only the whole schema can have an $id here"),
    ],
)
def test_what_is_no_schema_that_is_known_is_refused(schema: Any, words: str) -> None:
    with pytest.raises(InvalidInput) as error:
        Schema(schema)
    assert str(error.value)[: len(words)] == words


def test_one_of_too_many_levels_is_refused() -> None:
    schema: Any = True
    for _ in range(150):
        schema = {"items": schema}
    with pytest.raises(InvalidInput, match="more than 100 levels"):
        Schema(schema)


def _option() -> Option:
    return next(each for each in OPTIONS if each.field == "check_output")


def test_a_job_takes_along_what_the_file_says() -> None:
    kind = _option().kind
    assert kind.names_file("schema:out.json") == "out.json"
    assert [kind.names_file(text) for text in ("json", "regex:x", 'schema:{"type": "null"}', "schema:true")] == [""] * 4
    value = kind.loaded("schema:out.json", b'{\n  "type": "object"\n}\n')
    assert value == 'schema:{"type":"object"}'
    validate(JobSpec(("true",), check_output=value))
    assert (kind.shown(value), kind.quoted(value)) == ("schema of 17 B", "schema:…")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{\n 'a': 1}", "the schema is wrong: no JSON: line 2, column 2: Expecting property name"),
        (b"\xff", "the schema is wrong: no JSON: it is not UTF-8"),
        (b'{"minimum": NaN}', "the schema is wrong: no JSON: NaN is no number of JSON"),
        (b"[" * 100_000, "the schema is wrong: it has too many levels"),
        (b'{"typ": 1}', "the schema is wrong: #/typ: the keyword"),
        (b" " * 2_000_000, "the schema has 2000000 bytes, and the most are 1048576"),
    ],
)
def test_a_file_that_is_no_schema_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(InvalidInput) as error:
        _option().kind.loaded("schema:out.json", content)
    assert str(error.value)[: len(words)] == words


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("schema:", "there is no file after schema:"),
        ("schema:out.json", "no JSON: line 1, column 1"),
        ("schema:" + json.dumps({"const": "x" * MAX_SCHEMA}), f"the schema has {MAX_SCHEMA + 13} bytes, and the most"),
    ],
)
def test_who_hands_in_no_schema_is_told_so(check: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        validate(JobSpec(("true",), check_output=check))
