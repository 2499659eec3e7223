"""Benches are run by hand, so that nobody sees at once when one reads an option by a name that it does not have."""

import ast
import re
from pathlib import Path

import pytest

from tools.environments import REPOSITORY


@pytest.mark.parametrize("path", sorted((REPOSITORY / "bench").glob("*.py")), ids=lambda path: path.stem)
def test_a_bench_reads_only_options_that_it_has(path: Path) -> None:
    source = path.read_text()
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    options = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"]
    names = {str(ast.literal_eval(call.args[0])).lstrip("-").replace("-", "_") for call in options}
    assert set(re.findall(r"\bargs\.(\w+)", source)) <= names
