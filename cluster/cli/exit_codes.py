"""Exit codes of the command line's own. Errors bring theirs (`cluster.domain.base.errors`), and so do jobs. The README
has a line for each, and `tests/test_exit_codes.py` compares them."""

BUG = 70  # EX_SOFTWARE of sysexits.h
IO_ERROR = 74  # EX_IOERR
BUSY = 75  # EX_TEMPFAIL
NO_ACCESS = 77  # EX_NOPERM
INTERRUPTED = 130  # 128 + SIGINT, as a shell says it
BROKEN_PIPE = 141  # 128 + SIGPIPE
