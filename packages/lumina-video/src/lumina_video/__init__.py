"""Films with Flag-DiT: not there yet. This package holds the name; it generates nothing so far."""

__version__ = "0.1.0"
