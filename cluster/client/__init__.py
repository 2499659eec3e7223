"""Floor 2: the public Python client, on which the command line is built."""
