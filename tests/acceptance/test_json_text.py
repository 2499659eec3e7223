"""JSON for people who look at it, and for programs."""

import json

from cluster.cli.json_text import json_text
from cluster.cli.render import note_of, output_json
from cluster.client.types import Output


def test_json_on_a_terminal_does_nothing_there() -> None:
    acting = "".join(map(chr, [*range(32), 0x7F, *range(0x80, 0xA0), 0x200E, 0x202A, 0x202E, 0x2066, 0x2069, 0x2028]))
    line = json_text({"data": acting + "é"}, seen=True)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line) == {"data": acting + "é"}
    assert json_text({"data": "é\x7f"}, seen=False) == '{"data": "é\x7f"}'


def test_what_is_to_be_said_about_output_is_no_output() -> None:
    note = Output(5, 17, 2, False, b"", 0, "9 bytes are \x1b missing")
    assert note_of(note) == r"cluster: 5.17#2: 9 bytes are \x1b missing"
    assert json.loads(output_json(note)) == {"job": 5, "task": 17, "attempt": 2, "note": "9 bytes are \x1b missing"}
