"""What the command line leaves with by itself. Errors bring their own (`cluster.domain.base.errors`), and jobs theirs;
the README has a line for each, and `tests/test_exit_codes.py` compares them."""

BUG = 70  # EX_SOFTWARE of sysexits.h
IO_ERROR = 74  # EX_IOERR
BUSY = 75  # EX_TEMPFAIL
NO_ACCESS = 77  # EX_NOPERM
INTERRUPTED = 130  # 128 + SIGINT, as a shell says it
BROKEN_PIPE = 141  # 128 + SIGPIPE
