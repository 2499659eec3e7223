"""Each option of a job refuses what it cannot be: in one line, which names its flag and the value."""

from pathlib import Path
from typing import NoReturn

import pytest

from cluster.cli import connection
from cluster.cli.main import run
from cluster.domain.job.kinds import SWITCH
from cluster.domain.job.options import Option
from cluster.domain.job.spec import OPTIONS

NONSENSE = "5 x"
TYPED = [option for option in OPTIONS if option.flag and option.kind is not SWITCH]
# What may be any text, and what names something that only a file, or the cluster, tells apart.
ANY_TEXT = {"--name", "--env", "--key", "--worker", "--script", "--check-with", "--out"}
ELSEWHERE = {"--script-file", "--each-line", "--after", "--after-any", "--after-fail", "--after-each", "--cwd"}
REFUSING = [option for option in TYPED if option.flag not in ANY_TEXT | ELSEWHERE]


@pytest.mark.parametrize("option", REFUSING, ids=lambda option: option.flag)
@pytest.mark.parametrize("value", [NONSENSE, ""])
def test_what_an_option_cannot_be_is_one_line_with_its_flag(
    option: Option, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nobody(*_: object, **__: object) -> NoReturn:
        raise AssertionError(f"{option.flag} {value!r} is taken")

    monkeypatch.setattr(connection, "client", nobody)
    monkeypatch.setenv("CLUSTER_HOME", str(tmp_path))
    assert run(["job", "submit", option.flag, value, "--", "true"]) == 2
    out, err = capsys.readouterr()
    line, *below = err.splitlines()
    assert (out, line[:9]) == ("", "cluster: ")
    assert option.flag in line
    assert (repr(value) if value else "empty") in line or below
    assert not below or (len(below), below[1].strip()) == (2, "^")
