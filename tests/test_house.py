"""The house: how large files and functions may be, that imports go in no circle, that a class has a name of its own.

What breaks a rule and stands all the same is listed here, each with its reason. Whoever mends one takes it off the
list: the tests fail for an entry that is not needed any more.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

CLUSTER = Path(__file__).resolve().parent.parent / "cluster"
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 50

LARGE_FILES: dict[str, str] = {
    "domain/launcher/core.py": "is being cut",
    "domain/scheduler/core.py": "is being cut",
    "domain/worker/core.py": "is being cut",
    "worker/agent.py": "is being cut",
}
LARGE_FUNCTIONS: dict[str, str] = {}
# Each is of a type annotation alone, and waits for the cut of its larger file.
CIRCLES: list[set[str]] = [
    {"domain/job/exec_limits.py", "domain/job/spec.py"},
    {"domain/launcher/core.py", "domain/launcher/slots.py"},
    {"domain/scheduler/clone_detection.py", "domain/scheduler/worker_record.py"},
]
SAME_NAMES: dict[str, str] = {
    "Job": "what a user submitted: as the core keeps it, and as the Python client shows it",
    "Worker": "one machine of the cluster: as the scheduler's core keeps it, and as the Python client shows it",
}


def test_no_file_is_longer_than_a_reader_keeps_in_mind() -> None:
    large = {name for name in _trees() if _lines_of(name) > MOST_LINES}
    assert large == LARGE_FILES.keys(), f"a file has at most {MOST_LINES} lines: cut it into files about one thing each"


def test_no_function_is_longer_than_a_screen() -> None:
    large = set()
    for name, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _size_of(node) > MOST_LINES_OF_A_FUNCTION:
                large.add(f"{name}:{node.name}")
    assert large == LARGE_FUNCTIONS.keys(), f"a function has at most {MOST_LINES_OF_A_FUNCTION} lines"


def test_imports_go_in_no_circle() -> None:
    """Those inside functions and for type checkers count as well: what needs each other is understood only together."""
    graph = {name: set(_imports(name, tree)) for name, tree in _trees().items()}
    assert _circles(graph) == CIRCLES, "what both need belongs into a file of its own, below both"


def test_a_class_has_a_name_of_its_own() -> None:
    places = defaultdict(list)
    for name, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert twice.keys() == SAME_NAMES.keys(), f"one name, one idea: {twice}"


def _size_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _lines_of(name: str) -> int:
    return len((CLUSTER / name).read_text().splitlines())


@cache
def _trees() -> dict[str, ast.Module]:
    """The syntax tree of each module that people wrote, by its path below `cluster`."""
    paths = [path for path in sorted(CLUSTER.rglob("*.py")) if "v1" not in path.relative_to(CLUSTER).parts]
    return {str(path.relative_to(CLUSTER)): ast.parse(path.read_text(), path) for path in paths}


def _imports(importer: str, tree: ast.Module) -> Iterator[str]:
    """The modules of ours that it imports, as paths below `cluster`."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if _path_of(name) in _trees() else node.module for name in names]
        yield from ({_path_of(name) for name in names} & _trees().keys()) - {importer}


def _path_of(module: str) -> str:
    """`cluster.rpc.gate` is in rpc/gate.py; of a package the __init__.py is meant."""
    path = "/".join(module.split(".")[1:])
    return f"{path}/__init__.py".lstrip("/") if (CLUSTER / path / "__init__.py").exists() else f"{path}.py"


def _circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The modules of which each reaches every other, in order of their names."""
    reached = {name: _reached_from(name, graph) for name in graph}
    circles = {frozenset(other for other in reached[name] if name in reached[other]) for name in graph}
    return [set(circle) for circle in sorted(circles, key=sorted) if circle]


def _reached_from(start: str, graph: dict[str, set[str]]) -> set[str]:
    reached, waiting = set[str](), [start]
    while waiting:
        new = graph[waiting.pop()] - reached
        reached |= new
        waiting += new
    return reached
