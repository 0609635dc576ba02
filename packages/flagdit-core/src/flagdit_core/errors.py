"""The one tree of errors. A message says what was expected, what came, and what to do."""


class FlagDiTError(Exception):
    """Any error that this project raises on purpose."""


class ConfigError(FlagDiTError, ValueError):
    """An option, a setting or a combination of them that cannot be used."""


class ShapeError(FlagDiTError, ValueError):
    """A tensor, or a requested size, whose shape does not fit."""


class CheckpointError(FlagDiTError):
    """Weights or a model folder that are missing, incomplete, foreign or unsafe to read."""


class CodecError(FlagDiTError):
    """Media that cannot be encoded or decoded."""


class DataError(FlagDiTError):
    """Training or evaluation data that is missing, malformed or corrupted."""


class OutputError(FlagDiTError):
    """A result that cannot be written where it was asked for."""


class BackendUnavailableError(FlagDiTError):
    """A package, kernel or device that was asked for and is not there."""


class OutOfMemoryError(FlagDiTError):
    """The device has too little memory for what was asked."""


class StrictError(FlagDiTError):
    """Something that would only be reported, met under ``strict``."""


class CancelledError(FlagDiTError):
    """Raised from a step callback to stop sampling."""
