"""A folder that is not the artifact that was written is refused, each way of it by name."""

import hashlib
import inspect
import io
import json
import os
import shutil
import signal
import sys
import threading
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest

from cvae_sdk import (
    ArtifactError,
    ArtifactNotFoundError,
    BackendError,
    CvaeError,
    FileSizeError,
    GoldenError,
    IntegrityError,
    ManifestError,
    ModelError,
    Sampler,
)
from cvae_sdk.artifact import Artifact
from cvae_sdk.regular_files import open_regular

ONNX = "onnx/decoder.onnx"
GOLDEN = "golden.npz"


def flip(path: Path, offset: int = 1000, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1 << bit
    path.write_bytes(content)


def test_a_whole_artifact_opens_and_verifies(artifact):
    result = Sampler(artifact).verify()
    contents = [(artifact / path).read_bytes() for path in (ONNX, GOLDEN)]
    assert (result.files, result.bytes) == (2, sum(map(len, contents)))
    with np.load(io.BytesIO(contents[1])) as golden:
        assert result.goldens == len(golden["label"]) > 0
    assert 0 <= result.max_abs_error <= 1e-5  # the tolerance that verify itself promises


def test_the_shipped_artifact_verifies(sampler):
    assert sampler.verify().files == 2


def test_the_committed_artifact_verifies(mnist):
    files = [path for path in mnist.rglob("*") if path.is_file() and path.name != "manifest.json"]
    result = Sampler(mnist).verify()
    assert (result.files, result.bytes) == (len(files), sum(path.stat().st_size for path in files))


def test_reading_a_file_gives_its_bytes(artifact):
    assert Artifact.open(artifact).read(GOLDEN) == (artifact / GOLDEN).read_bytes()


def test_a_folder_reached_by_a_link_is_an_artifact(artifact, tmp_path):
    (tmp_path / "link").symlink_to(artifact, target_is_directory=True)
    assert Sampler(tmp_path / "link").verify() == Sampler(artifact).verify()


def test_an_empty_folder_inside_an_artifact_is_no_file(artifact):
    (artifact / "empty/deeper").mkdir(parents=True)
    assert Sampler(artifact).verify().files == 2


# Nothing there


def test_a_missing_folder_is_said_to_be_missing(tmp_path):
    with pytest.raises(ArtifactNotFoundError, match=r"no artifact at .*nothing: no such folder"):
        Sampler(tmp_path / "nothing")


def test_a_file_in_place_of_the_folder_is_said_to_be_a_file(artifact):
    with pytest.raises(ArtifactNotFoundError, match=r"it is a file, give the folder that holds manifest\.json"):
        Sampler(artifact / "manifest.json")


def test_a_path_through_a_file_is_missing(artifact):
    with pytest.raises(ArtifactNotFoundError, match="no such folder"):
        Sampler(artifact / "manifest.json" / "deeper")


def test_an_empty_folder_is_said_to_have_no_manifest(tmp_path):
    with pytest.raises(ArtifactNotFoundError, match=r"the folder has no manifest\.json"):
        Sampler(tmp_path)


def test_a_link_to_nothing_is_missing(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(ArtifactNotFoundError, match="no such folder"):
        Sampler(tmp_path / "link")


@pytest.mark.parametrize("path", ["a" * 300, "a\0b", "a/" * 3000], ids=["long name", "nul", "long path"])
def test_a_path_that_no_system_can_hold_is_missing(path):
    with pytest.raises(ArtifactNotFoundError, match="no artifact at"):
        Sampler(path)


# A file is not what was listed


@pytest.mark.parametrize("path", [ONNX, "manifest.json"])
def test_a_flipped_bit_in_a_file_that_opening_reads_is_found_on_opening(artifact, path):
    flip(artifact / path)
    with pytest.raises(ArtifactError, match=f"{ONNX} has SHA-256 [0-9a-f]{{64}}, the manifest lists|manifest.json is"):
        Sampler(artifact)


def test_a_flipped_bit_in_a_file_that_opening_does_not_read_is_found_by_verify(artifact):
    flip(artifact / GOLDEN)
    sampler = Sampler(artifact)
    found = hashlib.sha256((artifact / GOLDEN).read_bytes()).hexdigest()
    listed = sampler.manifest.files[GOLDEN].sha256
    with pytest.raises(IntegrityError, match=f"golden.npz has SHA-256 {found}, the manifest lists {listed}"):
        sampler.verify()


@pytest.mark.parametrize("path", [ONNX, GOLDEN])
@pytest.mark.parametrize("change", [-1, 1, 100], ids=["cut by 1", "longer by 1", "longer by 100"])
def test_a_file_of_another_size_is_found_on_opening(artifact, path, change):
    content = (artifact / path).read_bytes()
    (artifact / path).write_bytes(content[:change] if change < 0 else content + b"\0" * change)
    message = f"{path} has {len(content) + change} bytes, the manifest lists {len(content)}"
    with pytest.raises(IntegrityError, match=message):
        Sampler(artifact)


@pytest.mark.parametrize("path", [ONNX, GOLDEN])
def test_an_emptied_file_is_found_on_opening(artifact, path):
    (artifact / path).write_bytes(b"")
    with pytest.raises(IntegrityError, match=f"{path} has 0 bytes, the manifest lists"):
        Sampler(artifact)


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_truncated_manifest_is_damaged(artifact, length):
    content = (artifact / "manifest.json").read_bytes()
    (artifact / "manifest.json").write_bytes(content[:length])
    with pytest.raises(ManifestError, match=r"manifest\.json is not"):
        Sampler(artifact)


@pytest.mark.parametrize("path", [ONNX, GOLDEN])
def test_a_missing_file_is_found_on_opening(artifact, path):
    (artifact / path).unlink()
    with pytest.raises(IntegrityError, match=f"{path} is listed in the manifest but missing"):
        Sampler(artifact)


def test_a_folder_in_place_of_a_file_is_found_on_opening(artifact):
    (artifact / GOLDEN).unlink()
    (artifact / GOLDEN).mkdir()
    with pytest.raises(IntegrityError, match=r"golden.npz is listed in the manifest but missing"):
        Sampler(artifact)


@pytest.mark.parametrize(
    "path", ["extra", "onnx/decoder.onnx.data", "a/b/c", ".hidden", "manifest.json~", "onnx/manifest.json"]
)
def test_a_file_that_is_not_listed_is_found_on_opening(artifact, path):
    (artifact / path).parent.mkdir(parents=True, exist_ok=True)
    (artifact / path).write_bytes(b"")
    with pytest.raises(IntegrityError, match=f"{path} is in the folder but the manifest does not list it"):
        Sampler(artifact)


def test_a_newer_artifact_is_refused_with_what_to_do(artifact, resign):
    resign(lambda values: values.update(schema_version=3))
    with pytest.raises(
        ManifestError, match=r"schema_version 3 is newer than this SDK reads \(2\): pip install -U cvae"
    ):
        Sampler(artifact)


def test_a_path_out_of_the_folder_is_refused_though_its_file_is_there(artifact, resign):
    shutil.copy(artifact / ONNX, artifact.parent / "decoder.onnx")

    def edit(values):
        values["files"]["../decoder.onnx"] = values["files"].pop(ONNX)
        values["formats"]["onnx"]["path"] = "../decoder.onnx"

    resign(edit)
    with pytest.raises(ManifestError, match=r"must be a relative path inside the artifact, without '\.\.'"):
        Sampler(artifact)


# Links and special files


@pytest.fixture
def alarm() -> Iterator[None]:
    """What waits for a pipe's other end fails after ten seconds instead of never ending."""

    def fail(*_: object) -> None:
        raise TimeoutError("the SDK waits for a pipe")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("path", [ONNX, GOLDEN])
def test_a_link_in_place_of_a_file_is_refused_though_its_bytes_are_right(artifact, path):
    (artifact / path).rename(artifact.parent / "moved")
    (artifact / path).symlink_to(artifact.parent / "moved")
    with pytest.raises(IntegrityError, match=f"{path} is a link or a special file"):
        Sampler(artifact)


def test_a_link_in_place_of_a_folder_is_refused_though_its_files_are_right(artifact):
    (artifact / "onnx").rename(artifact.parent / "moved")
    (artifact / "onnx").symlink_to(artifact.parent / "moved", target_is_directory=True)
    with pytest.raises(IntegrityError, match="onnx is a link or a special file"):
        Sampler(artifact)


def test_a_link_that_is_not_listed_is_refused(artifact):
    (artifact / "loop").symlink_to(artifact, target_is_directory=True)
    with pytest.raises(IntegrityError, match="loop is a link or a special file"):
        Sampler(artifact)


def test_a_link_in_place_of_the_manifest_is_refused(artifact):
    (artifact / "manifest.json").rename(artifact.parent / "moved.json")
    (artifact / "manifest.json").symlink_to(artifact.parent / "moved.json")
    with pytest.raises(IntegrityError, match=r"manifest\.json"):
        Sampler(artifact)


@pytest.mark.usefixtures("alarm")
@pytest.mark.parametrize("path", [ONNX, GOLDEN, "manifest.json"])
def test_a_pipe_in_place_of_a_file_is_refused_and_nothing_waits_for_it(artifact, path):
    (artifact / path).unlink()
    os.mkfifo(artifact / path)
    with pytest.raises(IntegrityError, match=f"{path} is a .*special file"):
        Sampler(artifact)


@pytest.mark.usefixtures("alarm")
def test_a_pipe_that_comes_after_opening_is_refused_and_nothing_waits_for_it(artifact):
    opened = Artifact.open(artifact)
    (artifact / GOLDEN).unlink()
    os.mkfifo(artifact / GOLDEN)
    with pytest.raises(IntegrityError, match=r"golden\.npz is a .*special file"):
        opened.read(GOLDEN)


def test_a_link_that_comes_after_opening_is_not_followed(artifact):
    opened = Artifact.open(artifact)
    (artifact / GOLDEN).rename(artifact.parent / "moved")
    (artifact / GOLDEN).symlink_to(artifact.parent / "moved")
    with pytest.raises(IntegrityError, match=r"golden\.npz"):
        opened.read(GOLDEN)


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b"\0", lambda _: b""])
def test_a_file_that_changed_its_size_after_opening_is_found_on_reading(artifact, change):
    opened = Artifact.open(artifact)
    content = (artifact / GOLDEN).read_bytes()
    (artifact / GOLDEN).write_bytes(change(content))
    with pytest.raises(IntegrityError, match=f"golden.npz has [0-9]+ bytes, the manifest lists {len(content)}"):
        opened.read(GOLDEN)


def test_a_file_that_vanished_after_opening_is_found_on_reading(artifact):
    opened = Artifact.open(artifact)
    (artifact / GOLDEN).unlink()
    with pytest.raises(IntegrityError, match=r"golden\.npz is listed in the manifest but missing"):
        opened.read(GOLDEN)


def test_a_file_that_is_not_listed_cannot_be_read(artifact):
    with pytest.raises(IntegrityError, match=r"manifest\.json"):
        Artifact.open(artifact).read("manifest.json")


def test_a_folder_in_place_of_the_manifest_is_refused_and_leaves_no_file_open(artifact):
    (artifact / "manifest.json").unlink()
    (artifact / "manifest.json").mkdir()
    handles = []
    for _ in range(3):
        with pytest.raises(ArtifactError, match=r"manifest\.json"):
            Sampler(artifact)
        handle = os.open(artifact, os.O_RDONLY)  # the lowest free number: it grows when one was left open
        os.close(handle)
        handles.append(handle)
    assert len(set(handles)) == 1


def test_folders_nested_deeper_than_python_recurses_are_no_recursion_error(artifact):
    deepest = artifact / "/".join("d" * 300)
    deepest.mkdir(parents=True)
    (deepest / "extra").write_bytes(b"")
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 200)
    try:
        with pytest.raises(
            IntegrityError,
            match=r"d/d/d is in the folder but the manifest does not list it: it lies more than 15 folders deep",
        ):
            Sampler(artifact)
    finally:
        sys.setrecursionlimit(limit)


# The model, when all is signed


def test_an_artifact_without_an_onnx_format_is_refused_with_those_it_has(artifact, resign):
    def edit(values):
        values["formats"]["saved_model"] = {**values["formats"].pop("onnx"), "path": "onnx"}

    resign(edit)
    with pytest.raises(ArtifactError, match="the artifact mnist has no ONNX decoder; its formats: saved_model"):
        Sampler(artifact)


def test_an_artifact_without_any_format_is_refused(artifact, resign):
    resign(lambda values: values.update(formats={}))
    with pytest.raises(ArtifactError, match="has no ONNX decoder; its formats: none"):
        Sampler(artifact)


def test_an_onnx_form_of_another_function_is_no_decoder(artifact, resign):
    resign(lambda values: values["formats"]["onnx"].update(signatures=["mix"]))
    with pytest.raises(ArtifactError, match="has no ONNX decoder"):
        Sampler(artifact)


def test_an_onnx_path_that_is_a_folder_is_refused(artifact, resign):
    resign(lambda values: values["formats"]["onnx"].update(path="onnx"))
    with pytest.raises(ArtifactError, match="onnx"):
        Sampler(artifact)


@pytest.mark.parametrize("content", [b"", b"garbage" * 100, bytes(1000)], ids=["empty", "garbage", "zeros"])
def test_what_is_no_model_is_a_model_error_of_one_line(artifact, rewrite, content):
    rewrite(ONNX, content)
    with pytest.raises(ModelError, match=r"^onnx/decoder.onnx: model.* must be .+, got .+$") as raised:
        Sampler(artifact)
    assert len(str(raised.value).splitlines()) == 1


def test_half_a_model_is_a_model_error(artifact, rewrite):
    content = (artifact / ONNX).read_bytes()
    rewrite(ONNX, content[: len(content) // 2])
    with pytest.raises(ModelError, match=r"onnx/decoder.onnx: model.graph must be at most \d+ bytes, got \d+"):
        Sampler(artifact)


def edit_latents(values):
    values["latent_dim"] = 12
    for signature in values["signatures"].values():
        signature["inputs"]["z"]["shape"] = ["batch", 12]


def edit_images(values):
    values["image_shape"] = [14, 56, 1]
    for signature in values["signatures"].values():
        signature["outputs"]["image"]["shape"] = ["batch", 14, 56, 1]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (edit_latents, r"graph.input z.shape must be \['batch', 12\], as the manifest says, got \['batch', 24\]"),
        (edit_images, r"image.shape must be \['batch', 14, 56, 1\], as .* says, got \['batch', 28, 28, 1\]"),
    ],
)
def test_a_model_with_other_inputs_or_outputs_than_the_manifest_s_is_a_model_error(artifact, resign, edit, message):
    resign(edit)
    with pytest.raises(ModelError, match=message):
        Sampler(artifact)


@pytest.mark.parametrize(
    "edit",
    [
        lambda values: values.update(latent_dim=12),
        lambda values: values.update(image_shape=[28, 28, 3]),
        lambda values: values.update(image_shape=[14, 28, 1]),
        lambda values: values["signatures"]["decode"]["inputs"].pop("label"),
        lambda values: values["signatures"]["decode"]["inputs"]["label"].update(dtype="float32"),
        lambda values: values["signatures"]["decode"]["outputs"]["image"].update(shape=["batch", 784]),
    ],
    ids=["latent_dim", "channels", "height", "no label", "float label", "flat image"],
)
def test_a_manifest_that_contradicts_itself_or_the_model_is_refused_on_opening(artifact, resign, edit):
    resign(edit)
    with pytest.raises(ManifestError, match=r"signatures.(decode|mix) must take"):
        Sampler(artifact)


# The goldens, when all is signed


def packed(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.fixture
def golden(artifact) -> dict[str, np.ndarray]:
    with np.load(artifact / GOLDEN) as arrays:
        return dict(arrays)


def test_goldens_written_anew_verify(artifact, rewrite, golden):
    rewrite(GOLDEN, packed(**golden))
    assert Sampler(artifact).verify().goldens == len(golden["label"])


@pytest.mark.parametrize("change", [1.1e-5, -2e-5, 0.5, np.nan, np.inf])
def test_one_pixel_that_differs_from_its_golden_is_a_golden_error(artifact, rewrite, golden, change):
    golden["image"][3, 14, 14, 0] += np.float32(change)
    rewrite(GOLDEN, packed(**golden))
    with pytest.raises(GoldenError, match=r"images differ from the recorded ones by \S+, more than 1e-05"):
        Sampler(artifact).verify()


def test_a_pixel_within_the_tolerance_is_no_golden_error(artifact, rewrite, golden):
    golden["image"][3, 14, 14, 0] += np.float32(8e-6)
    rewrite(GOLDEN, packed(**golden))
    # 8e-6 less at most the 1e-6 by which two runtimes differ.
    assert 7e-6 < Sampler(artifact).verify().max_abs_error < 9e-6


def test_goldens_of_another_label_are_a_golden_error(artifact, rewrite, golden):
    golden["label"][0] = (golden["label"][0] + 1) % 10
    rewrite(GOLDEN, packed(**golden))
    with pytest.raises(GoldenError, match="images differ"):
        Sampler(artifact).verify()


def test_another_model_of_the_same_inputs_is_a_golden_error(artifact, rewrite, golden):
    """Weights changed and signed: the runtime takes it, and only the goldens tell."""
    model = onnx.load_from_string((artifact / ONNX).read_bytes())
    largest = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    largest.raw_data = (-np.frombuffer(largest.raw_data, np.float32)).tobytes()
    rewrite(ONNX, model.SerializeToString())
    with pytest.raises(GoldenError, match="images differ"):
        Sampler(artifact).verify()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def zipped(content: bytes, **options) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", **options) as archive:
        for name in ("z", "label", "image"):
            archive.writestr(f"{name}.npy", content)
    return file.getvalue()


def damaged_deflate() -> bytes:
    content = bytearray(zipped(npy(), compression=zipfile.ZIP_DEFLATED))
    start = 30 + len("z.npy")  # a local header has 30 bytes and the name
    content[start : start + 4] = b"\xff" * 4
    return bytes(content)


def unknown_compression() -> bytes:
    content = bytearray(zipped(npy()))
    for header, at in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = content.index(header) + at
        content[start : start + 2] = b"\x63\0"
    return bytes(content)


def encrypted() -> bytes:
    content = bytearray(zipped(npy()))
    for header, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(header) + at] |= 1
    return bytes(content)


def huge_header() -> bytes:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000, 10), }\n"
    return zipped(b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"hello", b"PK\x03\x04", b"\x80\x04K\x01.", npy(), zipped(b""), zipped(b"hello"), zipped(npy()[:-1]),
        damaged_deflate(), unknown_compression(), encrypted(), huge_header(),
    ],
    ids=[
        "empty", "text", "cut zip", "pickle", "npy", "empty arrays", "text arrays", "cut arrays",
        "damaged deflate", "unknown compression", "encrypted", "huge array",
    ],
)  # fmt: skip
def test_goldens_that_are_no_npz_are_an_artifact_error(artifact, rewrite, content):
    rewrite(GOLDEN, content)
    with pytest.raises(ArtifactError, match=r"golden\.npz cannot be replayed: ."):
        Sampler(artifact).verify()


@pytest.mark.parametrize("name", ["z", "label", "image"])
@pytest.mark.parametrize(
    "wrong",
    [
        lambda array: None,
        lambda array: np.array([{}], object),
        lambda array: array[:-1],
        lambda array: array[..., None],
        lambda array: np.full(array.shape, "x"),
        lambda array: array.astype(np.float64) + 0.5,
        lambda array: array.astype(complex),
        lambda array: array[0],
    ],
    ids=["missing", "objects", "one less", "axis more", "text", "float64", "complex", "axis less"],
)
def test_goldens_of_the_wrong_arrays_are_refused(artifact, rewrite, golden, name, wrong):
    replaced = wrong(golden.pop(name))
    rewrite(GOLDEN, packed(**golden, **({} if replaced is None else {name: replaced})))
    with pytest.raises((ArtifactError, GoldenError), match=r"golden\.npz cannot be replayed: .|images differ"):
        Sampler(artifact).verify()


def test_pickled_goldens_are_never_unpickled(artifact, rewrite, golden, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.mkdir, (tmp_path / "exploded",))

    rewrite(GOLDEN, packed(**{**golden, "image": np.array([Bomb()], object)}))
    with pytest.raises(ArtifactError, match=r"golden\.npz cannot be replayed: image must be <f4 "):
        Sampler(artifact).verify()
    assert not (tmp_path / "exploded").exists()


def test_one_golden_s_image_is_not_broadcast_over_a_batch(artifact, rewrite, golden):
    one = {name: array[:1] for name, array in golden.items()}
    rewrite(GOLDEN, packed(z=one["z"].repeat(3, 0), label=one["label"].repeat(3), image=one["image"]))
    with pytest.raises(ArtifactError, match=r"golden\.npz cannot be replayed"):
        Sampler(artifact).verify()


def test_goldens_of_no_images_verify_nothing_and_are_refused(artifact, rewrite, golden):
    rewrite(GOLDEN, packed(**{name: array[:0] for name, array in golden.items()}))
    with pytest.raises(ArtifactError, match=r"golden\.npz"):
        Sampler(artifact).verify()


def test_an_artifact_without_goldens_opens_and_cannot_be_verified(artifact, resign):
    (artifact / GOLDEN).unlink()
    resign(lambda values: values["files"].pop(GOLDEN))
    sampler = Sampler(artifact)
    assert len(sampler.sample(7, seed=0)) == 1
    with pytest.raises(ArtifactError, match=r"the artifact mnist has no golden\.npz to verify against"):
        sampler.verify()


def test_verify_looks_at_the_folder_anew(artifact):
    sampler = Sampler(artifact)
    sampler.verify()
    (artifact / "extra").write_bytes(b"")
    with pytest.raises(IntegrityError, match="extra is in the folder"):
        sampler.verify()
    shutil.rmtree(artifact)
    with pytest.raises(ArtifactNotFoundError, match="no such folder"):
        sampler.verify()


def test_the_tree_of_exceptions_is_as_drawn():
    assert all(issubclass(error, ArtifactError) for error in (ArtifactNotFoundError, ManifestError, IntegrityError))
    assert not issubclass(BackendError, ArtifactError)
    assert not issubclass(GoldenError, ArtifactError)
    assert all(issubclass(error, CvaeError) for error in (ArtifactError, BackendError, GoldenError))


def test_a_file_s_digest_in_the_fixtures_is_that_of_its_bytes(artifact):
    values = json.loads((artifact / "manifest.json").read_bytes())
    for path, record in values["files"].items():
        assert hashlib.sha256((artifact / path).read_bytes()).hexdigest() == record["sha256"]


# Swapped while it is read


@pytest.fixture
def swapping(tmp_path) -> Iterator[Path]:
    """A folder whose inner folder is, by turns, its own and a link to one outside, as fast as a thread can."""
    for folder, content in (("folder/inner", b"inside"), ("outside", b"secret")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").write_bytes(content)
    inner, kept, link = tmp_path / "folder/inner", tmp_path / "kept", tmp_path / "link"
    link.symlink_to(tmp_path / "outside", target_is_directory=True)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            inner.rename(kept)
            link.rename(inner)
            inner.rename(link)
            kept.rename(inner)

    thread = threading.Thread(target=swap)
    thread.start()
    yield tmp_path / "folder"
    stop.set()
    thread.join()


def read_once(folder: Path) -> bytes:
    try:
        with open_regular(folder, "inner/file") as (file, size):
            return file.read(size)
    except IntegrityError:
        return b""


def read_by_path(folder: Path) -> bytes:
    try:
        path = folder / "inner/file"
        return b"" if any(part.is_symlink() for part in (path, path.parent)) else path.read_bytes()
    except OSError:
        return b""


def test_no_swap_of_folders_makes_a_read_leave_the_artifact(swapping):
    found = {read_once(swapping) for _ in range(3000)}
    assert found <= {b"inside", b""}


def test_the_swaps_would_lead_a_reader_of_paths_outside(swapping):
    """Which looks whether a part is a link, and then opens it all the same."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if read_by_path(swapping) == b"secret":
            return
    pytest.fail("a minute of swaps led nowhere: the test above shows nothing")


def test_checking_a_file_keeps_nothing_of_it(artifact, rewrite):
    rewrite(GOLDEN, bytes(20_000_000))
    opened = Artifact.open(artifact)
    tracemalloc.start()
    assert opened.check(GOLDEN) == 20_000_000
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()


def test_a_file_is_read_only_if_it_is_as_small_as_asked(artifact):
    size = (artifact / ONNX).stat().st_size
    opened = Artifact.open(artifact)
    assert len(opened.read(ONNX, most=size)) == size
    with pytest.raises(FileSizeError, match=f"{ONNX} has {size} bytes, more than the {size - 1} that can be read"):
        opened.read(ONNX, most=size - 1)


def test_a_model_that_fails_prints_nothing(artifact, rewrite, capfd):
    """It passes all that the SDK looks at; ONNX Runtime finds that its shapes do not fit, and would log it."""
    model = onnx.load_from_string((artifact / ONNX).read_bytes())
    product = next(node for node in model.graph.node if node.op_type == "MatMul")
    product.input.reverse()
    rewrite(ONNX, model.SerializeToString())
    with pytest.raises(BackendError, match="ONNX Runtime"):
        Sampler(artifact).sample(7)
    assert capfd.readouterr() == ("", "")
