"""The examples of a page of documentation: what a reader would type, and what should come back.

Every fenced block of a page is one of two things, and nothing else is:

    ```console on box1          commands after `$ `, each with the output that it gives; `> ` continues a command
    ```ini a/file on box1       any other language: a file of that name, which commands after it use

A console that is `^C` alone is Ctrl-C in the terminal that was opened last, and the end of what went on in it.
`on NAME` says which machine this happens on (the first one named in the page, where nothing is said). After `stays` the
block's one command goes on in a terminal of its own, once it has said what stands there.

In expected output `...` stands for whatever varies within a line, and as a line of its own for any number of lines.
In a command a word with `...` is what a reader would paste: the last word like it that has been answered.
How many blanks there are between words does not count: tables have tabs in a pipe.

A block of `sh` is not run: it may hold only what makes the file and runs these tests.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

FENCE = re.compile(r"^```(.*)$")
INDENTED = re.compile(r"^(?: {4}|\t)\S")
OURS = (
    "python3 build.py",
    """python3 build.py && ./dist/cluster run -- sh -c 'echo "hello from $(hostname)"'""",
    "python3 build.py test",
)
PROMPT, CONTINUED, INTERRUPT, ANYTHING = "$ ", "> ", "^C", "..."


class PageError(Exception):
    """A page that is not written as pages are. The message names the line."""


@dataclass
class Command:
    """One command line and the lines that it should answer."""

    line: int  # in the page, from 1
    text: str
    expected: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Block:
    """A fenced block: a file, or commands."""

    line: int
    machine: str  # empty: the page's first
    stays: bool = False
    file: str = ""
    text: str = ""
    commands: Sequence[Command] = ()


def blocks(page: str) -> list[Block]:
    """All examples of a page, in order. PageError for a block of which nobody could say what it is."""
    found: list[Block] = []
    head, start, inside = "", 0, list[str]()
    for number, line in enumerate(page.splitlines(), 1):
        fence = FENCE.match(line)
        if fence and not start:
            head, start, inside = fence[1].strip(), number, []
        elif fence:
            if head != "sh":
                found.append(_block(head, start, inside))
            elif not set(inside) <= set(OURS):
                raise PageError(f"line {start}: sh that no test runs: write it as a console")
            start = 0
        elif start:
            inside.append(line)
        elif INDENTED.match(line) and not line.lstrip().startswith(("- ", "* ")):
            raise PageError(f"line {number}: an indented block, which no test runs: fence it")
    if start:
        raise PageError(f"line {start}: a block that does not end")
    return found


def _block(head: str, line: int, inside: Sequence[str]) -> Block:
    words = head.split()
    stays = "stays" in words
    if stays:
        words.remove("stays")
    machine = ""
    if "on" in words:
        at = words.index("on")
        if at + 2 != len(words):
            raise PageError(f"line {line}: `on` is followed by one machine")
        words, machine = words[:at], words[at + 1]
    match words:
        case ["console"]:
            commands = list(_commands(line, inside))
            if not commands or (stays and len(commands) > 1):
                raise PageError(f"line {line}: {len(commands)} commands in a console: one, or more that end")
            return Block(line, machine, stays=stays, commands=commands)
        case [_, file]:
            return Block(line, machine, file=file, text="".join(f"{text}\n" for text in inside))
    raise PageError(f"line {line}: {head!r} is neither a console nor a language and a file")


def _commands(line: int, inside: Sequence[str]) -> Iterator[Command]:
    command: Command | None = None
    for number, text in enumerate(inside, line + 1):
        if text.startswith(PROMPT) or text == INTERRUPT:
            if command:
                yield command
            command = Command(number, text.removeprefix(PROMPT))
        elif command is None:
            raise PageError(f"line {number}: output before the first command")
        elif text.startswith(CONTINUED) and not command.expected:
            command.text += "\n" + text.removeprefix(CONTINUED)
        else:
            command.expected.append(text)
    if command:
        yield command


def matches(expected: Sequence[str], output: str, *, so_far: bool = False) -> bool:
    """Whether the output is what stands in the page; `so_far`: whether it begins like that."""
    lines = [" ".join(line.split()) for line in expected]
    pattern = "".join(r"(?:.*\n)*?" if line == ANYTHING else _of_line(line) + r"\n" for line in lines)
    seen = "".join(f"{' '.join(line.split())}\n" for line in output.splitlines())
    return (re.match if so_far else re.fullmatch)(pattern, seen) is not None


def filled_in(command: str, answers: Sequence[str]) -> str:
    """The command with what was answered, in words, for its words that vary. PageError where nothing was like one."""

    def pasted(word: re.Match[str]) -> str:
        like = re.compile(_of_line(word[0]).replace(".*?", ".+"))
        for answer in reversed(answers):
            if like.fullmatch(answer):
                return answer
        raise PageError(f"nothing like {word[0]} has been answered before")

    return re.sub(r"[\w.:/-]*\.\.\.[\w.:/-]*", pasted, command)


def _of_line(line: str) -> str:
    return ".*?".join(map(re.escape, line.split(ANYTHING)))
