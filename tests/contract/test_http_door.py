"""Where a door is said to be that `cluster up --http` has opened."""

import pytest

from cluster.cli.http_door import BEHIND_PROXY, LOOPBACK, full_listen, where_it_serves


@pytest.mark.parametrize(
    ("listen", "plain", "line"),
    [
        ("127.0.0.1:5000", None, "HTTP on https://127.0.0.1:5000"),
        ("127.0.0.1:5000", LOOPBACK, "HTTP on http://127.0.0.1:5000"),
        (":5000", BEHIND_PROXY, "HTTP on http://0.0.0.0:5000"),
        ("127.0.0.1:0", None, ""),
    ],
)
def test_it_is_told_as_one_opens_it(listen: str, plain: str | None, line: str) -> None:
    assert where_it_serves(full_listen(listen, plain), plain) == line
