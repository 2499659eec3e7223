"""The files that go with jobs of the command line: which they are, and that they are sent."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cluster.cli.remarks import remark
from cluster.domain.base.errors import InvalidInput
from cluster.domain.job.spec import JobSpec
from cluster.domain.job.upload_options import STDIN, UPLOAD

if TYPE_CHECKING:
    from cluster.client.aio import AsyncClient
    from cluster.client.discovery import Endpoint
    from cluster.client.files.job_files import JobFiles
    from cluster.client.submitting import Uploaded


def files_of(options: Mapping[str, Any], *, refuses: bool = False) -> "JobFiles | None":
    """What options name; None: nothing. `refuses`: somebody wants that there is no stdin. InvalidInput."""
    upload, stdin = tuple(options.get(UPLOAD.name) or ()), options.get(STDIN.name)
    if stdin and refuses:
        raise InvalidInput(f"--stdin {stdin} and --no-stdin exclude each other: give one")
    if not upload and not stdin:
        return None
    from cluster.client.files.job_files import JobFiles

    return JobFiles(upload, stdin=sys.stdin.buffer if stdin == "-" else stdin)


def with_given_stdin(endpoint: "Endpoint", files: "JobFiles | None") -> "JobFiles | None":
    """With what is fed to us, where the job is to have no other stdin. A job that calls another hands its own stdin to
    none: only users send files."""
    from cluster.cli.given_stdin import given_stdin

    if endpoint.inside is not None or (files and files.stdin is not None) or (fed := given_stdin()) is None:
        return files
    if endpoint.is_worker:
        if fed.read(1):
            remark("a worker that stands alone gives its jobs nothing to read: they run without stdin")
        return files
    from cluster.client.files.job_files import JobFiles

    return (files or JobFiles())._replace(stdin=fed)


async def with_files(
    cluster: "AsyncClient", specs: Sequence[JobSpec], files: "Sequence[JobFiles | None]", *, quiet: bool
) -> "Uploaded | None":
    """Sends what goes with these jobs, and tells how that goes. None: nothing does."""
    if not any(files):
        return None
    from cluster.cli.upload_progress import UploadProgress
    from cluster.client.files.job_files import JobFiles

    progress = UploadProgress(quiet)
    try:
        return await cluster.upload(specs, [each or JobFiles() for each in files], progress)
    except asyncio.CancelledError:  # by Ctrl-C
        remark("interrupted while files were sent: nothing was handed in")
        raise
    finally:
        progress.close()
