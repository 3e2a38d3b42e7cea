"""The settings of a run: frozen dataclasses, their checks, and the presets.

The text under a field is its `--help`; a field's name is its flag.
"""

import dataclasses
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cvae_training.errors import InputError

__all__ = ["PRESETS", "Config", "DataConfig", "ModelConfig", "ObjectiveConfig", "OptimizerConfig", "preset"]


_LARGEST = 3.4028234663852886e38  # what float32, in which training computes, holds
_WIDEST = 1 << 20
_LARGEST_SIDE = 4096
_MOST_LAYERS = 64
_MOST_HALVINGS = 6


def _require(holds: bool, rule: str, got: object) -> None:
    if not holds:
        raise InputError(f"{rule}, got {got}")


@dataclass(frozen=True)
class DataConfig:
    """Which images to learn."""

    data_set: str = "mnist-10k"
    """Name of a data set; or npz:FILE, arrays images, labels and, if you like, classes; or folder:DIR, one folder of
    pictures per class. mnist-10k, 10,000 handwritten digits, comes with the package; the others are downloaded once."""
    data_dir: str = ""
    """Folder that has the data set's files under their usual names; nothing is downloaded then."""
    image_size: tuple[int, ...] = ()
    """Height and width that the pictures of folder:DIR are resized to; by default the size that most of them have."""

    def __post_init__(self) -> None:
        _require(
            len(self.image_size) in (0, 2) and all(1 <= side <= _LARGEST_SIDE for side in self.image_size),
            f"image_size must be a height and a width of 1 to {_LARGEST_SIDE}",
            self.image_size,
        )


@dataclass(frozen=True)
class ModelConfig:
    """The network's shape."""

    network: Literal["mlp", "conv"] = "mlp"
    """mlp: dense layers alone, as in the article. conv: 3 x 3 convolutions between them and the image."""
    channels: tuple[int, ...] = (16, 32)
    """Channels of conv's convolutions, at a half, a quarter ... of the image's sides; mlp has none."""
    activation: Literal["relu", "silu"] = "relu"
    """What follows each hidden layer of the encoder and the decoder."""
    flow_layers: int = 0
    """Coupling layers of a learned prior, a flow from z ~ N(0, I) to the latents of a class; 0 for none: the latents'
    prior is N(0, I)."""
    flow_width: int = 128
    """Width of the hidden layer inside each of them."""
    latent_dim: int = 32
    """Size of the latent z."""
    encoder_dimensions: tuple[int, ...] = (256, 128, 64)
    """Widths of the encoder's layers; the last is also the width of the latent's and the class's projection."""
    decoder_dimensions: tuple[int, ...] = (128, 256)
    """Widths of the decoder's hidden layers; a last layer of one unit per pixel is added to them."""

    def __post_init__(self) -> None:
        _require(self.latent_dim >= 1, "latent_dim must be at least 1", self.latent_dim)
        _require(self.latent_dim <= _WIDEST, f"latent_dim must be at most {_WIDEST}", self.latent_dim)
        _require(
            len(self.encoder_dimensions) >= 1,
            "encoder_dimensions needs one width or more",
            self.encoder_dimensions,
        )
        _require(
            1 <= len(self.channels) <= _MOST_HALVINGS, f"channels must be 1 to {_MOST_HALVINGS} numbers", self.channels
        )
        layers = self.flow_layers
        _require(0 <= layers <= _MOST_LAYERS, f"flow_layers must be from 0 to {_MOST_LAYERS}", layers)
        _require(1 <= self.flow_width <= _WIDEST, f"flow_width must be from 1 to {_WIDEST}", self.flow_width)
        for name in ("channels", "encoder_dimensions", "decoder_dimensions"):
            widths = getattr(self, name)
            _require(all(width >= 1 for width in widths), f"{name} must all be at least 1", widths)
            _require(all(width <= _WIDEST for width in widths), f"{name} must all be at most {_WIDEST}", widths)


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is minimized: reconstruction + kl_weight * kl, in nats per image."""

    likelihood: Literal["l2", "bernoulli", "gaussian", "logistic"] = "l2"
    """l2: half the squared error, the decoder ends in a ReLU, as in the article. bernoulli: cross-entropy on logits.
    gaussian: a normal density around the sigmoid of logits, its one variance learned. logistic: the probability of one
    of 256 grey levels by a logistic distribution, its one scale learned."""
    kl_weight: float = 0.5
    """Weight of the KL divergence from the posterior to the prior."""
    kl_warmup_steps: int = 0
    """Steps over which the KL's weight grows from 0 to kl_weight, in a straight line."""
    free_bits: float = 0.0
    """Nats that each latent may hold at no cost: below it, its KL averaged over a batch does not count. With a learned
    prior, which knows no single latents' KL, this many times latent_dim for all of them together."""
    recognition_weight: float = 0.0
    """Weight of the cross-entropy of a learned prior's draws, by a classifier of latents that is trained along, which
    keeps the prior of one class off the latents of the others; 0 for no such classifier."""

    def __post_init__(self) -> None:
        for name in ("kl_weight", "free_bits", "recognition_weight"):
            value = getattr(self, name)
            _require(0 <= value <= _LARGEST, f"{name} must be finite and at least 0", value)
        _require(self.kl_warmup_steps >= 0, "kl_warmup_steps must be at least 0", self.kl_warmup_steps)


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, its learning rate, and what is done to gradients and parameters around it."""

    learning_rate: float = 1e-4
    """Learning rate, the highest one when a schedule changes it."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """constant; or linear or cosine: decay to 0 over the whole run, in a straight line or half a cosine's wave."""
    warmup_steps: int = 0
    """Steps of linear growth from 0 to the learning rate, at the start."""
    weight_decay: float = 1e-4
    """AdamW's decoupled weight decay."""
    clip_norm: float = 0.0
    """Largest norm of all gradients together, to which larger ones are scaled down; 0 for no limit."""
    ema_decay: float = 0.0
    """Decay per step of an exponential moving average of the parameters, which is evaluated and exported in their
    place; 0 for none."""
    trainable: tuple[str, ...] = ("*",)
    """Patterns of the parameters to train, by path, as decoder/* or */bias; with a ! before it, of those to leave as
    they are. The last pattern that matches decides."""

    def __post_init__(self) -> None:
        _require(
            0 < self.learning_rate <= _LARGEST,
            "learning_rate must be finite and above 0",
            self.learning_rate,
        )
        _require(self.warmup_steps >= 0, "warmup_steps must be at least 0", self.warmup_steps)
        for name in ("weight_decay", "clip_norm"):
            value = getattr(self, name)
            _require(0 <= value <= _LARGEST, f"{name} must be finite and at least 0", value)
        _require(0 <= self.ema_decay < 1, "ema_decay must be at least 0 and below 1", self.ema_decay)


@dataclass(frozen=True)
class Config:
    """All that decides a run: two runs of one config on one machine are the same bits."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    epochs: int = 60
    """Passes over the training images."""
    batch_size: int = 16
    """Images per step; what does not fill a batch at an epoch's end is left out of that epoch."""
    seed: int = 0xFFFF
    """Seed of the parameters, the order of the images and the posterior's noise."""
    start_from: str = ""
    """A run folder whose parameters to begin with, of the same network."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """What layers compute in; parameters, losses and the optimizer are float32 in any case."""
    rounded_to: Literal["float32", "float16"] = "float32"
    """What the parameters that are evaluated and exported are rounded to. They are float32 numbers either way, but
    float16's pack into half the space, in an archive or a repository."""
    checkpoint_epochs: int = 10
    """Epochs between checkpoints; there is always one at the end."""
    keep_checkpoints: int = 2
    """How many of the last checkpoints to keep, beside the one with the lowest held-out loss."""
    patience: int = 0
    """Stop after this many epochs without a lower held-out loss, and use the best checkpoint; 0 to go on to the end."""

    def __post_init__(self) -> None:
        _require(
            self.model.flow_layers > 0 or self.objective.recognition_weight == 0,
            "recognition_weight needs a learned prior, flow_layers of 1 or more, to be above 0",
            self.objective.recognition_weight,
        )
        _require(self.epochs >= 1, "epochs must be at least 1", self.epochs)
        _require(self.batch_size >= 1, "batch_size must be at least 1", self.batch_size)
        _require(0 <= self.seed < 2**32, "seed must be from 0 to 2^32 - 1", self.seed)
        _require(self.checkpoint_epochs >= 1, "checkpoint_epochs must be at least 1", self.checkpoint_epochs)
        _require(self.keep_checkpoints >= 1, "keep_checkpoints must be at least 1", self.keep_checkpoints)
        _require(self.patience >= 0, "patience must be at least 0", self.patience)

    def to_dict(self) -> dict[str, Any]:
        """The settings as nested dictionaries that JSON can hold."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Config":
        """Read back what `to_dict` gave; InputError names the field that is missing, unknown or of a wrong type."""
        return _read(cls, values, "")


_DECAYING = OptimizerConfig(learning_rate=2e-3, schedule="cosine", warmup_steps=200, ema_decay=0.998)
_SMALL = ModelConfig(
    network="conv",
    channels=(8, 16),
    activation="silu",
    flow_layers=6,
    flow_width=96,
    latent_dim=20,
    encoder_dimensions=(256,),
    decoder_dimensions=(128,),
)
_LARGE = replace(_SMALL, channels=(16, 32), flow_layers=16, flow_width=256, latent_dim=24)
_FASHION = DataConfig("fashion-mnist")

# training/NOTES.md has what led to the settings of all but the article's.
PRESETS: dict[str, Config] = {
    # The article's own settings. Its 10 epochs of 60,000 images are 60 epochs of mnist-10k's 8,500.
    "article": Config(),
    # The best picture in a few minutes: convolutions, and a learned prior.
    "best": Config(
        model=_LARGE,
        objective=ObjectiveConfig(likelihood="bernoulli", kl_weight=0.2, recognition_weight=0.2),
        optimizer=_DECAYING,
        epochs=50,
        batch_size=128,
        rounded_to="float16",
    ),
    # Clothes have more detail than digits, and there are seven times as many: more latents that hold more, longer.
    "best-fashion": Config(
        data=_FASHION,
        model=replace(_LARGE, channels=(24, 48), latent_dim=64, decoder_dimensions=(192,)),
        objective=ObjectiveConfig(likelihood="bernoulli", kl_weight=0.03, recognition_weight=0.02),
        optimizer=replace(_DECAYING, ema_decay=0.999),
        epochs=24,
        batch_size=128,
        rounded_to="float16",
    ),
    # The best picture in a minute on 2 cores, from a decoder that costs 3 times the article's.
    "fast": Config(
        model=_SMALL,
        objective=ObjectiveConfig(likelihood="bernoulli", kl_weight=0.4, recognition_weight=0.7),
        optimizer=_DECAYING,
        epochs=40,
        batch_size=128,
    ),
    "fast-fashion": Config(
        data=_FASHION,
        model=replace(_SMALL, latent_dim=32),
        objective=ObjectiveConfig(likelihood="bernoulli", kl_weight=0.1, recognition_weight=0.1),
        optimizer=_DECAYING,
        epochs=6,
        batch_size=128,
    ),
}


def preset(name: str) -> Config:
    """The preset of that name; InputError lists the names there are."""
    if name not in PRESETS:
        raise InputError(f"unknown preset {name!r}: there are {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def _read(cls: type, values: object, path: str) -> Any:
    if not isinstance(values, dict):
        raise InputError(f"{path.removesuffix('.') or 'config'} must be an object, got {values!r}")
    hints = get_type_hints(cls)
    if surplus := sorted(values.keys() - hints.keys()):
        raise InputError(f"unknown setting {path}{surplus[0]}")
    arguments: dict[str, Any] = {}
    for name, hint in hints.items():
        if name not in values:
            raise InputError(f"setting {path}{name} is missing")
        value = values[name]
        if dataclasses.is_dataclass(hint):
            arguments[name] = _read(hint, value, f"{path}{name}.")  # pyright: ignore[reportArgumentType]
        else:
            arguments[name] = _checked(hint, value, f"{path}{name}")
    return cls(**arguments)


def _checked(hint: Any, value: Any, name: str) -> Any:
    if get_origin(hint) is tuple:
        if isinstance(value, list | tuple):
            return tuple(_checked(get_args(hint)[0], item, name) for item in value)
    elif get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
    elif hint is float and type(value) in (int, float) and abs(value) <= _LARGEST:
        return float(value)
    elif type(value) is hint:
        return value
    expected = " or ".join(get_args(hint)) if get_origin(hint) is Literal else getattr(hint, "__name__", hint)
    raise InputError(f"setting {name} must be {expected}, got {value!r}")
