"""Files that travel with a job."""

import pytest

from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.given_files import MAX_BYTES, MAX_FILES, MAX_NAME, packed, unpacked
from cluster.domain.job.spec import JobSpec, validate

CONTENT = bytes(range(256))


def test_any_bytes_come_through() -> None:
    assert unpacked(packed("data.bin", CONTENT)) == ("data.bin", CONTENT)
    assert unpacked(packed("empty", b"")) == ("empty", b"")
    validate(JobSpec(("true",), files=(packed("data.bin", CONTENT), packed("é b", b""))))


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (("a",), None),
        (("a:x",), "no base64"),
        ((":YQ==",), "no name"),
        (("../a:YQ==",), "no name"),
        (("a\n:YQ==",), "no name"),
        ((".script:YQ==",), "hidden"),
        (("..:YQ==",), "hidden"),
        (("a" * (MAX_NAME + 1) + ":",), "the most are 200"),
        (("a:", "a:YQ=="), "two files"),
        (tuple(f"{n}:" for n in range(MAX_FILES + 1)), "the most are 100"),
        ((packed("a", bytes(MAX_BYTES)), packed("b", b"x")), "the most are 1.0 MiB"),
    ],
)
def test_what_no_attempt_could_find_is_refused(files: tuple[str, ...], why: str | None) -> None:
    spec = JobSpec(("true",), files=files)
    if why is None:
        validate(spec)
        return
    with pytest.raises(InvalidInput, match=why):
        validate(spec)


def test_a_job_that_says_where_it_runs_gets_none() -> None:
    with pytest.raises(InvalidInput, match="--cwd"):
        validate(JobSpec(("true",), cwd="/srv", files=(packed("a", b""),)))
