"""The pages are played with the one file, as the acceptance tests are."""

from tests.acceptance.conftest import cluster_file

__all__ = ["cluster_file"]
