"""Train a class-conditional variational autoencoder in JAX."""

from cvae_training.bound_model import BoundModel, load
from cvae_training.config import PRESETS, Config, preset
from cvae_training.data import DataSet, Split, data_set_names, load_data_set
from cvae_training.errors import (
    CheckpointWarning,
    DamagedCheckpointError,
    DataError,
    InputError,
    OutputWarning,
    RunError,
    StoppedError,
    TrainingError,
)
from cvae_training.model import Cvae, FeedForward, build_model
from cvae_training.run import Run, load_run
from cvae_training.train import TrainState, train
from cvae_training.training_run import create_run, resume_run

__all__ = [
    "PRESETS",
    "BoundModel",
    "CheckpointWarning",
    "Config",
    "Cvae",
    "DamagedCheckpointError",
    "DataError",
    "DataSet",
    "FeedForward",
    "InputError",
    "OutputWarning",
    "Run",
    "RunError",
    "Split",
    "StoppedError",
    "TrainState",
    "TrainingError",
    "build_model",
    "create_run",
    "data_set_names",
    "load",
    "load_data_set",
    "load_run",
    "preset",
    "resume_run",
    "train",
]
