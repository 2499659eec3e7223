"""What stands in output where some of it is left out: one line, whoever left it out and wherever it is read."""


def gap_line(count: int) -> bytes:
    """Says that so many bytes were written here and are not shown."""
    return b"\n[cluster: %d bytes left out here]\n" % count
