"""Join tokens: every way to spoil one has its own words; every reason to keep its bearer out too."""

from dataclasses import replace

import pytest

from cluster.domain.base.errors import InvalidInput, NotAuthenticated
from cluster.domain.trust.identity import Role
from cluster.domain.trust.tokens import JoinToken, TokenRecord, admit, check_addresses, parse_join_token, split_address

PIN = "ab" * 32
SECRET = "abcdefghijklmnopqrstuvwxyzABC-_9"
RECORD = TokenRecord("t1", "hash", Role.WORKER, "", created=100, expires=200, uses_left=2)


@pytest.mark.parametrize(
    "address", ["box:50001", "10.0.0.1:50001", "a.b.example:1", "[::1]:50001", "[fe80::1%eth0]:65535"]
)
def test_a_token_survives_writing_and_reading(address: str) -> None:
    token = JoinToken(address, PIN, SECRET)
    assert parse_join_token(f"  {token}\n") == token
    assert SECRET not in repr(token)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "starts with ''"),
        ("hello", "starts with 'hello'"),
        (f"C2.h:1.{PIN}.{SECRET}", "starts with 'C2'"),
        ("C1.box:50001", "incomplete"),
        (f"C1.10.0.0.1:50001.{PIN}", "the pin"),
        (f"C1.box:50001.{PIN[:-1]}.{SECRET}", "the pin"),
        (f"C1.box:50001.{PIN.upper()}.{SECRET}", "the pin"),
        (f"C1.box:50001.{PIN}.{SECRET[:-1]}", "31 characters"),
        (f"C1.box:50001.{PIN}.{SECRET[:-1]}+", "a character that no token has"),
        (f"C1.box.{PIN}.{SECRET}", "no port"),
        (f"C1.box:0.{PIN}.{SECRET}", "port '0'"),
        (f"C1.box:65536.{PIN}.{SECRET}", "port '65536'"),
        (f"C1.box:x.{PIN}.{SECRET}", "port 'x'"),
        (f"C1.:50001.{PIN}.{SECRET}", "no usable host"),
        (f"C1.::1:50001.{PIN}.{SECRET}", "without brackets"),
        (f"C1.[box]:50001.{PIN}.{SECRET}", "no IPv6 address"),
        (f"C1.a b:50001.{PIN}.{SECRET}", "no usable host"),
    ],
)
def test_a_malformed_token_says_what_is_wrong_with_it(text: str, wrong: str) -> None:
    with pytest.raises(InvalidInput, match=r"^[^\n]*$") as caught:
        parse_join_token(text)
    assert wrong in str(caught.value)
    assert SECRET not in str(caught.value)


def test_brackets_are_no_part_of_the_host() -> None:
    assert split_address("[::1]:5") == ("::1", 5)
    assert split_address("box:5") == ("box", 5)


def test_each_use_is_counted_until_none_is_left() -> None:
    first = admit({"hash": RECORD}, "hash", 150)
    assert first == replace(RECORD, uses_left=1)
    second = admit({"hash": first}, "hash", 150)
    with pytest.raises(NotAuthenticated, match="t1 is used up"):
        admit({"hash": second}, "hash", 150)


def test_a_token_without_limit_stays_as_it_is() -> None:
    record = replace(RECORD, uses_left=None)
    assert admit({"hash": record}, "hash", 150) is record


def test_a_token_ends_at_its_time_and_not_before() -> None:
    admit({"hash": RECORD}, "hash", 199.9)
    with pytest.raises(NotAuthenticated, match="t1 has expired"):
        admit({"hash": RECORD}, "hash", 200)


def test_a_revoked_or_unknown_token_lets_nobody_in() -> None:
    with pytest.raises(NotAuthenticated, match="t1 was revoked"):
        admit({"hash": replace(RECORD, revoked=120)}, "hash", 150)
    with pytest.raises(NotAuthenticated, match="not known"):
        admit({"hash": RECORD}, "hashx", 150)


@pytest.mark.parametrize(
    ("role", "user"), [(Role.SCHEDULER, ""), (Role.ATTEMPT, ""), (Role.ADMIN, ""), (Role.WORKER, "a")]
)
def test_a_token_grants_only_what_can_be_granted(role: Role, user: str) -> None:
    with pytest.raises(InvalidInput):
        replace(RECORD, role=role, user=user)


def test_several_addresses_stand_in_one_text() -> None:
    assert check_addresses("a:1, [::1]:2,a:1") == ("a:1", "[::1]:2")
    for wrong in ("a:1,", "a:1,b", "a:1,0.0.0.0:2"):
        with pytest.raises(InvalidInput):
            check_addresses(wrong)
