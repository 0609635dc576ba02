"""Flag-DiT: its configuration, the network, and how it is stored."""
