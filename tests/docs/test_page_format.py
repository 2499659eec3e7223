"""How pages of documentation are read: what is an example, and when an answer is the one that the page shows."""

import pytest

from tests.docs.pages import PageError, blocks, filled_in, matches

PAGE = """
Words.

```console on head stays
$ serve
ready
```

```ini a.conf on box1
[x]
```

```console
$ echo one \\
> two
one two
$ true
```

```sh
python3 build.py
```
"""


def test_a_page_is_files_and_commands_with_their_answers() -> None:
    serve, file, echo = blocks(PAGE)
    assert (serve.machine, serve.stays, serve.commands[0].text, serve.commands[0].expected) == (
        "head", True, "serve", ["ready"],
    )  # fmt: skip
    assert (file.machine, file.file, file.text) == ("box1", "a.conf", "[x]\n")
    assert [(command.text, command.expected) for command in echo.commands] == [
        ("echo one \\\ntwo", ["one two"]),
        ("true", []),
    ]


@pytest.mark.parametrize(
    "page",
    [
        "```\n$ true\n```",
        "```sh\ncurl | sh\n```",
        "```console\nno command\n```",
        "```console\n```",
        "```console stays\n$ one\n$ two\n```",
        "```console\n$ true",
        "words:\n\n    $ true\n",
        "```console on\n$ true\n```",
    ],
)
def test_what_no_test_would_run_is_no_page(page: str) -> None:
    with pytest.raises(PageError):
        blocks(page)


@pytest.mark.parametrize(
    ("expected", "output", "so"),
    [
        ([], "", True),
        ([], "something\n", False),
        (["one"], "one\n", True),
        (["one"], "one\ntwo\n", False),
        (["one", "..."], "one\ntwo\nthree\n", True),
        (["...", "three"], "one\ntwo\nthree\n", True),
        (["...", "one"], "one\ntwo\n", False),
        (["job ... submitted"], "job 17 submitted\n", True),
        (["job ... submitted"], "job 17\nsubmitted\n", False),
        (["A    B"], "A\tB\n", True),
        (["AB"], "A B\n", False),
        (["a.c"], "abc\n", False),
    ],
)
def test_an_answer_is_what_the_page_says_but_for_what_varies(expected: list[str], output: str, so: bool) -> None:
    assert matches(expected, output) is so


def test_what_goes_on_has_said_enough_once_it_begins_so() -> None:
    assert not matches(["ready", "on ..."], "ready\n", so_far=True)
    assert matches(["ready", "on ..."], "ready\non port 1\nmore\n", so_far=True)


def test_what_a_reader_would_paste_is_the_last_word_like_it() -> None:
    answers = ["C1.old.x", "job", "C1.head:1.y", "C2.z"]
    assert filled_in("join C1...", answers) == "join C1.head:1.y"
    assert filled_in("true", answers) == "true"
    with pytest.raises(PageError, match=r"C3\.\.\."):
        filled_in("join C3...", answers)
