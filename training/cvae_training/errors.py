"""The exceptions of cvae_training.

TrainingError
├── InputError (also ValueError)    an argument, setting, preset or data set that cannot be used
├── DataError                       a data set's files are damaged
└── RunError                        a run folder that cannot be read or written
"""

__all__ = ["DataError", "InputError", "RunError", "TrainingError"]


class TrainingError(Exception):
    """Base of all that cvae_training raises on purpose; its text is one line."""


class InputError(TrainingError, ValueError):
    """An argument is of the wrong type, out of range or unknown."""


class DataError(TrainingError):
    """A data set's files are missing, cut short or not what they should be."""


class RunError(TrainingError):
    """A run folder is missing, incomplete, damaged or in the way."""
