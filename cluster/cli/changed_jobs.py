"""The answer of commands that change jobs, which any number of selectors name."""

from collections.abc import Sequence

from cluster.client.types import Job


def tell_changed(jobs: Sequence[Job], counted: tuple[str, int], words: str, *, as_json: bool, quiet: bool) -> None:
    """Prints the jobs as they are now: as JSON with a count, under its name; or their numbers alone; or the words."""
    from cluster.cli.render import job_json, print_json

    if as_json:
        print_json({counted[0]: counted[1], "jobs": [job_json(job) for job in jobs]})
    elif quiet:
        print("".join(f"{job.number}\n" for job in jobs), end="")
    else:
        print(words)
