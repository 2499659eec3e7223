"""`cluster top`: what goes on, live, in a terminal.

`model` and `drawing` are pure: what is known and what a key means; rows of text for a size. `terminal` has the screen,
`loop` the cluster.
"""
