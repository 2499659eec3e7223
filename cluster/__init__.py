"""cluster: one file that turns Linux machines into one secure computer for running commands."""

__version__ = "0.1.0"
