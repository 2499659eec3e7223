"""What the scheduler decides, and what it knows of jobs and workers."""
