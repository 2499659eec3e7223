"""What shuts a job in that asks for it (`--sandbox`): bubblewrap, which gives it namespaces of its own, and limits.

Inside there is the system's /usr, read-only; the interpreter that its operator has chosen; the attempt's own directory,
read-only, at JOB_DIRECTORY; and /tmp in memory, of a bounded size, where it begins. There is no other file of the
worker's, no process but its own, and no network but a loopback of its own, unless the operator lets it have the
machine's. It has no capability and gets none, and makes no namespace of its own. What it leaves behind ends with it.

Where an operator does without bubblewrap (`--execute-unconfined`, in a container that is shut in itself), only the
limits on files, output and processor time are left.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

from cluster.domain.job.sandbox import BUBBLEWRAP, JOB_DIRECTORY, STATUS_FD, UNCONFINED
from cluster.domain.job.spec import JobSpec
from cluster.domain.launcher.template import Template

PYTHON = "python3"  # the word for which a job gets the interpreter that the operator has chosen
MOST_PROCESSES = 100  # and threads, of one job at a time
MOST_FILES = 256  # that one process has open
MOST_WRITTEN = 64 << 20  # bytes in /tmp, and as many in /dev/shm
HOME = "/tmp/work"  # noqa: S108 (of its own /tmp) where it begins

# Of the system's settings it sees these: how libraries are found, which time it is here, and who is who.
_SETTINGS = ("ld.so.cache", "localtime", "alternatives", "passwd", "group")
# And these where it has the network: how names are found there, and who is trusted.
_NETWORK_SETTINGS = ("resolv.conf", "hosts", "nsswitch.conf", "ssl", "ca-certificates", "pki", "services", "protocols")
ROOT_DIRECTORIES = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links into /usr, mostly


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What this worker shuts jobs in with. `limiter`: the path of prlimit(1). `bubblewrap`: its path; empty: jobs are
    not shut in. `directories`: of the interpreter, as far as they are not in /usr. `links`: names in the root that lead
    to /usr, each with where. `network`: they have the machine's."""

    limiter: str
    bubblewrap: str = ""
    python: str = ""
    directories: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    network: bool = False

    @property
    def kind(self) -> str:
        """As workers offer it."""
        return BUBBLEWRAP if self.bubblewrap else UNCONFINED

    @property
    def status_fd(self) -> int:
        """The descriptor on which it tells what became of a command; 0: it tells nothing."""
        return STATUS_FD if self.bubblewrap else 0

    def words(self, spec: JobSpec, status_fd: int = 0) -> tuple[str, ...]:
        """The words that stand before a command of that job. `status_fd`: where it is to tell what became of that."""
        limits = (self.limiter, *self._limits(spec), "--")
        return (*self._confinement(status_fd), "--", *limits) if self.bubblewrap else limits

    def command(self, words: Sequence[str]) -> tuple[str, ...]:
        """A command of a job, with the interpreter."""
        return (self.python, *words[1:]) if words and words[0] == PYTHON and self.python else tuple(words)

    def _confinement(self, status_fd: int) -> Iterator[str]:
        yield from (self.bubblewrap, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent")
        yield from ("--new-session", "--hostname", "sandbox")
        if status_fd:
            yield from ("--json-status-fd", str(status_fd))
        if self.network:
            yield "--share-net"
        yield from ("--ro-bind", "/usr", "/usr")
        for name, target in self.links:
            yield from ("--symlink", target, name)
        for name in (*_SETTINGS, *(_NETWORK_SETTINGS if self.network else ())):
            yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
        for directory in self.directories:
            yield from ("--ro-bind", directory, directory)
        yield from ("--proc", "/proc", "--dev", "/dev")
        for directory in ("/dev/shm", "/tmp"):  # noqa: S108
            yield from ("--size", str(MOST_WRITTEN), "--tmpfs", directory)
        yield from ("--dir", HOME, "--ro-bind", ".", JOB_DIRECTORY, "--remount-ro", "/dev", "--remount-ro", "/")
        yield from ("--chdir", HOME, "--setenv", "HOME", HOME, "--setenv", "TMPDIR", "/tmp")  # noqa: S108

    def _limits(self, spec: JobSpec) -> Iterator[str]:
        yield from (f"--fsize={spec.max_output}:{spec.max_output}", "--core=0:0", f"--nofile={MOST_FILES}:{MOST_FILES}")
        if spec.timeout:
            seconds = ceil(spec.timeout * max(1, spec.millicpus / 1000)) + 1
            yield f"--cpu={seconds}:{seconds}"
        if self.bubblewrap:  # elsewhere the processes of others count, who are the same user
            yield f"--nproc={MOST_PROCESSES}:{MOST_PROCESSES}"
        if spec.memory:  # of each process; all together have what their group has, where there is one
            yield f"--as={2 * spec.memory}:{2 * spec.memory}"


def shut_in(template: Template, spec: JobSpec, sandbox: Sandbox | None) -> Template:
    """The template of that job, with each of its commands in the sandbox."""
    if sandbox is None:
        refusal = "--sandbox: this worker has nothing that shuts jobs in; its log says what is missing"
        return replace(template, refusal=template.refusal or refusal)
    before = sandbox.words(spec, sandbox.status_fd)
    return replace(
        template,
        argv=(*before, *sandbox.command(template.argv)),
        then=tuple((*before, *sandbox.command(words)) for words in template.then),
        script_at=template.script_at + len(before) if template.script else 0,
        seen_as=JOB_DIRECTORY if sandbox.bubblewrap else "",
        status_fd=sandbox.status_fd,
    )
