"""Text of somebody else's on the way to a terminal or a log."""


def printable(text: str) -> str:
    """The text in one line that shows all of it: what would move the cursor, colour or hide something, ring or begin
    a new line is written as an escape (`\\x1b`, `\\n`). Job names, commands and reasons may hold any character."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
