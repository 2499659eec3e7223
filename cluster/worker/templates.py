"""From a job's spec to the launcher's template: command line, environment, directories, user."""

import os
import pwd
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cluster.domain.base.errors import ClusterError, InvalidInput
from cluster.domain.job.request import amounts_of
from cluster.domain.job.script import interpreter_of
from cluster.domain.job.spec import JobSpec, for_launcher
from cluster.domain.job.task_variables import of_job
from cluster.domain.launcher.allocation import GPU_VARIABLE
from cluster.domain.launcher.template import Template
from cluster.domain.worker.fetching import needs_contents, stdin_of
from cluster.worker.inside.place import Inside
from cluster.worker.output.files import kept_name
from cluster.worker.output.lanes import Lanes
from cluster.worker.sandbox import Sandbox, shut_in
from cluster.worker.scripts import resolve_script

# What a job sees of the agent's own environment. Everything else (keys, tokens, proxies with passwords) stays here.
_PASSED = frozenset({"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR"})
_PASSED_PREFIX = "LC_"
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class RunAs:
    """The user that jobs run as; `uid` None: whoever the agent is."""

    uid: int | None = None
    gid: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)  # what of its environment differs from the agent's


def run_as(user: str | None) -> RunAs:
    """Whom jobs run as. Without a name: as the agent, unless that is root, which jobs never are unasked.

    InvalidInput for a user that does not exist, ClusterError when only root could do it.
    """
    me = os.geteuid()
    name = user or (NOBODY if me == 0 else str(me))
    if name == str(me):  # who may have no entry: a container's user
        return RunAs()
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise InvalidInput(f"--run-as {name!r}: this machine has no such user") from None
    if entry.pw_uid == me:
        return RunAs()
    if me != 0:
        raise ClusterError(f"--run-as {name!r}: only a worker that runs as root can run jobs as another user")
    return RunAs(entry.pw_uid, entry.pw_gid, _of_entry(entry))


def base_environment(environ: Mapping[str, str], user: RunAs, *, has_gpus: bool = False) -> dict[str, str]:
    """What every job on this worker starts with. An agent that was started with nothing (by a service manager, say)
    still gives its jobs a home. Where there are gpus, who asks for none sees none."""
    passed = {n: v for n, v in environ.items() if n in _PASSED or n.startswith(_PASSED_PREFIX)}
    known: dict[str, str] = {}
    if user.uid is None:
        with suppress(KeyError):
            known = _of_entry(pwd.getpwuid(os.geteuid()))
    gpus = {GPU_VARIABLE: ""} if has_gpus else {}
    return {"PATH": DEFAULT_PATH, **gpus, **known, **passed, **user.environment}


def _of_entry(entry: pwd.struct_passwd) -> dict[str, str]:
    name = entry.pw_name
    return {"HOME": entry.pw_dir, "USER": name, "LOGNAME": name, "SHELL": entry.pw_shell}


LOOK = 2.0  # seconds that a look for a script may take
MOST_FOUND = 1000  # scripts that are remembered; between the look and the template there are few others


@dataclass(frozen=True, slots=True)
class Templates:
    """Makes templates. `outputs` and `work` hold a directory for each job; `scripts` None: there are none here."""

    outputs: Path
    work: Path
    scripts: Path | None
    environment: Mapping[str, str]
    user: RunAs
    inside: Inside | None = None  # None: jobs cannot call a cluster
    sandbox: Sandbox | None = None  # None: nothing here shuts jobs in
    _found: dict[str, tuple[str, str]] = field(
        default_factory=dict, init=False
    )  # script: its path, or why there is none

    @property
    def contents(self) -> Path:
        """The directory of this worker's cache of contents."""
        return self.work / "contents"

    async def find_script(self, script: str, lanes: Lanes) -> None:
        """Looks for it in a lane, since the folder may be on a disk that hangs: for the next template that needs it."""
        try:
            found = await lanes.run(self.find_script, lambda: self._resolved(script), LOOK)
        except OSError as error:
            found = "", f"script {script!r}: the worker's scripts folder does not answer: {error.strerror}"
        self._found.pop(script, None)  # the latest comes last
        self._found[script] = found
        if len(self._found) > MOST_FOUND:
            del self._found[next(iter(self._found))]

    def make(self, number: int, job_id: str, spec: JobSpec, leash: float | None, shown: int | None = None) -> Template:
        """The template of a job. What stands in the way is in the template's `refusal`. Touches no file:
        `find_script` was asked before for its script, and its directories are made by the launcher's slots, which a
        disk may hold up.

        `number` names the directories, and is what the job sees as its own unless `shown` says otherwise.
        """
        outputs, work = self.outputs / str(number), self.work / (kept_name(number) if spec.out else str(number))
        argv, refusal = self._command(spec)
        shown_number = number if shown is None else shown
        own = of_job(shown_number, job_id, spec.name, spec.millicpus, spec.numbering)
        env = {**self.environment, **dict(spec.env), **own}
        calls = self.inside if shown is None and not spec.sandbox else None
        if calls is not None:
            env |= calls.environment(env.get("PATH", ""))
        template = Template(
            argv=argv,
            env=tuple(env.items()),
            outputs=str(outputs),
            cwd=spec.cwd or str(work),
            fresh_cwd=not spec.cwd,
            cpus=spec.millicpus,
            amounts=amounts_of(spec),
            leash=leash,
            uid=self.user.uid,
            gid=self.user.gid,
            refusal=refusal,
            given=str(work),
            script=os.fsdecode(spec.script_text),
            then=spec.then,
            files=spec.files,
            keeps=bool(spec.out),
            contents=str(self.contents) if needs_contents(spec) else "",
            upload=spec.upload,
            upload_each=spec.upload_each,
            upload_beside=spec.upload_beside,
            upload_shared=spec.upload_shared,
            stdin=stdin_of(spec),
            script_at=len(argv) - len(spec.script_args) - 1 if spec.script_text else 0,
            token_key=calls.token_key(number) if calls is not None else "",
            **for_launcher(spec),
        )
        return template if not spec.sandbox else shut_in(template, spec, self.sandbox)

    def _command(self, spec: JobSpec) -> tuple[tuple[str, ...], str]:
        """argv, and why it cannot be run ("" when it can). A script that came along has a word for its path."""
        if spec.script_text:
            return (*(spec.argv or interpreter_of(spec.script_text)), "", *spec.script_args), ""
        if not spec.script:
            return spec.argv, ""
        script, refusal = self._found.get(spec.script) or ("", f"script {spec.script!r} was not looked for: try again")
        return ((spec.script,), refusal) if refusal else ((*spec.argv, script, *spec.script_args), "")

    def _resolved(self, script: str) -> tuple[str, str]:
        """Its path, or why it cannot be run. Blocks."""
        try:
            return resolve_script(self.scripts, script), ""
        except ClusterError as error:
            return "", str(error)
