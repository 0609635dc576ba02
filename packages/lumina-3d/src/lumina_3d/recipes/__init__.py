"""Training recipes: plain functions of a frozen configuration, run by ``lumina train MODULE:FUNCTION``."""
