"""What is said about the words of `cluster map` before anything goes anywhere: slips that would cost as many tasks as
there are files."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from cluster.cli.quick.options import is_no_program
from cluster.cli.remarks import remark
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.rows import PREFIX, holes_in
from cluster.domain.job.spec import JobSpec

COLUMNS = ("file", "name", "stem", "ext")
_SHELLS = frozenset(("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"))
_RUNS_A_TEXT = re.compile(r"-[a-z]*c[a-z]*")  # as in sh -ec
_PLAIN = re.compile(r"[\w@%+=:,./-]*", re.ASCII)  # what no shell takes for its own, as shlex.quote has it


def check_words(spec: JobSpec, typed: Sequence[str], shared: Sequence[str]) -> None:
    """InvalidInput where no task would see its file, whatever it does. `typed`: the command's words, `shared`: what is
    uploaded for all tasks. A shell, a script and what is uploaded may look for the file, or at variables."""
    words = [*spec.argv, *spec.script_args]
    may_look = spec.script_text or spec.script or shared or any(_texts_run(words))
    is_told = any(any(holes_in(word, COLUMNS)) or PREFIX in word or "CLUSTER_LINE" in word for word in words)
    if not (is_told or may_look or any(word.startswith("{") for word in words)):
        raise InvalidInput(f"there is no {{}} in the command, so no task sees its file: … -- {shlex.join(typed)} {{}}")


def remark_on_words(spec: JobSpec, rows: Sequence[Mapping[str, str]], shared: Sequence[str]) -> None:
    """Remarks on names that a shell would run, and on files of ours that no task finds."""
    words = [*spec.argv, *spec.script_args]
    if odd := next(_names_run(words, rows), ""):
        remark(
            f"{odd!r} has characters that a shell takes for its own, and stands in a text that one runs: give it as an "
            "argument instead, as in sh -c 'wc \"$1\"' sh {}"
        )
    for word in _left_here(words, [row["file"] for row in rows], shared):
        remark(f"{word} is a file here, and no task finds it: --upload {shlex.quote(word)} sends it along")


def _texts_run(words: Sequence[str]) -> Iterator[str]:
    """The words that are run by a shell, as the one behind `sh -c`."""
    for place, word in enumerate(words):
        if os.path.basename(word) in _SHELLS:
            rest = words[place + 1 :]
            options = next((at for at, each in enumerate(rest) if not each.startswith("-")), len(rest))
            if any(map(_RUNS_A_TEXT.fullmatch, rest[:options])):
                yield from rest[options : options + 1]


def _names_run(words: Sequence[str], rows: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """What would stand in such a word, of names that are not plain."""
    columns = {name for text in _texts_run(words) for name in holes_in(text, COLUMNS)}
    for row in rows if columns else ():
        yield from (row[name] for name in COLUMNS if name in columns and not _PLAIN.fullmatch(row[name]))


def _left_here(words: Sequence[str], files: Sequence[str], shared: Sequence[str]) -> Iterator[str]:
    """Words that name a file below where we are which goes along with nothing."""
    there = [os.path.normpath(each) for each in (*files, *shared)]
    for place, word in enumerate(words):
        names_file = ("/" in word or is_no_program(word)) if place == 0 else True
        if not names_file or os.path.isabs(word) or not os.path.isfile(word):
            continue
        path = os.path.normpath(word)
        if not any(each == "." or path == each or path.startswith(f"{each}/") for each in there):
            yield word
