import pytest

from cluster.domain.base.printable import printable, quoted


@pytest.mark.parametrize("text", ["", "plain", "Grüße, 世界 🙂", 'it\'s "quoted" \\x1b'])
def test_what_can_be_seen_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jx", "\\x1b[2Jx"),
        ("a\x07\x7f\x9b", "a\\x07\\x7f\\x9b"),
        ("one\r\ntwo\t", "one\\r\\ntwo\\t"),
        ("\u202eexe.txt\u2028", "\\u202eexe.txt\\u2028"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_would_act_on_a_terminal_is_told(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_of_a_long_text_the_beginning_is_quoted_and_its_length_told() -> None:
    assert quoted("it's") == '"it\'s"'
    assert quoted("a" * 200) == f"'{'a' * 200}'"
    assert quoted("ab" * 200) == f"'{'ab' * 100}'… (400 characters)"
