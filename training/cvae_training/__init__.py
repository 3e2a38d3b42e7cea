"""Train a class-conditional variational autoencoder in JAX."""

from cvae_training.config import PRESETS, Config, preset
from cvae_training.data import DataSet, Split, data_set_names, load_data_set
from cvae_training.errors import DataError, InputError, RunError, TrainingError
from cvae_training.model import Cvae, FeedForward, build_model
from cvae_training.run import Run, create_run, load_run
from cvae_training.train import TrainState, train

__all__ = [
    "PRESETS",
    "Config",
    "Cvae",
    "DataError",
    "DataSet",
    "FeedForward",
    "InputError",
    "Run",
    "RunError",
    "Split",
    "TrainState",
    "TrainingError",
    "build_model",
    "create_run",
    "data_set_names",
    "load_data_set",
    "load_run",
    "preset",
    "train",
]
