"""What a worker and the scheduler say to each other, and what both keep of it."""
