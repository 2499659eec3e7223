"""Where notices may go."""

import pytest

from cluster.domain.job.notice_options import targets_of, wrong_url
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.states import TaskState


def test_whoever_asked_is_told_of_what_was_asked() -> None:
    both = JobSpec(("true",), notify="https://h/x", notify_cmd="mail")
    assert targets_of(both, TaskState.SUCCEEDED) == ("https://h/x", "command:mail")
    failures = JobSpec(("true",), notify="https://h/x", notify_on="fail")
    assert targets_of(failures, TaskState.SUCCEEDED) == ()
    assert targets_of(failures, TaskState.FAILED) == targets_of(failures, TaskState.CANCELLED) == ("https://h/x",)
    assert targets_of(JobSpec(("true",)), TaskState.FAILED) == ()


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "h",
            "ftp://h/",
            "http:///x",
            "http://u@h/",
            "http://u:p@h/",
            "http://h/#x",
            "http://h/a b",
            "http://h/\n",
        ),
        *("http://h:99999/", "http://h/a/../b", "http://h/%2e%2E/b", "http://h\\@i/", "http://ü/"),
        *("http://h/a/..;b/c", "http://[:::::]/", "http://[1]/", "http://[1.2.3.4]/"),
        f"http://h/{'x' * 2000}",
    ],
)
def test_what_is_no_url_for_notices_is_told(url: str) -> None:
    assert wrong_url(url)


def test_the_usual_urls_are_right() -> None:
    for url in ("http://h", "https://hooks.example/a/b?c=d&e", "http://[::1]:8080/x", "http://127.0.0.1:1/"):
        assert wrong_url(url) == ""
