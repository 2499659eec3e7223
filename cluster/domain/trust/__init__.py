"""Who is who, who is let in, and for how long."""
