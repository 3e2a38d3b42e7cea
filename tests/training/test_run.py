import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest

from cvae_training import Config, DataSet, InputError, RunError, create_run, load_run, train
from cvae_training.config import OptimizerConfig
from cvae_training.run import RunFolder
from cvae_training.train import TrainState

MISSING = object()


@pytest.fixture
def run(finished_run: Any, tmp_path: Path) -> Path:
    """A copy of a finished run, to damage."""
    return shutil.copytree(finished_run.folder, tmp_path / "run")


def damage(run: Path, path: str, value: Any) -> None:
    """Change or remove one value of config.json; a part of the path that is a number counts a list's items."""
    header = json.loads((run / "config.json").read_text())
    *groups, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    group = header
    for part in groups:
        group = group[part]
    if value is MISSING:
        del group[last]
    else:
        group[last] = value
    (run / "config.json").write_text(json.dumps(header))


def test_a_run_holds_config_metrics_and_checkpoint(finished_run: Any) -> None:
    assert sorted(path.name for path in finished_run.folder.iterdir()) == [
        "checkpoints",
        "config.json",
        "metrics.jsonl",
        "tensorboard",
    ]


def test_the_config_file_says_what_was_trained_on_what(finished_run: Any) -> None:
    header = json.loads((finished_run.folder / "config.json").read_text())
    assert list(header) == ["run_version", "config", "classes", "image_shape", "images", "versions"]
    assert header["run_version"] == 1
    assert Config.from_dict(header["config"]) == finished_run.config
    assert header["classes"] == list("0123456789")
    assert header["image_shape"] == [28, 28, 1]
    assert header["images"] == {"train": 8500, "held_out": 1500}
    assert sorted(header["versions"]) == ["cvae-training", "flax", "jax", "optax", "orbax-checkpoint", "python"]
    assert header["versions"]["jax"] == version("jax")


def test_the_metrics_are_one_line_per_epoch(finished_run: Any) -> None:
    lines = [json.loads(line) for line in (finished_run.folder / "metrics.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["step"]) for line in lines] == [(1, 8), (2, 16)]
    for line, report in zip(lines, finished_run.reports, strict=True):
        assert list(line) == ["epoch", "step", "train", "held_out"]
        for part in ("train", "held_out"):
            expected = {name: float(value) for name, value in getattr(report, part)._asdict().items()}
            assert line[part] == pytest.approx(expected, abs=1e-6)  # six decimals are written
            assert list(line[part]) == ["loss", "mse", "kl"]


def test_a_loaded_run_has_the_very_bits_that_were_trained(finished_run: Any, digits: DataSet) -> None:
    run = load_run(finished_run.folder)
    state = train(finished_run.config, digits, lambda _: None)
    assert jax.tree.structure(run.params) == jax.tree.structure(state.params)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: np.array_equal(a, b), run.params, state.params)))


def test_a_run_that_asks_for_it_has_its_parameters_rounded_to_float16(finished_run: Any, run: Path) -> None:
    damage(run, "config.rounded_to", "float16")
    halves = jax.tree.map(lambda leaf: np.float16(leaf).astype(np.float32), load_run(finished_run.folder).params)
    jax.tree.map(np.testing.assert_array_equal, load_run(run).params, halves)
    jax.tree.map(lambda leaf: leaf.dtype == np.float32 or pytest.fail(f"{leaf.dtype}"), load_run(run).params)


def test_a_parameter_that_float16_does_not_hold_is_refused(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(run, "config.rounded_to", "float16")
    restore = RunFolder.restore

    def with_a_large_one(self: RunFolder, *, best: bool = False) -> TrainState:
        state = restore(self, best=best)
        return state._replace(params=jax.tree.map(lambda leaf: leaf + 1e5, state.params))

    monkeypatch.setattr(RunFolder, "restore", with_a_large_one)
    with pytest.raises(
        RunError, match=r"^a parameter is beyond 65504, the largest of float16: train with --rounded-to"
    ):
        load_run(run)


def test_a_loaded_run_knows_what_it_was_trained_on(finished_run: Any) -> None:
    run = load_run(finished_run.folder)
    assert run.config == finished_run.config
    assert run.classes == tuple("0123456789")
    assert run.image_shape == (28, 28, 1)
    assert run.images == {"train": 8500, "held_out": 1500}
    assert [line["epoch"] for line in run.metrics] == [1, 2]
    assert run.versions["cvae-training"] == version("cvae-training")
    logits = run.model.apply(run.params, np.zeros((2, 3), np.float32), np.eye(2, 10, dtype=np.float32), method="decode")
    assert logits.shape == (2, 784)


def test_a_folder_that_exists_is_refused_and_left_alone(tiny: Config, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(
        RunError, match=rf"^{re.escape(str(tmp_path))} exists: choose another folder, or remove it first$"
    ):
        create_run(tmp_path, tiny)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_a_folder_that_cannot_be_made_is_refused(tiny: Config, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"^cannot create .*file/run: Not a directory$"):
        create_run(tmp_path / "file" / "run", tiny)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": "cifar"}, "unknown data set 'cifar'"),
        ({"batch_size": 8501}, "batch_size must be at most the 8500 training images, got 8501"),
        ({"optimizer": OptimizerConfig(warmup_steps=10**6)}, "warmup_steps must be at most the run's 1062 steps"),
    ],
    ids=["data set", "batch size", "warm-up"],
)
def test_settings_that_are_refused_leave_no_folder_in_the_way(
    tiny: Config, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    if "data" in change:
        change = {"data": replace(tiny.data, data_set=change["data"])}
    with pytest.raises(InputError, match=message):
        create_run(tmp_path / "run", replace(tiny, **change))
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(
            RunError, match=rf"^{re.escape(str(folder))} is not a run folder: cannot read .*config.json: No such file"
        ):
            load_run(folder)


def test_a_run_that_did_not_finish_is_refused(run: Path) -> None:
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(RunError, match=rf"^no checkpoint in {re.escape(str(run))}: the run did not come to its first$"):
        load_run(run)


def test_a_run_of_a_newer_version_is_refused(run: Path) -> None:
    damage(run, "run_version", 2)
    message = r"is a run of version 2, newer than this cvae-training reads \(1\): pip install -U cvae-training$"
    with pytest.raises(RunError, match=message):
        load_run(run)


def test_a_setting_that_a_run_of_its_version_must_have_is_missed(run: Path) -> None:
    damage(run, "config.data.data_dir", MISSING)
    with pytest.raises(RunError, match=r"setting data\.data_dir is missing$"):
        load_run(run)


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"a": 1}\n{'], ids=["cut", "not UTF-8", "a bad line"])
def test_a_file_that_is_not_json_is_refused(run: Path, name: str, content: bytes) -> None:
    (run / name).write_bytes(content)
    with pytest.raises(RunError, match=rf"^{re.escape(str(run))} has a damaged config\.json or metrics\.jsonl: "):
        load_run(run)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("run_version", MISSING, "no 'run_version'"),
        ("run_version", "1", "not supported between instances of 'str' and 'int'"),
        ("config", MISSING, "no 'config'"),
        ("config", 3, "config must be an object, got 3"),
        ("config.epochs", MISSING, "setting epochs is missing"),
        ("config.epochs", "2", "setting epochs must be int, got '2'"),
        ("config.epochs", 0, "epochs must be at least 1, got 0"),
        ("config.model.depth", 3, "unknown setting model.depth"),
        ("classes", MISSING, "no 'classes'"),
        ("classes", None, "'NoneType' object is not iterable"),
        ("image_shape", MISSING, "no 'image_shape'"),
        ("image_shape", [28, 28], "not enough values to unpack"),
        ("image_shape.0", "x", "invalid literal for int"),
        ("images", MISSING, "no 'images'"),
        ("images.train", MISSING, "no 'train'"),
        ("images.train", None, "NoneType"),
        ("versions", [], "'list' object has no attribute 'items'"),
    ],
)
def test_a_damaged_config_file_is_refused(run: Path, path: str, value: Any, message: str) -> None:
    damage(run, path, value)
    with pytest.raises(RunError, match=rf"^{re.escape(str(run))}/config\.json is damaged: .*{re.escape(message)}"):
        load_run(run)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("classes", []),
        ("image_shape.0", 0),
        ("image_shape.2", -1),
        ("image_shape.1", float("inf")),
        ("images.train", float("inf")),
        ("config.optimizer.warmup_steps", 10**6),
        ("config.optimizer.learning_rate", 10**400),
        ("config.model.latent_dim", 2**63),
    ],
)
def test_a_config_file_that_describes_no_network_is_refused(run: Path, path: str, value: Any) -> None:
    damage(run, path, value)
    with pytest.raises(RunError, match=r"config\.json is damaged"):
        load_run(run)


MISFITS = {
    "config.model.latent_dim": 4,
    "config.model.decoder_dimensions": [10, 10],
    "classes": ["a", "b"],
    "image_shape": [14, 28, 1],
}
CUT_SHORT = ("_METADATA", "manifest.ocdbt", "d/*")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


LOAD_EACH = """
import json, logging, sys, warnings
from pathlib import Path
from cvae_training import RunError, load_run
warnings.simplefilter("ignore")
for folder in sys.argv[1:]:
    try:
        load_run(Path(folder))
        print(json.dumps("loaded"))
    except RunError as error:
        print(json.dumps(str(error)))

class Faulty:
    def __del__(self):
        raise ValueError("an unraisable error")

print("AFTER", file=sys.stderr)
Faulty()
logging.getLogger("asyncio").error("a logged error")
"""


class Refusals(NamedTuple):
    messages: dict[Path, str]
    stderr: str


@pytest.fixture(scope="module")
def refusals(finished_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Refusals:
    """What load_run says of checkpoints that do not fit or are cut short, in a process whose stderr can be read."""
    root = tmp_path_factory.mktemp("damaged")
    for path, value in MISFITS.items():
        damage(shutil.copytree(finished_run.folder, root / path), path, value)
    for name in CUT_SHORT:
        (state,) = shutil.copytree(finished_run.folder, root / name.strip("/*")).glob("checkpoints/*/state")
        (file,) = state.glob(name)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        if name != CUT_SHORT[0]:  # as if it had been saved so, for Orbax itself to refuse
            sums = {path.relative_to(state).as_posix(): sha256(path) for path in state.rglob("*") if path.is_file()}
            (state.parent / "sums.json").write_text(json.dumps(sums))
    folders = sorted(root.iterdir())
    command = [sys.executable, "-c", LOAD_EACH, *folders]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    messages = [json.loads(line) for line in result.stdout.splitlines()]
    return Refusals(dict(zip(folders, messages, strict=True)), result.stderr)


def test_a_checkpoint_that_does_not_fit_or_is_cut_short_is_refused(refusals: Refusals) -> None:
    assert len(refusals.messages) == len(MISFITS) + len(CUT_SHORT)
    for folder, message in refusals.messages.items():
        damaged = folder.name == CUT_SHORT[0]
        expected = f"no checkpoint in {folder} is whole" if damaged else f"cannot restore {folder}/checkpoints/step-"
        assert message.startswith(expected)
        assert "\n" not in message


def test_a_refused_checkpoint_says_nothing_else(refusals: Refusals) -> None:
    assert refusals.stderr.partition("AFTER\n")[0] == ""


def test_errors_of_others_are_heard_after_a_refused_checkpoint(refusals: Refusals) -> None:
    after = refusals.stderr.partition("AFTER\n")[2]
    assert "ValueError: an unraisable error" in after
    assert "a logged error" in after
