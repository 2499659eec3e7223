"""The files that attempts write: read without waiting, followed, sent to the scheduler."""
