"""What the operator of a scheduler allows of notices."""

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.scheduler.notices.targets import NoticeTargets, receiver_of


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
        ("https://below/a/..%2fb", False),
        ("https://below/a/..%5Cb", False),
        ("https://below/a/..;x/b", False),
        ("https://below/a/%252e%252e/b", False),
        ("https://below/a/c?d=%2fe", True),
        ("https://other/group%2Fproject", True),
        ("command:mail", True),
        ("command:rm", False),
    ],
)
def test_only_what_was_allowed_is(url: str, is_allowed: bool) -> None:
    urls = ("https://hooks.example/*", "https://other/only", "https://other/group%2Fproject", "https://below/a/*")
    targets = NoticeTargets.configured(urls, ("mail=/usr/bin/mail-me -s 'a job'",))
    assert targets.allows(url) is is_allowed
    assert targets.commands == {"mail": ("/usr/bin/mail-me", "-s", "a job")}


def test_a_receiver_is_one_however_it_is_spelt() -> None:
    """The bounds of a receiver would else be those of a spelling."""
    same = ("http://hooks.example/a", "HTTP://hooks.EXAMPLE:80/b", "http://hooks.example:080/c?d")
    assert len({receiver_of(url) for url in same}) == 1
    others = ("https://hooks.example/a", "http://hooks.example:81/a", "command:mail", "command:post")
    assert len({receiver_of(url) for url in (same[0], *others)}) == 5


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
