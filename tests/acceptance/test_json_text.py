"""JSON for people who look at it, and for programs."""

import json

from cluster.cli.json_text import json_text


def test_json_on_a_terminal_does_nothing_there() -> None:
    acting = "".join(map(chr, [*range(32), 0x7F, *range(0x80, 0xA0), 0x200E, 0x202A, 0x202E, 0x2066, 0x2069, 0x2028]))
    line = json_text({"data": acting + "é"}, seen=True)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"data": acting + "é"}
    assert json_text({"data": "é\x7f"}, seen=False) == '{"data": "é\x7f"}'
