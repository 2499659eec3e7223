"""`docs/requirements.md` and the tests agree: each names the other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
DOCUMENT = REPOSITORY / "docs" / "requirements.md"
NUMBER = re.compile(r"\bS\d\.\d+\b")
LINE = re.compile(r"^- \*\*(S\d\.\d+)\*\* (.*?)(?=^- \*\*|^#|\Z)", re.MULTILINE | re.DOTALL)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
TEXTS = (".py", ".proto", ".md")

Test = tuple[str, str]  # file, function


def test_each_line_names_tests_or_says_that_it_is_not_there_yet() -> None:
    silent = [number for number, text in _lines() if not TEST.findall(text) and "Not yet" not in text]
    assert not silent, f"docs/requirements.md says of these neither which test shows them nor `Not yet`: {silent}"


def test_no_line_stands_twice() -> None:
    numbers = [number for number, _ in _lines()]
    assert sorted(set(numbers)) == sorted(numbers)


def test_the_document_and_the_tests_name_each_other() -> None:
    by_document = {(number, test) for number, text in _lines() for test in TEST.findall(text)}
    by_tests = {(number, test) for test, numbers in _marks() for number in numbers}
    assert not by_document - by_tests, "tests named by docs/requirements.md that lack the comment, or are not there"
    assert not by_tests - by_document, "tests that name a line of docs/requirements.md, which does not name them"


def test_numbers_stand_in_tests_and_in_that_document_alone() -> None:
    elsewhere = [
        f"{path.relative_to(REPOSITORY)}: {number}"
        for folder in ("cluster", "protos", "bench", "tools", "docs", ".")
        for path in sorted((REPOSITORY / folder).glob("*" if folder == "." else "**/*"))
        if path.suffix in TEXTS and path != DOCUMENT
        for number in NUMBER.findall(path.read_text())
    ]
    assert not elsewhere, "a reader there does not know what the number means: say it in words"


def _lines() -> list[tuple[str, str]]:
    """(number, text) of each requirement."""
    return LINE.findall(DOCUMENT.read_text())


def _marks() -> Iterator[tuple[Test, set[str]]]:
    """Each test function that names requirements, with the numbers."""
    for path in sorted((REPOSITORY / "tests").rglob("test_*.py")):
        if path == Path(__file__):
            continue
        text = path.read_text()
        inside = 0
        for function in _functions(text):
            numbers = NUMBER.findall(ast.get_source_segment(text, function) or "")
            inside += len(numbers)
            if numbers:
                yield (str(path.relative_to(REPOSITORY)), function.name), set(numbers)
        assert inside == len(NUMBER.findall(text)), f"{path} names a requirement outside of a test function"


def _functions(text: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node
