"""Files that come with jobs and that jobs leave: what they are, and what is right about them."""
