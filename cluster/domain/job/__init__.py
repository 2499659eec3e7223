"""What a job is: its spec, its tasks and their states, and how people name them."""
