"""What a worker decides: whom to obey, what to report, when there is no room."""
