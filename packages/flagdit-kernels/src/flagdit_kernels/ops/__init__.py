"""One folder per operator."""
