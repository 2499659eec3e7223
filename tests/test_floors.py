"""The floors: imports point down only. Each rule has its reason, and a breach is reported with both.

Most rules are read off the syntax trees, so that an import inside a function counts as well. Two are about what is
loaded in the end, through however many others, and are measured in a Python of their own.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# From the ground up; packages on one floor do not know each other. `v1` is what protoc writes.
FLOORS = (
    {"domain", "v1"},
    {"store", "rpc", "pki", "launcher"},
    {"scheduler", "worker", "gateway", "client"},
    {"cli"},
)
FLOOR_OF = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}

# The same within the domain. What scheduler and worker decide, each decides without the other.
DOMAIN = ({"base"}, {"trust"}, {"job"}, {"session"}, {"launcher"}, {"scheduler", "worker"})
DOMAIN_FLOOR_OF = {package: floor for floor, packages in enumerate(DOMAIN) for package in packages}

# Values and algorithms only: nothing that knows the time, chance, files, the network or other processes.
INERT = {
    *(
        "abc",
        "array",
        "bisect",
        "collections",
        "copy",
        "dataclasses",
        "decimal",
        "enum",
        "fractions",
        "functools",
        "hashlib",
    ),
    *("heapq", "itertools", "math", "operator", "re", "string", "struct", "typing"),
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


def imports() -> Iterator[Import]:
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


IMPORTS = tuple(imports())


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
        [found for found in IMPORTS if found.package and FLOOR_OF.get(found.of, -1) > FLOOR_OF[found.package]],
        "imports point down: what is below must be understood, tested and changed without what stands on it",
    )


def test_packages_on_one_floor_do_not_know_each_other() -> None:
    refuse(
        [
            found
            for found in IMPORTS
            if found.package
            and found.of in FLOOR_OF
            and found.of != found.package
            and FLOOR_OF[found.of] == FLOOR_OF[found.package]
        ],
        "packages on one floor meet only in what stands above them: each can then be replaced alone",
    )


def test_imports_in_the_domain_point_down() -> None:
    def floors(found: Import) -> tuple[int, int]:
        return DOMAIN_FLOOR_OF[found.file.parts[2]], DOMAIN_FLOOR_OF[found.name.split(".")[2]]

    inside = [found for found in IMPORTS if found.package == found.of == "domain"]
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
        [found for found in IMPORTS if found.package == "domain" and found.of != "domain" and found.top not in INERT],
        "the domain is pure: time, chance and ids come in with events, so that a seed repeats a run exactly",
    )


def test_the_launcher_needs_only_the_domain_and_the_standard_library() -> None:
    refuse(
        [
            found
            for found in IMPORTS
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
        ("rich", {"cli"}, "only the command line draws tables and progress bars"),
        ("sqlite3", {"store", "worker"}, "SQL lives in one place; the worker keeps its own small record of past jobs"),
        ("cryptography", {"pki"}, "all handling of keys and certificates lies in one package that can be reviewed"),
        ("grpc", {"rpc", "scheduler", "worker", "client", "v1"}, "the wire belongs to the services"),
        ("google", {"rpc", "scheduler", "worker", "client", "v1"}, "messages stay at the wire: below are plain values"),
    ],
)
def test_a_library_is_used_only_where_it_belongs(library: str, allowed: set[str], reason: str) -> None:
    refuse([found for found in IMPORTS if found.top == library and found.package not in allowed], reason)


def test_the_launcher_never_loads_grpc() -> None:
    modules = [_module(path) for path in sorted((REPOSITORY / "cluster/launcher").glob("*.py"))]
    loaded = _loaded_by([name for name in modules if not name.endswith("__main__")])
    assert not loaded & {"grpc", "google", "cryptography"}, "forking with gRPC loaded is unsafe"


def test_the_command_line_starts_without_the_slow_libraries() -> None:
    loaded = _loaded_by(["cluster.cli.main"])
    slow = {"grpc": 100, "google": 30, "cryptography": 130, "rich": 90, "sqlite3": 10}  # milliseconds, about
    assert not loaded & slow.keys(), f"import inside the function that needs it; these cost, in ms: {slow}"


def _module(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


def _loaded_by(modules: list[str]) -> set[str]:
    """The top-level packages in memory after a fresh Python imported these modules."""
    program = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())
