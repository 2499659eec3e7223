"""A token proves one attempt, and can be made by nobody who has not the secret."""

import pytest

from cluster.domain.base.ids import AttemptKey
from cluster.domain.launcher.attempt_tokens import LONGEST, SECRET_BYTES, attempt_of, key_of_job, token_of

SECRET = bytes(range(SECRET_BYTES))
ATTEMPT = AttemptKey(5, 17, 2)
TOKEN = token_of(key_of_job(SECRET, 5), ATTEMPT)


def test_a_token_names_its_attempt() -> None:
    assert attempt_of(TOKEN, SECRET) == ATTEMPT
    assert TOKEN.startswith("5.17.2.")
    longest = token_of(key_of_job(SECRET, 2**32), AttemptKey(2**32, 10**8, 10**6))
    assert len(longest) < LONGEST


def test_no_other_attempt_job_or_worker_has_the_same() -> None:
    others = [
        token_of(key_of_job(SECRET, 5), AttemptKey(5, 17, 1)),
        token_of(key_of_job(SECRET, 5), AttemptKey(5, 1, 2)),
        token_of(key_of_job(SECRET, 6), AttemptKey(6, 17, 2)),
        token_of(key_of_job(bytes(SECRET_BYTES), 5), ATTEMPT),
    ]
    assert len({TOKEN.rpartition(".")[2], *(other.rpartition(".")[2] for other in others)}) == 5
    assert attempt_of(others[3], SECRET) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5.17.2",
        TOKEN[:-1],
        TOKEN[:-1] + ("0" if TOKEN[-1] != "0" else "1"),
        TOKEN.replace("5.17.2", "5.17.3"),
        TOKEN.replace("5.17.2", "6.17.2"),
        TOKEN.replace("5.17.2", "5.17.²"),
        TOKEN.upper(),
        f"{TOKEN} ",
        f"-{TOKEN}",
        f"0{TOKEN}",
        "9" * 200 + ".1.1.x",
        f"{TOKEN}.{TOKEN}",
        "\udcff" * 4,
    ],
)
def test_what_is_no_token_is_nobodys(text: str) -> None:
    assert attempt_of(text, SECRET) is None
