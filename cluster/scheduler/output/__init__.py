"""What jobs wrote: where it is, kept files, and reading it in order."""
