"""Foreign checkpoints and conventions, converted once, where they come in."""
