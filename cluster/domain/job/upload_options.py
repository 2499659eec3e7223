"""The options of a job that name what it finds: files in its directory, and its stdin.

A spec has the digests of what was sent before (`cluster.domain.files`). What people name is a path."""

from typing import Any

from cluster.domain.base.errors import InvalidInput
from cluster.domain.files.tree import DIGEST_BYTES
from cluster.domain.job.file_kinds import PATH
from cluster.domain.job.kinds import SWITCH, OptionKind
from cluster.domain.job.options import Option, Scope, Shown, option
from cluster.domain.job.rows import FILE

_SHOWN = 16  # digits of a digest that people are shown


class _Digest(OptionKind):
    """The SHA-256 of a content, as 64 hex digits."""

    metavar = "SHA256"

    def quoted(self, value: Any) -> str:
        return ""

    def shown(self, value: Any) -> str:
        return str(value)[:_SHOWN]


class _Paths(OptionKind):
    """Paths of this machine, one by each flag."""

    metavar = "PATH"
    adds_up = True

    def parse(self, text: str) -> Any:
        return (text,)


def _wrong_digest(text: str) -> str:
    if len(text) == 2 * DIGEST_BYTES and set(text) <= set("0123456789abcdef"):
        return ""
    return f"{text[:80]!r} is no SHA-256 of a content: give 64 hex digits in lower case"


DIGEST = _Digest()
_NEEDS = "needs a scheduler, which keeps the files: a worker's own job finds none"
_BY_BOTH: dict[str, Any] = {"scope": Scope.SCHEDULER | Scope.WORKER}
# Of a tree: what each attempt finds in its directory.
UPLOADED: str = option(
    DIGEST, default="", name="upload", check=_wrong_digest, alone=f"--upload {_NEEDS}", typed=False, **_BY_BOTH
)
# Each task finds only one file of the tree: that which its row names (cluster.domain.job.rows.file_in).
UPLOAD_EACH: bool = option(
    SWITCH, default=False, alone=f"--upload {_NEEDS}", typed=False, shown=Shown.ELSEWHERE, **_BY_BOTH
)
# Of a tree that each task finds beside its own file, all of it.
UPLOAD_BESIDE: str = option(
    DIGEST, default="", name="upload_beside", check=_wrong_digest, alone=f"--upload {_NEEDS}", typed=False, **_BY_BOTH
)
UPLOAD_SHARED: bool = option(
    SWITCH,
    "Let all tasks of a worker share one copy of each uploaded file, which none of them can write.",
    default=False,
    alone=_NEEDS,
    **_BY_BOTH,
)
# Of a content: what each attempt reads.
STDIN_SENT: str = option(
    DIGEST, default="", name="stdin", check=_wrong_digest, alone=f"--stdin {_NEEDS}", typed=False, **_BY_BOTH
)


# What becomes of these where the job is handed in.
UPLOAD = Option(
    _Paths(),
    "Put the file or directory PATH into each task's directory, as it lies below this one (. is all of that); from "
    "elsewhere, by its name. Without what .gitignore and .clusterignore leave out. May be given several times.",
    name="upload",
)
STDIN = Option(PATH, "Give each task what FILE says to read (-: stdin, to its end).", name="stdin")
FILES_NAMED = (UPLOAD, STDIN)


def check_upload(upload: str, cwd: str, *, each: bool, beside: str, shared: bool, rows: bool) -> None:
    """InvalidInput for an upload that does not go together with other options."""
    if upload and cwd:
        raise InvalidInput(
            "--upload and --cwd exclude each other: files are put into a directory that is the attempt's own"
        )
    if not upload and (each or shared):
        raise InvalidInput("--upload-shared needs --upload: it is about the files that a job finds")
    if beside and not each:
        raise InvalidInput("upload_beside needs upload_each: it is what tasks find beside a file of their own")
    if each and not rows:
        raise InvalidInput(f"upload_each needs rows (rows, lines): the column {FILE!r} of each names its task's file")
