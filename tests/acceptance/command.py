"""The command line as a process of its own, in a home of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cluster.client import Client
from cluster.domain.job.states import TaskState
from cluster.domain.trust.identity import IdentityKind
from cluster.pki.authority import create_authority
from cluster.pki.files import save_credentials
from tests.acceptance.warm_starts import warm_starts
from tests.patience import PATIENCE
from tools.environments import REPOSITORY


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Command:
    """`cluster`, with its state below `home` and none of the caller's variables."""

    home: Path

    def __call__(
        self,
        *arguments: str,
        cwd: Path | None = None,
        stdin: bytes | IO[bytes] = b"",
        env: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> Done:
        """Runs it to its end, which comes within `patience` seconds; warm, where that makes no difference."""
        environ = self.environment(env or {})
        # A file is read as one only by an interpreter that has found it: the warm one has found a pipe.
        usual = type(self).line is Command.line
        if usual and isinstance(stdin, bytes) and warm_starts().can_run(arguments, environ):
            code, out, err = warm_starts().run(arguments, environ, cwd, stdin, patience)
            return Done(code, out, err.decode())
        return self.cold(*arguments, cwd=cwd, stdin=stdin, env=environ, patience=patience)

    def cold(
        self, *arguments: str, cwd: Path | None, stdin: bytes | IO[bytes], env: Mapping[str, str], patience: float
    ) -> Done:
        """Runs it by an interpreter of its own. `env`: all of its variables."""
        fed: dict[str, Any] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
        done = subprocess.run(
            self.line(*arguments),
            env=env,
            cwd=cwd,
            capture_output=True,
            timeout=patience,
            **fed,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def ok(self, *arguments: str, **options: Any) -> Done:
        """Runs it, and expects success."""
        done = self(*arguments, **options)
        assert done.code == 0, done
        return done

    @contextmanager
    def started(self, *arguments: str, **variables: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Starts it with pipes, and nothing to read; ended by force if it still runs afterwards."""
        line, env, pipe = self.line(*arguments), self.environment(variables), subprocess.PIPE
        with subprocess.Popen(line, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe) as process:
            try:
                yield process
            finally:
                process.kill()

    def pids(self) -> dict[str, int]:
        """The processes of its embedded cluster: `scheduler` and `worker`."""
        said = json.loads((self.home / "embedded.json").read_text())
        return {daemon: said[daemon]["pid"] for daemon in ("scheduler", "worker")}

    @contextmanager
    def frozen(self, daemon: str) -> Iterator[None]:
        """One of those processes keeps its connections and answers nothing."""
        pid = self.pids()[daemon]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def wait_until_running(self, job: str) -> None:
        """Returns when its worker has said so. Its output comes another way, and may be here before; and after a
        restart the scheduler knows only whose the job is."""
        with Client.connect(home=self.home) as client:
            assert any(jobs[0].state is TaskState.RUNNING for jobs in client.watch(job))

    def line(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cluster", *arguments]

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLUSTER_", "XDG_"))}
        ours = {"HOME": str(self.home), "CLUSTER_HOME": str(self.home), "PYTHONPATH": str(REPOSITORY)}
        return {**kept, **ours, **variables}


def someones_credentials(home: Path) -> Path:
    """A file with credentials of some user of some cluster."""
    path = home / "someone.pem"
    if not path.exists():
        now = time.time()
        authority = create_authority(home / "some-ca.pem", "0123456789abcdef", now)
        save_credentials(path, authority.issue(authority.identity(IdentityKind.USER, "ann"), now))
    return path
