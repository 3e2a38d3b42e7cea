"""The folder appears whole or not at all."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cvae_export.artifact
from cvae_export import ExportError, ParityError, export_run
from cvae_export.form import Form, Loaded
from cvae_export.onnx import ONNX
from cvae_export.stablehlo import STABLEHLO
from cvae_sdk import Manifest, Sampler
from cvae_training import Config, Run, create_run, load_run
from cvae_training.config import DataConfig, ModelConfig


def test_lists_exactly_its_files_with_their_hashes(artifact: Path) -> None:
    manifest = json.loads((artifact / "manifest.json").read_bytes())
    found = {
        path.relative_to(artifact).as_posix(): {
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "bytes": path.stat().st_size,
        }
        for path in artifact.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert manifest["files"] == found
    assert {"README.md", "golden.npz", "samples.png", "onnx/decoder.onnx", "saved_model/1/saved_model.pb"} <= set(found)


def test_describes_the_model(artifact: Path, run: Run) -> None:
    manifest = Manifest.parse((artifact / "manifest.json").read_bytes())
    assert manifest.name == artifact.name
    assert manifest.classes == run.classes
    assert manifest.latent_dim == run.config.model.latent_dim
    assert manifest.image_shape == (28, 28, 1)
    assert manifest.training["config"] == json.loads(json.dumps(run.config.to_dict()))
    assert set(manifest.signatures["decode"].inputs) == {"z", "label"}
    assert set(manifest.signatures["mix"].inputs) == {"z", "class_weights"}
    assert {"jax", "tensorflow"} <= {library for form in manifest.formats.values() for library in form.written_by}


def test_its_goldens_are_the_models_own_images_of_every_class(artifact: Path, run: Run) -> None:
    with np.load(artifact / "golden.npz", allow_pickle=False) as goldens:
        z, label, image = goldens["z"], goldens["label"], goldens["image"]
    assert set(label) == set(range(10))
    decoded = np.asarray(run.model.apply(run.params, z, np.eye(10, dtype=np.float32)[label], method="generate"))
    expected = np.clip(decoded, 0, 1) if run.config.objective.likelihood == "l2" else 1 / (1 + np.exp(-decoded))
    np.testing.assert_allclose(image.reshape(len(z), -1), expected, rtol=0, atol=2e-6)


def test_its_picture_has_a_row_for_each_class(artifact: Path) -> None:
    with Image.open(artifact / "samples.png") as picture:
        assert picture.size == (2 * (10 * 30 - 2), 2 * (10 * 30 - 2))
        expected = np.asarray(Sampler(artifact).grid(seed=0, scale=2), np.int16)
        assert np.abs(np.asarray(picture, np.int16) - expected).max() <= 1  # JAX and ONNX may round a pixel apart


def test_its_card_names_each_form_and_begins_with_yaml(artifact: Path) -> None:
    card = (artifact / "README.md").read_text()
    assert card.startswith("---\nlicense: cc-by-sa-3.0\n")
    for path in ("onnx/decoder.onnx", "saved_model/1", "saved_model_xla/1", "stablehlo/decoder.jax_export"):
        assert path in card


def test_its_card_says_what_each_signature_is(artifact: Path) -> None:
    card = (artifact / "README.md").read_text()
    for name in json.loads((artifact / "manifest.json").read_bytes())["signatures"]:
        (line,) = [line for line in card.splitlines() if line.startswith(f"- `{name}`: ")]
        assert line.count(". ") >= 1, "a signature without its meaning"


def local_paths(folder: Path) -> set[str]:
    """Files that name a place on the machine that wrote them."""
    places = [str(Path(cvae_export.__file__).parents[2]).encode(), sys.prefix.encode(), b"site-packages", b".py\x00"]
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.name for path in files if any(place in path.read_bytes() for place in places)}


def test_no_file_names_a_place_on_the_machine_that_wrote_it(artifact: Path) -> None:
    assert local_paths(artifact) == set()


def test_colors_and_any_size_and_the_name_of_a_users_data_are_exported_and_its_place_is_not(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / "my pictures" / name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (5, 6), (60 * i, 0, 255)).save(tmp_path / "my pictures" / name / f"{i}.png")
    config = Config(
        data=DataConfig(f"folder:{tmp_path / 'my pictures'}"),
        model=ModelConfig(latent_dim=2, encoder_dimensions=(4,), decoder_dimensions=(3,)),
        epochs=1,
        batch_size=2,
    )
    create_run(tmp_path / "run", config)
    export_run(load_run(tmp_path / "run"), tmp_path / "out")
    manifest = Manifest.parse((tmp_path / "out" / "manifest.json").read_bytes())
    assert manifest.training["data_set"] == manifest.training["config"]["data"]["data_set"] == "folder:my-pictures"
    assert manifest.image_shape == (6, 5, 3)
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path for path in files if str(tmp_path).encode() in path.read_bytes()]
    assert (tmp_path / "out" / "README.md").read_text().startswith("---\nlicense: other\n")
    assert Sampler(tmp_path / "out").sample("dog", n=3, seed=0).shape == (3, 6, 5, 3)


def test_jax_would_name_places_by_itself(article_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvae_export.stablehlo.without_locations", contextlib.nullcontext)
    export_run(article_run, tmp_path / "out", forms=(STABLEHLO, ONNX))
    stems, endings = ("decoder", "mix", "encode"), ("jax_export", "mlirbc")
    assert local_paths(tmp_path / "out") == {f"{stem}.{ending}" for stem in stems for ending in endings}


def test_its_date_is_source_date_epoch_where_that_is_set(article_run: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    manifest = export_run(article_run, tmp_path / "a", forms=(STABLEHLO, ONNX))
    assert manifest.created == "2023-11-14T22:13:20Z"
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(ExportError, match="SOURCE_DATE_EPOCH must be seconds since 1970, got 'yesterday'"):
        export_run(article_run, tmp_path / "b", forms=(STABLEHLO, ONNX))


@pytest.mark.parametrize("kind", ["folder", "file", "dangling link"])
def test_what_exists_is_never_overwritten(article_run: Run, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    {"folder": out.mkdir, "file": out.touch, "dangling link": lambda: out.symlink_to("nowhere")}[kind]()
    with pytest.raises(ExportError, match=r"out exists: choose another folder, or remove it first"):
        export_run(article_run, out)
    assert os.path.lexists(out)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_made_meanwhile_is_not_overwritten(article_run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ExportError, match="made by somebody else meanwhile"):
        export_run(article_run, out, forms=(STABLEHLO, ONNX), on_form=lambda *_: out.mkdir(exist_ok=True))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert list(out.iterdir()) == []


def failing(error: BaseException) -> Form:
    """ONNX's form, whose writer fails half-way."""

    def write(decoder, path: Path):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")
        raise error

    return dataclasses.replace(ONNX, write=write)


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ExportError, "cannot write .*out: No space left on device"),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
        (SystemExit(143), SystemExit, "143"),
        (ExportError("onnx: refused"), ExportError, "onnx: refused"),
    ],
    ids=["full disk", "ctrl-c", "sigterm", "refused"],
)
def test_a_failure_leaves_nothing_behind(article_run: Run, tmp_path: Path, error, raised, message) -> None:
    with pytest.raises(raised, match=message):
        export_run(article_run, tmp_path / "out", forms=(STABLEHLO, failing(error)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS], ids=lambda number: errno.errorcode[number])
@pytest.mark.parametrize(
    "call", ["pathlib.Path.write_text", "pathlib.Path.write_bytes", "os.fsync", "pathlib.Path.rename"]
)
def test_a_disk_that_refuses_leaves_nothing_behind(
    article_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    """The error is injected: a full disk, and one that became read-only, at each call that writes."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(call, refuse)
    with pytest.raises(ExportError, match=f"cannot write .*out: {os.strerror(number)}"):
        export_run(article_run, tmp_path / "deep" / "out", forms=(STABLEHLO,))
    assert list(tmp_path.iterdir()) == []


def test_a_form_that_differs_leaves_nothing_behind(article_run: Run, tmp_path: Path) -> None:
    def load(path: Path) -> list[Loaded]:
        run = {reader.signature: reader.run for reader in ONNX.load(path)}["decode"]
        return [Loaded("decode", lambda inputs: {"image": run(inputs)["image"] + np.float32(3e-5)})]

    with pytest.raises(ParityError, match=r"onnx: decode differs from the JAX model by 3e-05 .* tolerance 1e-05"):
        export_run(article_run, tmp_path / "out", forms=(STABLEHLO, dataclasses.replace(ONNX, load=load)))
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_that_the_sdk_cannot_read_is_not_kept(article_run: Run, tmp_path: Path, monkeypatch) -> None:
    write_goldens = cvae_export.artifact.write_goldens

    def wrong(path: Path, decoder, reference) -> None:
        write_goldens(path, decoder, lambda z, label: reference(z, label) * 0.9)

    monkeypatch.setattr(cvae_export.artifact, "write_goldens", wrong)
    from cvae_sdk import GoldenError

    with pytest.raises(GoldenError):
        export_run(article_run, tmp_path / "out", forms=(STABLEHLO, ONNX))
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_grow_give_one_line_and_leave_nothing(tmp_path: Path) -> None:
    """A limit on files' sizes stops each writer, ours (at 1 kB) and TensorFlow's (at 980 kB), as a full disk does."""
    program = textwrap.dedent(f"""
        import resource, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from conftest import random_run
        from cvae_export import export_run
        from cvae_sdk import CvaeError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        run = random_run("article")
        for kilobytes in (1, 980):
            resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, resource.RLIM_INFINITY))
            try:
                export_run(run, Path({str(tmp_path / "out")!r}))
            except CvaeError as error:
                print(error)
    """)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours, tensorflows = done.stdout.splitlines()
    assert re.fullmatch(r"cannot write .*out: File too large", ours)
    assert re.fullmatch("cannot write saved_model: .*(File too large|Failed).*", tensorflows)
    assert list(tmp_path.iterdir()) == []
