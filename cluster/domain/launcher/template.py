"""How attempts are started: what is the same for those of one job, and what differs between them."""

from dataclasses import dataclass
from typing import NamedTuple

from cluster.domain.job.amounts import MEMORY, Amounts


@dataclass(frozen=True, slots=True)
class Template:
    """How the attempts of one job are started; everything that differs between them is in `Item`.

    argv, env: the command and its full environment. When an item carries a line, every `{}` in argv is
        replaced by it.
    outputs: directory of `<index>.<attempt>.out` and `.err`; it exists.
    cwd: working directory; with `fresh_cwd` the attempt gets its own new one, `cwd/<index>.<attempt>`.
    given: directory in which an attempt that is given files gets its own for them, `given/<index>.<attempt>`: with
        `fresh_cwd` the same as `cwd`.
    rows: the items' lines are rows (cluster.domain.job.rows): their values replace `{name}` in argv.
    then: commands that follow the first, each when all before it have left with 0.
    script, script_at: what a script says that each attempt is given as a file, and which word of argv becomes its path.
    seen_as: where the attempt finds its own directory, which is elsewhere for what is shut in; empty: where it is.
    status_fd: the descriptor on which what shuts each command in tells how that has left; 0: nothing tells.
    files: that each attempt finds in its own directory (cluster.domain.job.given_files).
    contents: the directory of this worker's contents, by digests in hex, where what follows is.
    upload: the tree that each attempt finds in its fresh directory; empty: none. upload_each: of that only the file
        that the item's row names, and all of the tree upload_beside. upload_shared: files are links to one copy, where
        jobs cannot write to that.
    stdin: the content that each attempt reads; empty: there is nothing to read.
    cpus: millicpus held while it runs.
    amounts: what it holds beside these, by name: memory in bytes, gpus as units that are its own, other resources.
    timeout: seconds it may run, None: no limit.
    grace: seconds between the first signal of a stop and SIGKILL.
    quiet_timeout: seconds it may write nothing, None: no limit. The agent sees to it; here it is remembered.
    leash: seconds it may outlive the last confirmation of the lease, None: for ever.
    uid, gid: run as this user (needs root); None: as the launcher itself.
    check_output, check_with: how stdout is judged once it has left with 0 (`launcher/output_check.py`).
    merge_output: both streams are one open file, the `.out` one; there is no `.err`.
    token_key: from which each attempt's CLUSTER_TOKEN is made (`attempt_tokens`), in hex; empty: it gets none.
    exclusive: nothing else runs meanwhile.
    keeps: what an attempt leaves in its own directory is wanted: nothing of that is touched when it has ended.
    refusal: why none of them can be started, in words; empty: they can.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    outputs: str
    cwd: str = "/"
    fresh_cwd: bool = False
    cpus: int = 1000
    amounts: Amounts = ()
    exclusive: bool = False
    timeout: float | None = None
    grace: float = 10.0
    leash: float | None = None
    uid: int | None = None
    gid: int | None = None
    refusal: str = ""
    merge_output: bool = False
    quiet_timeout: float | None = None
    check_output: str = ""
    check_with: str = ""
    given: str = ""
    script: str = ""
    script_at: int = 0
    token_key: str = ""
    seen_as: str = ""
    rows: bool = False
    then: tuple[tuple[str, ...], ...] = ()
    files: tuple[str, ...] = ()
    status_fd: int = 0
    keeps: bool = False
    contents: str = ""
    upload: str = ""
    upload_each: bool = False
    upload_beside: str = ""
    upload_shared: bool = False
    stdin: str = ""

    @property
    def memory(self) -> int:
        """Bytes that it may take, where that can be limited; 0: what there is."""
        return next((amount for name, amount in self.amounts if name == MEMORY), 0)


class Item(NamedTuple):
    """One attempt to start: its key (`5.17#2`, by index), the task's number as people type it (None when the job is
    no array) and, for `--each-line`, its line."""

    key: str
    number: int | None = None
    line: str | None = None
