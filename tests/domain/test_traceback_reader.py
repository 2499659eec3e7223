"""Exceptions are found in what real Pythons write, and in texts as other versions and terminals have them."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from cluster.domain.job.last_words import TAIL_BYTES
from cluster.domain.job.raised_exception import MAIN, RaisedException
from cluster.domain.job.traceback_reader import MOST_TEXT, read_exception
from tests.acceptance.interpreters import interpreters


class Shape(NamedTuple):
    """A program that fails, and what is to be found: raised in the line that says `# here`."""

    source: str
    type: str
    message: str = ""
    function: str = MAIN
    following: tuple[str, ...] = ()
    cause: str = ""  # type and message
    first: str = ""  # in the group, the same


SHAPES = {
    "plain": Shape(
        "def parse(row):\n    raise ValueError('bad row')  # here\nparse(1)", "ValueError", "bad row", "parse"
    ),
    "a key": Shape("{}['x']  # here", "KeyError", "'x'"),
    "no message": Shape("raise ValueError  # here", "ValueError"),
    "a type of a module": Shape("import json\njson.loads('{')  # fails deeper", "json.decoder.JSONDecodeError", "Exp"),
    "a type within a function": Shape(
        "def f():\n    class Odd(Exception): pass\n    raise Odd('in here')  # here\nf()",
        "f.<locals>.Odd",
        "in here",
        "f",
    ),
    "several lines": Shape(
        "raise ValueError('one: 1\\n\\n  two\\n')  # here", "ValueError", "one: 1", following=("", "  two")
    ),
    "a line end at first": Shape("raise ValueError('\\none\\ntwo')  # here", "ValueError", "one", following=("two",)),
    "notes": Shape(
        "e = ValueError('bad row')\ne.add_note('in load.csv')\ne.add_note('line 7')\nraise e  # here",
        "ValueError",
        "bad row",
        following=("in load.csv", "line 7"),
    ),
    "a cause": Shape(
        "try:\n    {}['x']\nexcept KeyError as error:\n    raise RuntimeError('cannot load') from error  # here",
        "RuntimeError",
        "cannot load",
        cause="KeyError: 'x'",
    ),
    "while handling": Shape(
        "try:\n    {}['x']\nexcept KeyError:\n    1 / 0  # here",
        "ZeroDivisionError",
        "division by zero",
        cause="KeyError: 'x'",
    ),
    "three in a chain": Shape(
        "try:\n    try:\n        {}['x']\n    except KeyError:\n        1 / 0\n"
        "except ArithmeticError as error:\n    raise OSError(2, 'gone') from error  # here",
        "FileNotFoundError",
        "[Errno 2] gone",
        cause="ZeroDivisionError: division by zero",
    ),
    "a cause that was not raised": Shape(
        "raise RuntimeError('cannot load') from KeyError('x')  # here",
        "RuntimeError",
        "cannot load",
        cause="KeyError: 'x'",
    ),
    "wrong syntax": Shape("x = = 1  # here", "SyntaxError", "invalid syntax", function=""),
    "wrong indentation": Shape(
        "def f():\nx = 1  # here", "IndentationError", "expected an indented block", function=""
    ),
    "endless recursion": Shape("def f(n):\n    f(n + 1)  # here\nf(1)", "RecursionError", "maximum recursion", "f"),
    "importing what is not there": Shape("import nosuch  # here", "ModuleNotFoundError", "No module named 'nosuch'"),
    "importing by a function": Shape(
        "import importlib\nimportlib.import_module('nosuch')  # fails deeper",
        "ModuleNotFoundError",
        "No module named 'nosuch'",
        "import_module",
    ),
    "code in several lines": Shape(
        "x = (1  # here\n     | 2\n     | 'a'\n     | 3)", "TypeError", "unsupported operand type(s) for |"
    ),
    "interrupted": Shape("raise KeyboardInterrupt  # here", "KeyboardInterrupt"),
    "a str that fails": Shape(
        "class Odd(Exception):\n    def __str__(self): raise KeyError\nraise Odd  # here",
        "Odd",
        "<exception str() failed>",
    ),
    "a thread": Shape(
        "import sys, threading\ndef f():\n    raise ValueError('bad row')  # here\n"
        "t = threading.Thread(target=f)\nt.start()\nt.join()\nsys.exit(3)",
        "ValueError",
        "bad row",
        "f",
    ),
    "a thread that fails after the program": Shape(
        "import threading\ndef f():\n    threading.main_thread().join()\n    raise ValueError('late')\n"
        "threading.Thread(target=f).start()\nraise KeyError('x')  # here",
        "KeyError",
        "'x'",
    ),
    "words at exit": Shape(
        "import atexit, sys\natexit.register(print, 'bye: all done', file=sys.stderr)\n"
        "raise ValueError('bad row')  # here",
        "ValueError",
        "bad row",
        following=("bye: all done",),
    ),
    "one that was ignored before": Shape(
        "class A:\n    def __del__(self): raise KeyError('ignored')\nA()\nraise ValueError('bad row')  # here",
        "ValueError",
        "bad row",
    ),
    "another process": Shape(
        "from concurrent.futures import ProcessPoolExecutor\nfrom multiprocessing import get_context\n"
        "def f(): raise ValueError('bad row')\n"
        "ProcessPoolExecutor(1, get_context('fork')).submit(f).result()  # fails deeper",
        "ValueError",
        "bad row",
        "__get_result",
        cause="ValueError: bad row",
    ),
    "a group": Shape(
        "def f(): raise ValueError('bad row')\nfound = []\nfor i in range(2):\n    try: f()\n"
        "    except ValueError as error: found.append(error)\nraise ExceptionGroup('two rows', found)  # here",
        "ExceptionGroup",
        "two rows (2 sub-exceptions)",
        first="ValueError: bad row",
    ),
    "groups in groups": Shape(
        "try:\n    try: {}['x']\n    except KeyError as error: raise ValueError('leaf') from error\n"
        "except ValueError as error: leaf = error\n"
        "inner = ExceptionGroup('inner', [leaf, TypeError('other')])\n"
        "try: {}['y']\nexcept KeyError: raise ExceptionGroup('outer', [inner, OSError('last')])  # here",
        "ExceptionGroup",
        "outer (2 sub-exceptions)",
        cause="KeyError: 'y'",
        first="ValueError: leaf",
    ),
    "a group as the cause": Shape(
        "try: raise ExceptionGroup('rows', [ValueError(1), TypeError(2)])\n"
        "except ExceptionGroup as error: raise RuntimeError('cannot load') from error  # here",
        "RuntimeError",
        "cannot load",
        cause="ExceptionGroup: rows (2 sub-exceptions)",
    ),
    "a large group": Shape(
        "raise ExceptionGroup('rows', [ValueError(i) for i in range(50)])  # here",
        "ExceptionGroup",
        "rows (50 sub-exceptions)",
        first="ValueError: 0",
    ),
    "a task group": Shape(
        "import asyncio\nasync def f(): raise ValueError('bad row')\nasync def main():\n"
        "    async with asyncio.TaskGroup() as group: group.create_task(f())\nasyncio.run(main())  # fails deeper",
        "ExceptionGroup",
        "unhandled errors in a TaskGroup (1 sub-exception)",
        "__aexit__",
        first="ValueError: bad row",
    ),
}

SILENT = {
    "words alone": "import sys; sys.exit('bad row: 7')",
    "a code alone": "raise SystemExit(3)",
    "only what was ignored": "class A:\n    def __del__(self): raise KeyError('ignored')\nA()\nraise SystemExit(3)",
    "a crash": "import faulthandler, os\nfaulthandler.enable()\nos.abort()",
}


def stderr_of(tmp_path: Path, source: str, python: str = sys.executable, **variables: str) -> bytes:
    program = tmp_path / "load.py"
    program.write_text(source)
    environment = {**os.environ, "COVERAGE_PROCESS_START": "", **variables}
    done = subprocess.run([python, program], capture_output=True, env=environment, check=False)
    assert done.returncode != 0
    return done.stderr


def in_words(found: RaisedException | None) -> str:
    return f"{found.type}: {found.message}" if found else ""


def expect(shape: Shape, found: RaisedException | None, program: Path) -> None:
    assert found is not None
    lines = shape.source.splitlines()
    place = next((n for n, line in enumerate(lines, start=1) if line.endswith("# here")), None)
    if place:
        assert (found.file, found.line) == (str(program), place)
    if place or shape.function != MAIN:
        assert found.function == shape.function
    assert found.message.startswith(shape.message)
    assert (found.type, found.following) == (shape.type, shape.following)
    assert (in_words(found.cause), in_words(found.first_in_group)) == (shape.cause, shape.first)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_an_exception_is_found_with_its_place(shape: Shape, tmp_path: Path) -> None:
    # S4.7: which exception it was, its message, and where in the program it was raised
    found = read_exception(stderr_of(tmp_path, shape.source)[-TAIL_BYTES:])
    expect(shape, found, tmp_path / "load.py")


@pytest.mark.parametrize("source", SILENT.values(), ids=SILENT)
def test_none_is_found_where_none_ended_it(source: str, tmp_path: Path) -> None:
    assert read_exception(stderr_of(tmp_path, source)) is None


@pytest.mark.slow
@pytest.mark.parametrize("python", interpreters(12, 16) or [sys.executable])
@pytest.mark.parametrize("colours", ["", "1"])
def test_it_is_found_in_what_later_pythons_write(python: str, colours: str, tmp_path: Path) -> None:
    for name, shape in SHAPES.items():
        stderr = stderr_of(tmp_path, shape.source, python, FORCE_COLOR=colours, NO_COLOR="" if colours else "1")
        print(name, stderr.decode())
        expect(shape, read_exception(stderr[-TAIL_BYTES:]), tmp_path / "load.py")


PLAIN = b"""Traceback (most recent call last):
  File "/home/you/load.py", line 20, in <module>
    parse(row)
  File "/home/you/load.py", line 17, in parse
    raise ValueError("bad row")
ValueError: bad row
"""
FOUND = RaisedException("ValueError", "bad row", "/home/you/load.py", 17, "parse")

# As 3.13 and later write it to a terminal, or with FORCE_COLOR.
COLOURED = (
    b"Traceback (most recent call last):\n"
    b'  File \x1b[35m"/home/you/load.py"\x1b[0m, line \x1b[35m20\x1b[0m, in \x1b[35m<module>\x1b[0m\n'
    b"    \x1b[31mparse\x1b[0m\x1b[1;31m(row)\x1b[0m\n    \x1b[31m~~~~~\x1b[0m\x1b[1;31m^^^^^\x1b[0m\n"
    b'  File \x1b[35m"/home/you/load.py"\x1b[0m, line \x1b[35m17\x1b[0m, in \x1b[35mparse\x1b[0m\n'
    b'    raise ValueError("bad row")\n'
    b"\x1b[1;35mValueError\x1b[0m: \x1b[35mbad row\x1b[0m\n"
)


@pytest.mark.parametrize(
    "stderr",
    [
        PLAIN,
        COLOURED,
        PLAIN.replace(b"\n", b"\r\n"),
        PLAIN.decode().encode("utf-16"),
        PLAIN.decode().encode("utf-16-be"),
        PLAIN.decode().encode("utf-32"),
        PLAIN.rstrip(b"\n"),
        b"\n\n" + PLAIN,
        PLAIN[40:],  # cut at the front: no heading
        PLAIN[PLAIN.index(b"se(row)") :],
        b"\r 10%|#   | 1/10\r 20%|##  | 2/10" + PLAIN,
        PLAIN.replace(b"17, in parse\n", b"17, in parse\n    \n") + b"\n\n",
        # lines of the program that look like what is in a group
        PLAIN.replace(b"    raise", b"    x = (one\n        | two\n      | three)\n    raise"),
        # one that was told earlier, and others that count for nothing
        PLAIN.replace(b"bad row", b"an earlier one") + b"going on\n" + PLAIN,
        b"Exception in thread Thread-1 (f):\n" + PLAIN.replace(b"bad row", b"of a thread") + PLAIN,
        PLAIN + b"Exception in thread Thread-1 (f):\n" + PLAIN.replace(b"bad row", b"of a thread"),
        PLAIN + b"Exception ignored in: <_io.TextIOWrapper name='<stdout>'>\nBrokenPipeError: [Errno 32] Broken pipe\n",
        # a chain within a thread is the thread's as a whole
        PLAIN
        + b"Exception in thread Thread-1 (f):\n"
        + PLAIN.replace(b"bad row", b"of a thread")
        + b"\nDuring handling of the above exception, another exception occurred:\n\n"
        + PLAIN.replace(b"bad row", b"of a thread, too"),
        # others write at the same time
        PLAIN + PLAIN.replace(b"ValueError:", b"worker 7 says hello\nValueError:"),
    ],
)
def test_whatever_stands_around_it_the_same_is_found(stderr: bytes) -> None:
    assert read_exception(stderr) == FOUND


def test_bytes_that_are_no_utf_8_are_shown_as_such() -> None:
    found = read_exception(PLAIN.replace(b"bad row", "schön".encode("latin-1")).replace(b"load.py", b"l\xff.py"))
    assert found is not None
    assert (found.message, found.file) == (r"sch\xf6n", r"/home/you/l\xff.py")
    assert read_exception(PLAIN.replace(b"bad row", "schön".encode())) == RaisedException(
        "ValueError", "schön", "/home/you/load.py", 17, "parse"
    )


def test_of_a_group_that_is_cut_at_the_front_what_is_left_counts() -> None:
    def sub(number: bytes, word: bytes) -> bytes:
        heading = b"Traceback (most recent call last):"
        return b'    | %b\n    |   File "a.py", line %b, in f\n    |     g()\n    | ValueError: %b\n' % (
            heading,
            number,
            word,
        )

    second = b"    +---------------- 2 ----------------\n" + sub(b"2", b"two") + b"    +" + b"-" * 36 + b"\n"
    group = b"  +-+---------------- 1 ----------------\n" + sub(b"1", b"one") + second
    assert in_words(read_exception(group)) == "ValueError: two"
    assert in_words(read_exception(group[60:])) == "ValueError: two"
    assert in_words(read_exception(second[second.index(b"    |   File") :])) == "ValueError: two"


def test_tracebacks_of_python_2_and_of_old_3_are_read() -> None:
    assert read_exception(PLAIN.replace(b"ValueError: bad", b"__main__.Odd: bad")) == RaisedException(
        "__main__.Odd", "bad row", "/home/you/load.py", 17, "parse"
    )
    old = b'  File "load.py", line 1\n    print "a"\n            ^\nSyntaxError: Missing parentheses\n'
    assert read_exception(old) == RaisedException("SyntaxError", "Missing parentheses", "load.py", 1)


@pytest.mark.parametrize(
    "stderr",
    [
        b"",
        b"make: *** [Makefile:3: all] Error 1\n",
        b"ValueError: these are only words\n",
        b"Traceback (most recent call last):\n",
        PLAIN[: PLAIN.index(b"ValueError:")],
        b'Fatal Python error: Aborted\n\nThread 0x1 (most recent call first):\n  File "a.py", line 3 in <module>\n',
        b'File "load.ml", line 3, characters 4-5:\nError: Syntax error\n',
        b"\xff\xfe\x00\x1b[",
    ],
)
def test_what_is_no_traceback_is_none(stderr: bytes) -> None:
    assert read_exception(stderr) is None


def test_long_texts_are_cut() -> None:
    found = read_exception(PLAIN.replace(b"bad row", b"x" * 10_000) + b"y" * 5000 + b"\n" + b"more\n" * 100)
    assert found is not None
    assert len(found.message) == MOST_TEXT
    assert found.message.endswith("x…")
    assert len(found.following[0]) == MOST_TEXT
    assert found.following[1:] == ("more",) * 19


@pytest.mark.parametrize(
    "piece",
    [
        *(b"\x1b[", b"\x1b]", b"\x1b[1;", b'  File "', b'", line 1', b", in ", b"A.", b"  ", b"  | ", b"+-", b"\r"),
        *(
            b"1",
            b"\xff",
            b"  +-+- 1 -\n",
            b"    +---- 1 ----\n",
            b'  File "a", line 1\nA: b\n',
            b"Exception in thread \n",
        ),
    ],
)
def test_nothing_that_a_task_may_write_is_too_hard(piece: bytes) -> None:
    """It ends: an expression that looked at the same bytes again from each place would take minutes."""
    for begin in (b"", b'  File "', b'  File "a", line 1\n', b"  +-+- 1 -\n"):
        read_exception(begin + piece * (20 * TAIL_BYTES // len(piece)))


def test_an_exception_is_told_in_one_line() -> None:
    key = RaisedException("KeyError", "'x'", "/home/you/load.py", 15, "<module>")
    assert (
        replace(FOUND, cause=key).in_words
        == "ValueError: bad row (load.py:17 in parse), after KeyError: 'x' (load.py:15)"
    )
    group = RaisedException("ExceptionGroup", "two rows (2 sub-exceptions)", "a.py", 3, "f", first_in_group=FOUND)
    assert group.in_words == (
        "ExceptionGroup: two rows (2 sub-exceptions) (a.py:3 in f), first ValueError: bad row (load.py:17 in parse)"
    )
    assert RaisedException("KeyboardInterrupt").in_words == "KeyboardInterrupt"
