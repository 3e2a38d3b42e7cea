"""cvae-train as its user sees it: one line and exit code 2 for a mistake, never a traceback."""

import ast
import inspect
import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import jax
import pytest
from PIL import Image

from cvae_training import PRESETS, command, config, load_run, preset

SMALL = [
    *("--preset", "article"),
    *("--latent-dim", "2", "--encoder-dimensions", "6,4", "--decoder-dimensions", "5", "--likelihood", "l2"),
    *("--kl-weight", "0.25", "--learning-rate", "0.01", "--schedule", "constant", "--warmup-steps", "1"),
    *("--weight-decay", "0", "--epochs", "1", "--batch-size", "2000", "--seed", "3", "--data-set", "mnist-10k"),
]
MAIN = "import sys; from cvae_training.command import main; sys.exit(main(sys.argv[1:]))"
FILE_SIZE_LIMIT = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "


def texts_under_fields() -> dict[str, str]:
    """Each setting's name and the string that follows it in config.py."""
    texts = {}
    for cls in ast.parse(inspect.getsource(config)).body:
        if isinstance(cls, ast.ClassDef):
            for field, text in zip(cls.body, cls.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    texts[ast.unparse(field.target)] = " ".join(ast.literal_eval(text.value).split())
    return texts


def exit_code(arguments: list[str]) -> int:
    """Of main, whether it returns the code or exits with it, as argparse does."""
    try:
        return command.main(arguments)
    except SystemExit as error:
        return int(error.code or 0)


def test_cvae_train_is_the_installed_command() -> None:
    (script,) = entry_points(group="console_scripts", name="cvae-train")
    assert script.load() is command.main


def test_help_explains_every_setting(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10000")
    assert exit_code(["--help"]) == 0
    output = " ".join(capsys.readouterr().out.split())
    texts = texts_under_fields()
    assert len(texts) == 32
    for name, text in texts.items():
        flag = "--" + name.replace("_", "-")
        assert re.search(rf"{flag} \S+ {re.escape(text)} \[", output), name
    assert "--preset NAME settings to start from" in output
    assert "[article: 0.0001, best: 0.002, best-fashion: 0.002, fast: 0.002, fast-fashion: 0.002]" in output
    assert "[article: 256,128,64, best: 256, best-fashion: 256, fast: 256, fast-fashion: 256]" in output
    assert "mnist, mnist-10k, npz:FILE, folder:DIR. Presets: article, best, best-fashion, fast, fast-fashion." in output


def test_flags_override_the_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["--out", str(tmp_path / "run"), "--preset", "article", *SMALL]) == 0
    assert capsys.readouterr().out.startswith(f"run saved in {tmp_path / 'run'}\n")
    run = load_run(tmp_path / "run")
    article = preset("article")
    assert run.config == replace(
        article,
        model=config.ModelConfig(latent_dim=2, encoder_dimensions=(6, 4), decoder_dimensions=(5,)),
        objective=config.ObjectiveConfig(likelihood="l2", kl_weight=0.25),
        optimizer=config.OptimizerConfig(learning_rate=0.01, warmup_steps=1, weight_decay=0.0),
        epochs=1,
        batch_size=2000,
        seed=3,
    )


@pytest.mark.parametrize(
    "setting",
    [
        ["--learning-rate", "1e300"],
        ["--kl-weight", "1e300"],
        ["--weight-decay", "1e300"],
        ["--latent-dim", "99999999999999"],
    ],
    ids="=".join,
)
def test_a_number_too_large_for_float32_or_memory_exits_2_with_one_line(
    setting: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["--out", str(tmp_path / "run"), *SMALL, *setting]) == 2
    assert re.fullmatch(r"cvae-train: [^\n]+\n", capsys.readouterr().err)


def test_memory_that_runs_out_exits_2_with_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: Any) -> None:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4398046511104 bytes.")

    monkeypatch.setattr(
        "cvae_training.training_run.train_in_stretches", exhausted
    )  # what JAX raises for --encoder-dimensions 9999,999999
    assert exit_code(["--out", str(tmp_path / "run")]) == 2
    assert re.fullmatch(r"cvae-train: [^\n]*memory[^\n]*\n", capsys.readouterr().err)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_without_flags_is_the_preset(name: str) -> None:
    options = command.build_parser().parse_args(["--out", "x", "--preset", name])
    assert command.config_from(options, preset(options.preset)) == preset(name)


def test_the_default_preset_is_best() -> None:
    assert command.build_parser().parse_args(["--out", "x"]).preset is None
    assert "[best]" in command.build_parser().format_help()


def test_an_empty_list_of_widths_means_no_hidden_layer() -> None:
    options = command.build_parser().parse_args(["--out", "x", "--decoder-dimensions", ""])
    assert command.config_from(options, preset("fast")).model.decoder_dimensions == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "slow"], "unknown preset 'slow': there are article, best, best-fashion, fast, fast-fashion"),
        (["--data-set", "cifar"], "unknown data set 'cifar': there are emnist-balanced, emnist-letters, "),
        (["--depth", "3"], "unrecognized arguments: --depth 3"),
        (["extra"], "unrecognized arguments: extra"),
        (["--epochs", "many"], "argument --epochs: invalid int value: 'many'"),
        (["--epochs", "2.5"], "argument --epochs: invalid int value: '2.5'"),
        (["--epochs"], "argument --epochs: expected one argument"),
        (["--epochs", "0"], "epochs must be at least 1, got 0"),
        (["--kl-weight", "nan"], "kl_weight must be finite and at least 0, got nan"),
        (["--kl-weight", "-1"], "kl_weight must be finite and at least 0, got -1.0"),
        (["--learning-rate", "0"], "learning_rate must be finite and above 0, got 0.0"),
        (["--likelihood", "poisson"], "argument --likelihood: invalid choice: 'poisson'"),
        (["--encoder-dimensions", "8,x"], "expected integers with commas between them, got '8,x'"),
        (["--encoder-dimensions", ""], "encoder_dimensions needs one width or more, got ()"),
        (["--seed", "4294967296"], "seed must be from 0 to 2^32 - 1, got 4294967296"),
        (["--batch-size", "8501"], "batch_size must be at most the 8500 training images, got 8501"),
        (["--warmup-steps", "999999"], "warmup_steps must be at most the run's 3300 steps, got 999999"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_exits_2_with_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["--out", str(tmp_path / "run"), *arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("cvae-train: ")
    assert message in output.err
    assert output.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four grey pictures of each of two classes, one of another size."""
    for name in ("cat", "dog"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("L", (5, 6), 60 * i).save(tmp_path / "pictures" / name / f"{i}.png")
    Image.new("L", (9, 9)).save(tmp_path / "pictures" / "dog" / "3.png")
    return tmp_path / "pictures"


def test_what_was_done_to_pictures_is_said_in_one_line(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*SMALL, "--data-set", f"folder:{pictures}", "--batch-size", "3"]
    assert exit_code(["--out", str(tmp_path / "run"), *arguments]) == 0
    said, *_ = capsys.readouterr().err.splitlines()
    assert said == f"cvae-train: resized 1 of 8 pictures in {pictures} to height 6, width 5"
    run = load_run(tmp_path / "run")
    assert (run.classes, run.image_shape, run.images) == (("cat", "dog"), (6, 5, 1), {"train": 6, "held_out": 2})
    assert exit_code(["--out", str(tmp_path / "small"), *arguments, "--image-size", "3,4"]) == 0
    assert load_run(tmp_path / "small").image_shape == (3, 4, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data-set", "folder:{}/cat"], "{}/cat has no folders: it needs one of pictures for each class"),
        (["--data-set", "folder:{}/fish"], "cannot read {}/fish: No such file or directory"),
        (["--data-set", "npz:{}/cat/0.png"], "{}/cat/0.png is not an .npz file: "),
        (["--data-set", "mnist", "--data-dir", "{}"], "cannot read {}/train-images-idx3-ubyte.gz: No such file"),
        (["--image-size", "28"], "image_size must be a height and a width of 1 to 4096, got (28,)"),
        (["--image-size", "28,28"], "image_size is for folder:DIR, whose pictures it resizes, got 'mnist-10k'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_data_that_cannot_be_used_exits_2_with_one_line(
    arguments: list[str], message: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["--out", str(tmp_path / "run"), *(part.format(pictures) for part in arguments)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("cvae-train: " + message.format(pictures))
    assert output.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_missing_out_exits_2_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code([]) == 2
    assert capsys.readouterr().err == "cvae-train: the following arguments are required: --out\n"


def test_an_out_that_exists_exits_2_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"cvae-train: {tmp_path} exists: choose another folder, or remove it first\n"


def test_a_second_interruption_says_what_it_leaves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "create_run", interrupted)
    assert exit_code(["--out", str(tmp_path / "run")]) == 130
    assert capsys.readouterr().err == ("cvae-train: interrupted twice; what came after the last checkpoint is lost\n")


def started(script: str, arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    command_line = [sys.executable, "-c", script + MAIN, *arguments]
    return subprocess.run(command_line, stdout=subprocess.PIPE, text=True, check=False, **options)


def test_a_disk_that_fills_while_the_checkpoint_is_saved_exits_2_with_one_line(tmp_path: Path) -> None:
    out = tmp_path / "run"
    # Room for config.json and metrics.jsonl, not for the checkpoint's arrays.
    result = started(FILE_SIZE_LIMIT.format(4096), ["--out", str(out), *SMALL], stderr=subprocess.PIPE)
    assert result.returncode == 2
    assert result.stdout == ""
    progress, *message = result.stderr.splitlines()
    assert progress.startswith("epoch 1/1  loss ")
    assert len(message) == 1, "\n".join(message)
    assert message[0].startswith(f"cvae-train: cannot save a checkpoint to {out / 'checkpoints' / 'step-'}")
    assert list((out / "checkpoints").iterdir()) == []
    assert json.loads((out / "metrics.jsonl").read_text())["epoch"] == 1


def test_a_disk_that_is_full_from_the_start_exits_2_with_one_line(tmp_path: Path) -> None:
    out = tmp_path / "run"
    result = started(FILE_SIZE_LIMIT.format(100), ["--out", str(out), *SMALL], stderr=subprocess.PIPE)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"cvae-train: cannot write to {out}: File too large\n"


def test_a_run_on_a_terminal_shows_a_bar(tmp_path: Path, terminal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    assert exit_code(["--out", str(tmp_path / "run"), *SMALL]) == 0
    assert re.search(r"1/1 .*loss \d+\.\d\d  mse \d+\.\d\d  kl \d+\.\d\d", terminal.read())


def test_a_mistake_is_one_line_on_a_terminal_too(tmp_path: Path, terminal: Any) -> None:
    result = started("", ["--out", str(tmp_path)], stderr=terminal.stream)
    output = terminal.read()
    assert (result.returncode, result.stdout) == (2, "")
    assert output.count("\n") == 1
    # What a carriage return overwrites is not seen.
    last = output.removesuffix("\r\n").split("\r")[-1]
    assert last == f"cvae-train: {tmp_path} exists: choose another folder, or remove it first"
