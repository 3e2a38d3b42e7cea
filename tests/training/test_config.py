import copy
import dataclasses
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_training import PRESETS, Config, InputError, preset
from cvae_training.config import DataConfig, ModelConfig, ObjectiveConfig, OptimizerConfig

WIDTHS = st.lists(st.integers(1, 10**4), max_size=4).map(tuple)
POSITIVE = st.floats(1e-30, 1e30)
NON_NEGATIVE = st.floats(0, 1e30)
CONFIGS = st.builds(
    Config,
    data=st.builds(
        DataConfig,
        data_set=st.text(),
        data_dir=st.text(),
        image_size=st.just(()) | st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    ),
    model=st.builds(
        ModelConfig,
        network=st.sampled_from(["mlp", "conv"]),
        channels=WIDTHS.filter(bool),  # at most 4 of 6
        activation=st.sampled_from(["relu", "silu"]),
        flow_layers=st.integers(0, 64),
        flow_width=st.integers(1, 10**4),
        latent_dim=st.integers(1, 10**4),
        encoder_dimensions=WIDTHS.filter(bool),
        decoder_dimensions=WIDTHS,
    ),
    objective=st.builds(
        ObjectiveConfig, likelihood=st.sampled_from(["l2", "bernoulli", "gaussian", "logistic"]), kl_weight=NON_NEGATIVE
    ),
    optimizer=st.builds(
        OptimizerConfig,
        learning_rate=POSITIVE,
        schedule=st.sampled_from(["constant", "cosine"]),
        warmup_steps=st.integers(0, 10**9),
        weight_decay=NON_NEGATIVE,
    ),
    epochs=st.integers(1, 10**4),
    batch_size=st.integers(1, 10**4),
    seed=st.integers(0, 2**32 - 1),
)


def leaves(values: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, value in values.items():
        yield from leaves(value, (*path, name)) if isinstance(value, dict) else [(*path, name)]


LEAVES = list(leaves(asdict(Config())))


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """The default settings as a dictionary, one of them changed; Ellipsis removes it."""
    values = copy.deepcopy(Config().to_dict())
    group = values
    for name in path[:-1]:
        group = group[name]
    if value is ...:
        del group[path[-1]]
    else:
        group[path[-1]] = value
    return values


def test_the_preset_article_has_the_articles_values() -> None:
    assert asdict(preset("article")) == {
        "data": {"data_set": "mnist-10k", "data_dir": "", "image_size": ()},
        "model": {
            "network": "mlp",
            "channels": (16, 32),  # of convolutions, which mlp has not
            "activation": "relu",
            "flow_layers": 0,
            "flow_width": 128,  # of a prior that it has not
            "latent_dim": 32,
            "encoder_dimensions": (256, 128, 64),
            "decoder_dimensions": (128, 256),
        },
        "objective": {
            "likelihood": "l2",
            "kl_weight": 0.5,
            "kl_warmup_steps": 0,
            "free_bits": 0.0,
            "recognition_weight": 0.0,
        },
        "optimizer": {
            "learning_rate": 1e-4,
            "schedule": "constant",
            "warmup_steps": 0,
            "weight_decay": 1e-4,  # optax.adamw's default, which the article takes
            "clip_norm": 0.0,
            "ema_decay": 0.0,
            "trainable": ("*",),
        },
        "epochs": 60,
        "batch_size": 16,
        "seed": 0xFFFF,
        "start_from": "",
        "compute_dtype": "float32",
        "rounded_to": "float32",
        "checkpoint_epochs": 10,
        "keep_checkpoints": 2,
        "patience": 0,
    }


def test_there_are_presets_for_digits_and_for_clothes() -> None:
    assert sorted(PRESETS) == ["article", "best", "best-fashion", "fast", "fast-fashion"]
    assert {name: config.data.data_set for name, config in PRESETS.items()} == {
        "article": "mnist-10k",
        "best": "mnist-10k",
        "best-fashion": "fashion-mnist",
        "fast": "mnist-10k",
        "fast-fashion": "fashion-mnist",
    }


def test_an_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(
        InputError, match=r"^unknown preset 'slow': there are article, best, best-fashion, fast, fast-f"
    ):
        preset("slow")


@settings(deadline=None)
@given(CONFIGS)
def test_a_config_survives_json(config: Config) -> None:
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_a_config_can_be_hashed_and_not_changed() -> None:
    assert hash(Config()) == hash(Config())
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().epochs = 3


def test_a_setting_has_one_name_and_so_one_flag() -> None:
    names = [path[-1] for path in LEAVES]
    assert len(names) == len(set(names)) == 32


@pytest.mark.parametrize(
    ("cls", "name", "value", "message"),
    [
        (DataConfig, "image_size", (28,), "image_size must be a height and a width of 1 to 4096, got (28,)"),
        (DataConfig, "image_size", (28, 0), "image_size must be a height and a width of 1 to 4096, got (28, 0)"),
        (DataConfig, "image_size", (4097, 9), "image_size must be a height and a width of 1 to 4096, got (4097, 9)"),
        (ModelConfig, "latent_dim", 0, "latent_dim must be at least 1, got 0"),
        (ModelConfig, "latent_dim", 2**20 + 1, "latent_dim must be at most 1048576, got 1048577"),
        (ModelConfig, "decoder_dimensions", (8, 2**31), "decoder_dimensions must all be at most 1048576, got (8, 2147"),
        (ModelConfig, "encoder_dimensions", (), "encoder_dimensions needs one width or more, got ()"),
        (ModelConfig, "encoder_dimensions", (8, 0), "encoder_dimensions must all be at least 1, got (8, 0)"),
        (ModelConfig, "decoder_dimensions", (-3,), "decoder_dimensions must all be at least 1, got (-3,)"),
        (ModelConfig, "channels", (), "channels must be 1 to 6 numbers, got ()"),
        (ModelConfig, "channels", (8,) * 7, "channels must be 1 to 6 numbers, got (8, 8,"),
        (ModelConfig, "channels", (8, 0), "channels must all be at least 1, got (8, 0)"),
        (ModelConfig, "flow_layers", -1, "flow_layers must be from 0 to 64, got -1"),
        (ModelConfig, "flow_layers", 65, "flow_layers must be from 0 to 64, got 65"),
        (ModelConfig, "flow_width", 0, "flow_width must be from 1 to 1048576, got 0"),
        (ObjectiveConfig, "kl_weight", -0.1, "kl_weight must be finite and at least 0, got -0.1"),
        (ObjectiveConfig, "kl_weight", 1e39, "kl_weight must be finite and at least 0, got 1e+39"),
        (ObjectiveConfig, "kl_weight", float("inf"), "kl_weight must be finite and at least 0, got inf"),
        (ObjectiveConfig, "kl_weight", float("nan"), "kl_weight must be finite and at least 0, got nan"),
        (OptimizerConfig, "learning_rate", 0.0, "learning_rate must be finite and above 0, got 0.0"),
        (OptimizerConfig, "learning_rate", float("inf"), "learning_rate must be finite and above 0, got inf"),
        (OptimizerConfig, "learning_rate", float("nan"), "learning_rate must be finite and above 0, got nan"),
        (OptimizerConfig, "warmup_steps", -1, "warmup_steps must be at least 0, got -1"),
        (OptimizerConfig, "weight_decay", -1e-9, "weight_decay must be finite and at least 0, got -1e-09"),
        (OptimizerConfig, "weight_decay", float("inf"), "weight_decay must be finite and at least 0, got inf"),
        (Config, "epochs", 0, "epochs must be at least 1, got 0"),
        (Config, "batch_size", 0, "batch_size must be at least 1, got 0"),
        (Config, "seed", -1, "seed must be from 0 to 2^32 - 1, got -1"),
        (Config, "seed", 2**32, "seed must be from 0 to 2^32 - 1, got 4294967296"),
    ],
)
def test_a_value_out_of_range_is_refused(cls: type, name: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        cls(**{name: value})


def test_no_hidden_decoder_layer_is_allowed() -> None:
    assert ModelConfig(decoder_dimensions=()).decoder_dimensions == ()


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
def test_a_missing_setting_is_named(path: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=f"^setting {re.escape('.'.join(path))} is missing$"):
        Config.from_dict(changed(path, ...))


@pytest.mark.parametrize("path", [("depth",), ("model", "depth"), ("optimizer", "depth")], ids=".".join)
def test_an_unknown_setting_is_named(path: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=f"^unknown setting {re.escape('.'.join(path))}$"):
        Config.from_dict(changed(path, 3))


@pytest.mark.parametrize("path", LEAVES, ids=".".join)
@pytest.mark.parametrize("value", [None, True, {}, [2.5]], ids=repr)
def test_a_setting_of_a_wrong_type_is_named(path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(InputError, match=f"^setting {re.escape('.'.join(path))} must be .*, got "):
        Config.from_dict(changed(path, value))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("epochs",), 2.0, "setting epochs must be int, got 2.0"),
        (("seed",), "7", "setting seed must be int, got '7'"),
        (("objective", "kl_weight"), "1", "setting objective.kl_weight must be float, got '1'"),
        (("model", "encoder_dimensions"), [8, "x"], "setting model.encoder_dimensions must be int, got 'x'"),
        (("data", "data_set"), 3, "setting data.data_set must be str, got 3"),
    ],
)
def test_a_wrong_types_message_tells_what_it_got(path: tuple[str, ...], value: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Config.from_dict(changed(path, value))


@pytest.mark.parametrize(
    ("path", "choices"),
    [(("objective", "likelihood"), ("l2", "bernoulli")), (("optimizer", "schedule"), ("constant", "cosine"))],
)
def test_an_unknown_choices_message_lists_the_choices(path: tuple[str, ...], choices: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match=".*".join(choices) + ".*got 'x'"):
        Config.from_dict(changed(path, "x"))


@pytest.mark.parametrize("group", ["data", "model", "objective", "optimizer"])
def test_a_group_that_is_no_object_is_named(group: str) -> None:
    with pytest.raises(InputError, match=rf"^{group} must be an object, got \[\]$"):
        Config.from_dict(changed((group,), []))


def test_a_config_that_is_no_object_is_refused() -> None:
    with pytest.raises(InputError, match=r"^config must be an object, got 3$"):
        Config.from_dict(3)


def test_a_whole_number_is_a_float() -> None:
    assert Config.from_dict(changed(("objective", "kl_weight"), 2)).objective.kl_weight == 2.0


def test_a_number_too_large_for_a_float_is_refused() -> None:
    with pytest.raises(InputError, match=r"objective\.kl_weight"):
        Config.from_dict(changed(("objective", "kl_weight"), 10**400))
