"""Numbers that people type are refused in our words, and told as they would type them."""

import click
import pytest

from cluster.cli.main import cli, run
from cluster.domain.base.errors import InvalidInput
from cluster.domain.base.quantities import format_number, parse_duration
from cluster.domain.job.spec import JobSpec, validate
from tests.contract.commands import commands


def test_no_number_is_read_by_the_parser_of_the_library() -> None:
    """Whose words are \"'x' is not a valid integer range.\"."""
    theirs = (click.types.IntParamType, click.types.FloatParamType)
    found = [
        (" ".join(words), param.name)
        for words, command in commands(cli)
        for param in command.params
        if isinstance(param.type, theirs) and not getattr(param, "hidden", False)
    ]
    assert not found


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("events --since x", "Invalid value for '--since': 'x' is no number: use 0 or more"),
        ("job list --limit -1", "Invalid value for '--limit': '-1' is no number: use 0 or more"),
        ("user share ada much", "Invalid value for 'WEIGHT': 'much' is no share: use a number, as in 2 or 0.5"),
    ],
)
def test_what_is_no_number_is_told_with_what_it_may_be(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words.split()) == 2
    assert capsys.readouterr().err.startswith(f"cluster: {said}; see ")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"timeout": parse_duration("100000000000000d")}, "--timeout 8640000000000000000: use 0 to 1000000000 s"),
        ({"memory": 1}, "--mem 1: no program starts with so little: use 4M or more, as in 512M"),
        ({"memory": 1 << 63}, "--mem 8388608T: no machine has so much: use 8388607T or less"),
    ],
    ids=str,
)
def test_a_number_that_may_not_be_is_told_in_full(fields: dict[str, float], said: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        validate(JobSpec(("true",), **fields))  # type: ignore[arg-type]
    assert str(raised.value) == said


def test_a_number_is_told_as_one_types_it() -> None:
    assert [format_number(n) for n in (0, 90.0, 0.5, 1_234_567.0, 1e9, -1.0)] == [
        *("0", "90", "0.5", "1234567", "1000000000", "-1"),
    ]
