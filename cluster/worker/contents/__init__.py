"""What jobs on this worker find and read: fetched from the scheduler once, kept in a cache with a limit."""
