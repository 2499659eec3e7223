"""JSON Schema, draft 2020-12, as far as one document can say what one value must be like.

Known are the keywords in `json_schema_keywords`, the annotations, and `$ref` to another place of the same schema. Any
other keyword is an error and not ignored: a check that leaves something out would call wrong output right.

Why not a library: values are judged in a process below a slot, which has the standard library alone. `jsonschema`
needs compiled code for each platform; `fastjsonschema` executes code that it makes of the schema, and ignores what it
does not know, such as all that is newer than draft 7.
"""

import re
from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.printable import quoted
from cluster.domain.job.json_schema_keywords import ARGUMENTS, KEYWORDS, MOST_SAID, OF_LIST, OF_NAMED, OF_ONE, Problems

MOST_LEVELS = 100  # of a schema
DRAFT = "https://json-schema.org/draft/2020-12/schema"
_ANNOTATIONS = {
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "format",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentEncoding",
    "contentMediaType",
    "then",
    "else",
}


def _unescaped(text: str) -> str:
    """A fragment of a URI without its percent signs."""
    data = re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes.fromhex(match[1].decode()), text.encode(errors="replace"))
    return data.decode(errors="replace")


class Schema:
    """`document`: what the schema's JSON says. InvalidInput names the place in it that is wrong, as in #/items."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self._checked: set[int] = set()  # ids of the schemas in it that are known to be some
        try:
            self._check(document, "#", 0)
        except RecursionError:
            raise InvalidInput("it refers to itself without end") from None

    def first_problem(self, value: Any) -> tuple[str, str] | None:
        """Where the value is not as it must be, and how; None: it is. RecursionError for one of too many levels."""
        return next(self.problems(self._document, value, "$"), None)

    # -- what is a schema

    def _check(self, schema: Any, at: str, level: int) -> None:
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            raise InvalidInput(f"{at}: a schema is an object, or true or false")
        if level > MOST_LEVELS:
            raise InvalidInput(f"{at}: it has more than {MOST_LEVELS} levels")
        if id(schema) in self._checked:
            return
        self._checked.add(id(schema))
        for keyword, argument in schema.items():
            where = f"{at}/{keyword}"
            if keyword == "$schema" and argument not in (DRAFT, f"{DRAFT}#"):
                raise InvalidInput(f"{where}: {quoted(str(argument), MOST_SAID)} is another draft: use {DRAFT}")
            if keyword == "$id" and level:
                raise InvalidInput(f"{where}: only the whole schema can have an $id here")
            if keyword == "$ref":
                self._check(self._followed(schema, where), str(argument), level + 1)
            elif keyword in ("$defs", "definitions"):
                self._check_all(argument, where, level)
            elif keyword in KEYWORDS:
                wrong = ARGUMENTS[keyword](argument)
                if wrong:
                    raise InvalidInput(f"{where}: {wrong}")
                self._check_parts(keyword, argument, where, level)
            elif keyword not in _ANNOTATIONS:
                hint = "; a list of schemas is prefixItems" if keyword == "additionalItems" else ""
                raise InvalidInput(f"{where}: the keyword {keyword!r} is not known here{hint}")
        for keyword in ("then", "else"):
            if keyword in schema:
                self._check(schema[keyword], f"{at}/{keyword}", level + 1)

    def _check_parts(self, keyword: str, argument: Any, where: str, level: int) -> None:
        if keyword in OF_ONE:
            self._check(argument, where, level + 1)
        elif keyword in OF_LIST:
            for place, each in enumerate(argument):
                self._check(each, f"{where}/{place}", level + 1)
        elif keyword in OF_NAMED:
            self._check_all(argument, where, level)

    def _check_all(self, schemas: Any, where: str, level: int) -> None:
        if not isinstance(schemas, dict):
            raise InvalidInput(f"{where}: use an object, of which each value is a schema")
        for name, each in schemas.items():
            self._check(each, f"{where}/{name}", level + 1)

    def _followed(self, schema: Any, where: str) -> Any:
        """What its $ref means at last. InvalidInput where it leads nowhere, or in a circle."""
        seen: list[int] = []
        while isinstance(schema, dict) and "$ref" in schema:
            if id(schema) in seen:
                raise InvalidInput(f"{where}: it refers to itself in a circle")
            seen.append(id(schema))
            try:
                schema = self._target(schema["$ref"])
            except LookupError as error:
                raise InvalidInput(f"{where}: {error.args[0]}") from None
        return schema

    def _target(self, reference: Any) -> Any:
        """What a $ref means. LookupError says why nothing."""
        if not isinstance(reference, str) or not re.match(r"#(/|$)", reference):
            what = quoted(str(reference), MOST_SAID)
            raise LookupError(f"{what} is no place of this schema: use one, as in #/$defs/name")
        found = self._document
        for part in _unescaped(reference[1:]).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise LookupError(f"there is no {quoted(reference, MOST_SAID)} in it")
        if not isinstance(found, bool | dict):
            raise LookupError(f"{quoted(reference, MOST_SAID)} is no schema")
        return found

    # -- what is as it says

    def problems(self, schema: Any, value: Any, at: str) -> Problems:
        """All, of which nobody needs more than the first."""
        if isinstance(schema, bool):
            if not schema:
                yield at, "nothing may be here"
            return
        if "$ref" in schema:
            yield from self.problems(self._target(schema["$ref"]), value, at)
        for keyword, argument in schema.items():
            if judge := KEYWORDS.get(keyword):
                yield from judge(self, schema, argument, value, at)

    def fits(self, schema: Any, value: Any) -> bool:
        return next(self.problems(schema, value, "$"), None) is None
