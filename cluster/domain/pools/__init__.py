"""How many workers pools are to have: what is started, and what leaves."""
