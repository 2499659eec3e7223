"""What the operator of a scheduler allows of notices."""

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.scheduler.notices.targets import NoticeTargets


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("https://hooks.example/a", True),
        ("https://HOOKS.example:443/", True),
        ("https://hooks.example", True),
        ("http://hooks.example/a", False),
        ("https://hooks.example:444/a", False),
        ("https://hooks.example.evil/a", False),
        ("https://evil/hooks.example/a", False),
        ("https://hooks.example@evil/a", False),
        ("https://other/only", True),
        ("https://other/only/more", False),
        ("https://other/only?x", False),
        ("https://below/a/b", True),
        ("https://below/ab", False),
        ("https://below/a/../b", False),
        ("command:mail", True),
        ("command:rm", False),
    ],
)
def test_only_what_was_allowed_is(url: str, is_allowed: bool) -> None:
    urls = ("https://hooks.example/*", "https://other/only", "https://below/a/*")
    targets = NoticeTargets.configured(urls, ("mail=/usr/bin/mail-me -s 'a job'",))
    assert targets.allows(url) is is_allowed
    assert targets.commands == {"mail": ("/usr/bin/mail-me", "-s", "a job")}


@pytest.mark.parametrize(
    ("urls", "commands", "error"),
    [
        (("https://hooks.exa*",), (), "ends within the host"),
        (("*",), (), "use http://HOST"),
        ((), ("mail",), "use NAME=/PATH"),
        ((), ("mail=mail-me",), "use NAME=/PATH"),
        ((), ("mail=/bin/x 'y",), "No closing quotation"),
    ],
)
def test_what_can_not_be_meant_is_refused(urls: tuple[str, ...], commands: tuple[str, ...], error: str) -> None:
    with pytest.raises(InvalidInput, match=error):
        NoticeTargets.configured(urls, commands)
