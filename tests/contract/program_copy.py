"""A copy of the program with something made up in it, for tests of how little a new thing needs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from cluster.v1 import job_pb2

ROOT = Path(__file__).parents[2]


class ProgramCopy:
    """The package `cluster` below a directory of the test's."""

    def __init__(self, place: Path) -> None:
        self.place = place
        shutil.copytree(ROOT / "cluster", place / "cluster", ignore=shutil.ignore_patterns("__pycache__"))

    def insert(self, name: str, before: str, lines: str) -> None:
        """Puts lines into a file of the package, before the one place that reads so."""
        path = self.place / "cluster" / name
        text = path.read_text()
        assert text.count(before) == 1, f"{path} is not as this test thinks"
        path.write_text(text.replace(before, lines + before))

    def change_job_proto(self, change: Callable[[FileDescriptorProto], None]) -> None:
        """Writes what protoc would make of a job.proto that is changed so."""
        file = FileDescriptorProto.FromString(job_pb2.DESCRIPTOR.serialized_pb)
        change(file)
        module, serialized = (self.place / "cluster/v1" / name for name in ("job_pb2.py", "serialized.py"))
        lines = module.read_text().splitlines()
        (at,) = [n for n, line in enumerate(lines) if line.startswith("DESCRIPTOR = ")]
        lines[at] = f"DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile({file.SerializeToString()!r})"
        module.write_text("\n".join(lines))
        files = serialized.read_text().splitlines()
        (at,) = [n for n, line in enumerate(files) if "cluster/v1/job.proto" in line.replace("\\x63", "c")[:40]]
        files[at] = f"    {file.SerializeToString()!r},"
        serialized.write_text("\n".join(files))

    def run(self, code: str) -> Any:
        """What a program prints as JSON that has the copy for its package `cluster`, and these tests beside it."""
        path = f"{self.place}{os.pathsep}{ROOT}"
        environ = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run([sys.executable, "-c", code], env=environ, cwd=self.place, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
