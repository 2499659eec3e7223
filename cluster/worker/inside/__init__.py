"""What jobs find of the cluster on their worker: the program on their PATH, and a socket by which they may call."""
