"""The house. Imports point down only; files and functions are short, imports go in no circle, a class has a name of its
own. Each rule has its reason, and a breach is reported with both.

Most rules are read off the syntax trees, so that an import inside a function counts as well. Two are about what is
loaded in the end, through however many others, and are measured in a Python of their own.
"""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# From the ground up; packages on one floor do not know each other. `v1` is what protoc writes.
FLOORS = (
    {"domain", "v1"},
    {"store", "rpc", "pki", "launcher", "engines"},
    {"scheduler", "worker", "client"},
    {"gateway", "pools"},
    {"cli"},
)
FLOOR_OF = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}

# The same within the domain. What scheduler and worker decide, each decides without the other.
DOMAIN = ({"base"}, {"trust"}, {"files"}, {"job"}, {"session"}, {"launcher"}, {"scheduler", "worker", "pools"})
DOMAIN_FLOOR_OF = {package: floor for floor, packages in enumerate(DOMAIN) for package in packages}

# Values and algorithms only: nothing that knows the time, chance, files, the network or other processes.
INERT = {
    *(
        "abc",
        "array",
        "binascii",
        "bisect",
        "collections",
        "copy",
        "csv",
        "dataclasses",
        "datetime",  # the calendar; nobody asks it for the time, see below
        "decimal",
        "difflib",
        "enum",
        "fractions",
        "functools",
        "_blake2",
        "hashlib",
        "ipaddress",
        "hmac",
        "ipaddress",
    ),
    "zoneinfo",  # the tables of time zones: files, and the same for every run
    *("heapq", "itertools", "json", "math", "operator", "re", "shlex", "string", "struct", "typing"),
}


CLUSTER = REPOSITORY / "cluster"
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 50

# What breaks a rule of the house and stands all the same, each with its reason. Whoever mends one takes it off here.
LARGE_FILES: dict[str, str] = {}
LARGE_FUNCTIONS: dict[str, str] = {}
CIRCLES: dict[str, str] = {}
SAME_NAMES: dict[str, str] = {
    "Job": "what a user submitted: as the core keeps it, and as the Python client shows it",
    "Worker": "one machine of the cluster: as the scheduler's core keeps it, and as the Python client shows it",
}


@dataclass(frozen=True)
class Import:
    """One import statement: in which file and line, and the dotted name of what it asks for."""

    file: Path
    line: int
    name: str

    @property
    def package(self) -> str:
        """The floor's package that the file belongs to; empty for files directly in `cluster`."""
        return self.file.parts[1] if len(self.file.parts) > 2 else ""

    @property
    def of(self) -> str:
        """The floor's package that is imported; empty for what is not ours or lies directly in `cluster`."""
        parts = self.name.split(".")
        return parts[1] if parts[0] == "cluster" and len(parts) > 1 else ""

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]


@cache
def imports() -> tuple[Import, ...]:
    """All of ours. Read by the first test that asks: each process that finds the tests imports this file."""
    return tuple(_read_imports())


def _read_imports() -> Iterator[Import]:
    for path in sorted((REPOSITORY / "cluster").rglob("*.py")):
        file = path.relative_to(REPOSITORY)
        for node in ast.walk(ast.parse(path.read_text(), path)):
            for name in _names(node, file):
                yield Import(file, node.lineno, name)  # type: ignore[attr-defined]


def _names(node: ast.AST, file: Path) -> list[str]:
    """The absolute names of the modules that the statement asks for; of `from a import b`, both a and a.b."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        parents = file.parent.parts[: len(file.parent.parts) - node.level + 1] if node.level else ()
        module = ".".join([*parents, *([node.module] if node.module else [])])
        # `from cluster import store` names a package of ours only in its second half.
        return [f"{module}.{alias.name}" for alias in node.names] if module == "cluster" else [module]
    return []


def refuse(broken: list[Import], reason: str) -> None:
    """Fails the test with the reason and the broken lines, if there are any."""
    lines = [f"{found.file}:{found.line} imports {found.name}" for found in broken]
    if broken:
        pytest.fail("\n".join([reason, *lines]), pytrace=False)


def test_every_package_has_a_floor() -> None:
    packages = {path.parent.name for path in (REPOSITORY / "cluster").glob("*/__init__.py")}
    assert packages <= FLOOR_OF.keys(), "a new package needs its place in FLOORS, and in ARCHITECTURE.md"


def test_imports_point_down() -> None:
    refuse(
        [found for found in imports() if found.package and FLOOR_OF.get(found.of, -1) > FLOOR_OF[found.package]],
        "imports point down: what is below must be understood, tested and changed without what stands on it",
    )


def test_packages_on_one_floor_do_not_know_each_other() -> None:
    refuse(
        [
            found
            for found in imports()
            if found.package
            and found.of in FLOOR_OF
            and found.of != found.package
            and FLOOR_OF[found.of] == FLOOR_OF[found.package]
        ],
        "packages on one floor meet only in what stands above them: each can then be replaced alone",
    )


def test_a_face_knows_the_cluster_as_any_client_does() -> None:
    refuse(
        [found for found in imports() if found.package in ("gateway", "pools") and found.of in ("scheduler", "worker")],
        "what is open to browsers, or makes machines, must be able to do no more than any client",
    )


def test_imports_in_the_domain_point_down() -> None:
    def floors(found: Import) -> tuple[int, int]:
        return DOMAIN_FLOOR_OF[found.file.parts[2]], DOMAIN_FLOOR_OF[found.name.split(".")[2]]

    inside = [found for found in imports() if found.package == found.of == "domain"]
    same = [found for found in inside if found.file.parts[2] == found.name.split(".")[2]]
    refuse(
        [found for found in inside if found not in same and floors(found)[0] <= floors(found)[1]],
        "each part of the domain stands on those before it: a job is understood without those who run it",
    )


def test_every_part_of_the_domain_has_a_floor() -> None:
    parts = {path.parent.name for path in (REPOSITORY / "cluster" / "domain").glob("*/__init__.py")}
    assert parts == DOMAIN_FLOOR_OF.keys(), "a new part needs its place in DOMAIN, and in ARCHITECTURE.md"
    assert [path.name for path in (REPOSITORY / "cluster" / "domain").glob("*.py")] == ["__init__.py"]


def test_the_domain_imports_only_itself_and_inert_parts_of_the_standard_library() -> None:
    refuse(
        [found for found in imports() if found.package == "domain" and found.of != "domain" and found.top not in INERT],
        "the domain is pure: time, chance and ids come in with events, so that a seed repeats a run exactly",
    )


def test_the_domain_asks_no_calendar_for_the_time() -> None:
    asks = re.compile(r"\b(now|today|utcnow)\(")
    found = [str(path) for path in (CLUSTER / "domain").glob("**/*.py") if asks.search(path.read_text())]
    assert not found, "the present moment comes in with events (cluster.domain.base.now)"


def test_the_launcher_needs_only_the_domain_and_the_standard_library() -> None:
    refuse(
        [
            found
            for found in imports()
            if found.package == "launcher"
            and found.of not in ("domain", "launcher")
            and found.top not in sys.stdlib_module_names
        ],
        "the launcher outlives the agent for weeks and starts every job: it stays small, and never loads gRPC",
    )


@pytest.mark.parametrize(
    ("library", "allowed", "reason"),
    [
        ("click", {"cli"}, "only the command line reads arguments"),
        ("rich", {"cli"}, "only the command line draws progress bars"),
        (
            "sqlite3",
            {"store", "worker", "client"},
            "SQL lives in one place; the worker keeps its own small record of past jobs, the client what files hash to",
        ),
        ("cryptography", {"pki"}, "all handling of keys and certificates lies in one package that can be reviewed"),
        ("grpc", {"rpc", "scheduler", "worker", "client", "v1"}, "the wire belongs to the services"),
        (
            "google",
            {"rpc", "scheduler", "worker", "client", "gateway", "v1"},
            "messages stay at the wire: below are plain values",
        ),
        ("starlette", {"gateway"}, "HTTP is one door, and a process of its own"),
        ("uvicorn", {"gateway"}, "HTTP is one door, and a process of its own"),
    ],
)
def test_a_library_is_used_only_where_it_belongs(library: str, allowed: set[str], reason: str) -> None:
    refuse([found for found in imports() if found.top == library and found.package not in allowed], reason)


def test_the_launcher_never_loads_grpc() -> None:
    modules = [_module(path) for path in sorted((REPOSITORY / "cluster/launcher").glob("*.py"))]
    loaded = _loaded_by([name for name in modules if not name.endswith("__main__")])
    assert not loaded & {"grpc", "google", "cryptography"}, "forking with gRPC loaded is unsafe"


def test_the_command_line_starts_without_the_slow_libraries() -> None:
    loaded = _loaded_by(["cluster.cli.main"])
    slow = {"grpc": 100, "google": 30, "cryptography": 130, "rich": 90, "sqlite3": 10, "starlette": 60, "uvicorn": 60}
    assert not loaded & slow.keys(), f"import inside the function that needs it; these cost, in ms, about: {slow}"


def _module(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def _loaded_by(modules: list[str]) -> set[str]:
    """The top-level packages in memory after a fresh Python imported these modules."""
    program = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_no_file_is_longer_than_a_reader_keeps_in_mind() -> None:
    large = {name for name in _trees() if _lines_of(name) > MOST_LINES}
    _refuse_but(large, LARGE_FILES, f"a file has at most {MOST_LINES} lines: cut it into files about one thing each")


def test_no_function_is_longer_than_a_screen() -> None:
    large = set()
    for name, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _size_of(node) > MOST_LINES_OF_A_FUNCTION:
                large.add(f"{name}:{node.name}")
    _refuse_but(large, LARGE_FUNCTIONS, f"a function has at most {MOST_LINES_OF_A_FUNCTION} lines")


def test_imports_go_in_no_circle() -> None:
    """Those inside functions and for type checkers count as well: what needs each other is understood only together."""
    graph = {name: set(_imports(name, tree)) for name, tree in _trees().items()}
    found = {" and ".join(sorted(circle)) for circle in _circles(graph)}
    _refuse_but(found, CIRCLES, "what both need belongs into a file of its own, below both")


def test_a_class_has_a_name_of_its_own() -> None:
    places = defaultdict(list)
    for name, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(name)
    twice = {name: found for name, found in places.items() if len(found) > 1}
    named = {f"{name} ({' and '.join(found)})" if name not in SAME_NAMES else name for name, found in twice.items()}
    _refuse_but(named, SAME_NAMES, "one name, one idea: rename the one that is used less")


def test_no_two_files_of_a_package_differ_by_an_ending() -> None:
    """reports and reporting, join and joining: who looks for one opens the other."""
    roots = defaultdict(set)
    for name in _trees():
        folder, _, file = name.rpartition("/")
        if not file.startswith("__"):
            roots[folder, re.sub(r"(ings?|ers?|ors?|ed|e?s|ments?|ions?|e)$", "", file.removesuffix(".py"))].add(file)
    alike = [" and ".join(sorted(files)) for files in roots.values() if len(files) > 1]
    assert not alike, "call each by what it is about"


# Where the text of an attempt's key becomes a value.
READERS_OF_KEYS = {
    "domain/worker/journal.py": "the agent, of what the launcher says",
    "launcher/wire.py": "the launcher, of what the agent says",
    "launcher/slot_protocol.py": "the launcher, of what it hands to a slot, which gets what follows from it",
}


def test_the_key_of_an_attempt_is_read_where_it_comes_in() -> None:
    found = {name for name in _trees() if "AttemptKey.parse(" in (CLUSTER / name).read_text()}
    _refuse_but(
        found, READERS_OF_KEYS, "keys are read at the boundaries alone (READERS_OF_KEYS); be given the AttemptKey:"
    )


def _refuse_but(found: set[str], known: Mapping[str, str], rule: str) -> None:
    """Fails for what is found and not known, and for what is known and not found any more."""
    if new := found - known.keys():
        pytest.fail("\n".join([rule, *sorted(new)]), pytrace=False)
    if mended := known.keys() - found:
        pytest.fail(f"mended, so take it off the list in {Path(__file__).name}: {sorted(mended)}", pytrace=False)


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
