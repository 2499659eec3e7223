"""What is wrong with a script or a table that is handed in is told in one line, before anything goes anywhere."""

import io
from types import SimpleNamespace

import pytest

from cluster.cli import submit
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.spec import validate

SCRIPTS = [
    ("-", b"", "--script-file -: it is empty, so there is nothing to run"),
    ("-", b"#!/bin/sh\n\0", "--script-file -: line 2, column 1: a NUL byte, so this is no script"),
    ("-", b"#CLUSTER --cpus x\n", "the script on stdin, line 1, column 17: 'x' is no number of cpus"),
    ("--each-line - -", b"true\n", "--script-file and --each-line all read stdin: give files, but for one"),
    ("--script-file /no/such", b"", "--script-file /no/such: No such file or directory"),
    ("--script-file x -", b"", "- is a script on stdin, and --script-file x another: give one"),
    ("--script a.sh -", b"true\n", "--script 'a.sh' and --script-file exclude each other"),
]
TABLES = [
    ("--from-csv -", b"a,b\n1\n", "stdin, row 1 (line 2), column 2: it has 1 column, and the header 2"),
    ("--from-csv -", b"a,b\n", "--from-csv -: it has no rows"),
    ("--from-json -", b'{"a":}', "stdin, line 1, column 6: expecting value"),
    ("--from-json -", b'{"a":1}', "word 2 of the command: {x} names no column; there are a (and {{x}} is {x}"),
    ("--from-json /no/such", b"", "--from-json /no/such: No such file or directory"),
    ("--from-json - --array 1-2", b'{"x":1}', "--array 2: there is no row 2; there are 1, from 1 on"),
    ("--from-json - --each-line x", b"", "--each-line and --from-json exclude each other"),
    ("--no-header", b"", "--no-header needs --from-csv"),
    ("--from-json - --env CLUSTER_COL_X=1", b'{"x":1}', "--env: the variable CLUSTER_COL_X tells each task"),
]


@pytest.mark.parametrize(
    ("line", "stdin", "words"), [*SCRIPTS, *((f"{options} -- echo {{x}}", *rest) for options, *rest in TABLES)]
)
def test_it_is_told_with_its_place(line: str, stdin: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
    context = submit.submit.make_context("submit", line.split(), obj={})
    with pytest.raises(InvalidInput) as raised:
        validate(submit.spec_of(context.params, submit.typed_in(context)))
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)
