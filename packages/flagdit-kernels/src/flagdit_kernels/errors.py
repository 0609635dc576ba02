"""Errors of this package."""


class BackendUnavailableError(RuntimeError):
    """A backend that was asked for by name cannot run this operator on this device."""
