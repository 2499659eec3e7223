"""Text of somebody else's on the way to a terminal or a log."""


def printable(text: str) -> str:
    """The text in one line that shows all of it: what would move the cursor, colour or hide something, ring or begin
    a new line is written as an escape (`\\x1b`, `\\n`). Job names, commands and reasons may hold any character."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def quoted(text: str, most: int = 200) -> str:
    """The text in quotes, as Python writes it; of one with more than `most` characters the beginning, and how many
    there are."""
    return repr(text) if len(text) <= most else f"{text[:most]!r}… ({len(text)} characters)"
