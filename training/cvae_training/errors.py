"""The exceptions of cvae_training.

TrainingError
├── InputError (also ValueError)    an argument, setting, preset or data set that cannot be used
├── DataError                       a data set's files are damaged
├── RunError                        a run folder that cannot be read or written
│   └── DamagedCheckpointError      a checkpoint's files are not those that were saved
└── StoppedError                    training was asked to stop, and left a checkpoint

CheckpointWarning (UserWarning)     a damaged checkpoint was passed over for an older one
OutputWarning (UserWarning)         what a run shows beside its results could not be written
"""

__all__ = [
    "CheckpointWarning",
    "DamagedCheckpointError",
    "DataError",
    "InputError",
    "OutputWarning",
    "RunError",
    "StoppedError",
    "TrainingError",
]


class TrainingError(Exception):
    """Base of all that cvae_training raises on purpose; its text is one line."""


class InputError(TrainingError, ValueError):
    """An argument is of the wrong type, out of range or unknown."""


class DataError(TrainingError):
    """A data set's files are missing, cut short or not what they should be."""


class RunError(TrainingError):
    """A run folder is missing, incomplete, damaged or in the way."""


class DamagedCheckpointError(RunError):
    """A checkpoint's files are missing or changed."""


class StoppedError(TrainingError):
    """Training was asked to stop, saved a checkpoint and can be resumed."""


class CheckpointWarning(UserWarning):
    """A damaged checkpoint was passed over for an older one."""


class OutputWarning(UserWarning):
    """TensorBoard events or the report could not be written; the run itself is whole."""
