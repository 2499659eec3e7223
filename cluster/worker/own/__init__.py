"""Jobs that were started on this worker itself, and the door for them."""
