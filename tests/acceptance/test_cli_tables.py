"""Lists on narrow terminals: what names a thing and its state are whole, the rest gives way."""

import fcntl
import os
import re
import struct
import subprocess
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.cli.table import GAP, LEAST, fit, shortened, width_of
from tests.acceptance.command import Command
from tests.patience import PATIENCE

STYLES = re.compile(r"\x1b\[[0-9;]*m")
COLUMNS = st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=1, max_size=9)


@given(COLUMNS, st.integers(20, 200))
def test_columns_fit_where_those_that_must_be_whole_let_them(columns: list[tuple[int, bool]], room: int) -> None:
    natural, kept = zip(*columns, strict=True)
    widths = fit(natural, kept, room)
    assert all(width == wanted for width, wanted, keep in zip(widths, natural, kept, strict=True) if keep)
    assert all(width <= wanted for width, wanted in zip(widths, natural, strict=True))
    shown = [width for width in widths if width]
    total = sum(shown) + GAP * (len(shown) - 1)
    others = [width for width, keep in zip(widths, kept, strict=True) if width and not keep]
    assert total <= room or not others
    assert all(width >= min(LEAST, wanted) for width, wanted in zip(widths, natural, strict=True) if width)


def test_nothing_gives_way_where_there_is_room() -> None:
    assert fit([3, 9, 20], [True, True, False], 36) == [3, 9, 20]


def test_a_few_columns_that_can_be_read_are_better_than_many_that_cannot() -> None:
    """On 40 columns each of five was cut to two letters."""
    job, state, reason, submitted, took, name, command = fit([3, 9, 13, 10, 5, 12, 40], [True, True] + 5 * [False], 40)
    assert (job, state, reason, submitted) == (3, 9, 12, 10)
    assert (took, name, command) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("short", 8, "short   "),
        ("as it is", 8, "as it is"),
        ("rather long", 8, "rather …"),
        ("日本語の名前", 8, "日本語… "),
        ("日本語", 6, "日本語"),
        ("e\u0301te\u0301", 3, "e\u0301te\u0301"),
    ],
)
def test_a_cell_has_its_width_whatever_its_letters_take(text: str, width: int, shown: str) -> None:
    assert shortened(text, width) == shown
    assert width_of(shown) == width


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_lists_keep_names_and_states_whole(cluster: Command, width: int) -> None:
    name = f"w{width}-a-name-that-is-rather-long-for-a-job"
    job = cluster.ok("job", "submit", "-q", "--name", name, "--array", "1-3", "--", "sh", "-c", "exit 3", "x" * 200)
    number = job.text.strip()
    cluster("job", "wait", number)
    for line, wanted in (
        (["job", "list", "--limit", "500"], [f"{number} ", "failed "]),
        (["job", "show", number], [f"{number}.2 ", "failed "]),
        (["worker", "list"], [f"{os.uname().nodename} ", "online "]),
    ):
        shown = on_a_terminal_of(cluster, width, line)
        table = shown[-4:] if line[1] == "show" else shown
        assert all(len(row) <= width for row in table), table
        for word in wanted:
            assert any(word in row + " " for row in table), (word, table)


def on_a_terminal_of(cluster: Command, width: int, line: list[str]) -> list[str]:
    """The lines that the command shows on a terminal so many columns wide."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 200, width, 0, 0))
    env = {**cluster.environment({}), "TERM": "xterm"}
    env.pop("COLUMNS", None)
    with subprocess.Popen(cluster.line(*line), env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        try:
            while piece := os.read(ours, 4096):
                seen += piece
        except OSError:  # the other side is closed
            pass
        assert process.wait(PATIENCE) == 0
    os.close(ours)
    return [row.rstrip() for row in STYLES.sub("", seen.decode()).splitlines()]
