"""The generated code in `cluster/v1`: made by protoc from `protos/`, committed, and checked to be up to date."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.environments import BUILD, REPOSITORY, clean_environ, environment

PROTOS = REPOSITORY / "protos"
GENERATED = Path("cluster", "v1")
BUF = REPOSITORY / "tools" / "buf"


def generate(target: Path) -> None:
    """Writes the modules and their type stubs below `target`; protoc puts them in the directories of their package."""
    sources = sorted(PROTOS.rglob("*.proto"))
    outputs = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    protoc: list[str | Path] = [
        environment("dev"),
        "-m",
        "grpc_tools.protoc",
        f"--proto_path={PROTOS}",
        *outputs,
        *sources,
    ]
    subprocess.run(protoc, check=True, env=clean_environ())


def stale() -> list[str]:
    """The generated files that are not what protoc would write now: changed, missing or left over."""
    with TemporaryDirectory() as fresh:
        generate(Path(fresh))
        expected = _generated(Path(fresh))
    found = _generated(REPOSITORY)
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))


def _generated(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / GENERATED).glob("*_pb2*.py*")}


def buf() -> Path | None:
    """The `buf` of tools/buf/package-lock.json, installed when first needed; None where there is no npm."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    place = BUILD / "buf"
    stamp = place / "made-from"
    lock = (BUF / "package-lock.json").read_text()
    if not stamp.exists() or stamp.read_text() != lock:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(BUF, place)
        # By its hash, and without running anything that it brings.
        install = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
        subprocess.run(install, check=True, cwd=place)
        stamp.write_text(lock)
    (program,) = place.glob("node_modules/@bufbuild/buf-linux-*/bin/buf")
    return program
