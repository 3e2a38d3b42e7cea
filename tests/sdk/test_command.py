"""The command cvae: pictures and facts when all is well, else exit 2 and one line; see test_command_*.py too."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvae_sdk import Sampler, __version__
from cvae_sdk.command import build_parser, main

CVAE = Path(sys.executable).with_name("cvae")
VERBS = [
    *("sample", "grid", "interpolate", "morph", "neighbors", "gif"),
    *("stream", "info", "verify", "sign", "bench", "serve"),
]


@pytest.fixture
def cvae(capsys, tmp_path, monkeypatch):
    """Run the command in an empty folder: its exit code, and what it wrote to the two streams."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture)


def tiles(sheet: np.ndarray, columns: int, count: int) -> np.ndarray:
    """The 28 x 28 images of a sheet with a gap of two pixels."""
    corners = [(30 * (i // columns), 30 * (i % columns)) for i in range(count)]
    return np.stack([sheet[top : top + 28, left : left + 28] for top, left in corners])


# When all is well


def test_sample_draws_n_images_of_a_label_as_near_to_a_square_as_can_be(cvae, sampler):
    assert cvae("sample", "7", "-n", 16, "--seed", 5, "-o", "sevens.png") == (0, "16 images saved in sevens.png\n", "")
    sheet = pixels("sevens.png")
    assert sheet.shape == (4 * 30 - 2, 4 * 30 - 2)
    np.testing.assert_array_equal(tiles(sheet, 4, 16), sampler.sample(7, n=16, seed=5)[..., 0])


@pytest.mark.parametrize(
    ("count", "columns", "rows"),
    [(1, 1, 1), (2, 2, 1), (3, 2, 2), (4, 2, 2), (5, 3, 2), (9, 3, 3), (10, 4, 3), (17, 5, 4)],
)
def test_sample_s_picture_has_the_rows_that_its_images_need(cvae, count, columns, rows):
    assert cvae("sample", "3", "-n", count, "-o", "out.png")[0] == 0
    assert pixels("out.png").shape == (30 * rows - 2, 30 * columns - 2)


def test_sample_draws_n_images_of_each_of_several_labels(cvae, sampler):
    assert cvae("sample", "3", "1", "4", "-n", 2, "--seed", 0, "--columns", 2, "-o", "out.png")[0] == 0
    sheet = pixels("out.png")
    assert sheet.shape == (88, 58)
    np.testing.assert_array_equal(tiles(sheet, 2, 6), sampler.sample([3, 3, 1, 1, 4, 4], seed=0)[..., 0])


def test_sample_draws_one_image_into_samples_png_unless_told(cvae):
    code, out, err = cvae("sample", "7")
    assert (code, err) == (0, "")
    assert re.fullmatch(r"1 image of seed \d+ saved in samples.png\n", out)
    assert pixels("samples.png").shape == (28, 28)


def test_more_columns_than_images_leave_no_black_columns(cvae):
    assert cvae("sample", "7", "-n", 3, "--columns", 100, "-o", "out.png")[0] == 0
    assert pixels("out.png").shape == (28, 88)


def test_without_a_seed_another_picture_is_drawn_every_time(cvae):
    for name in ("a.png", "b.png"):
        assert cvae("sample", "7", "-o", name)[0] == 0
    assert Path("a.png").read_bytes() != Path("b.png").read_bytes()


def test_a_random_seed_is_told_so_that_its_picture_can_be_had_again(cvae):
    seed = re.search(r"of seed (\d+)", cvae("sample", "7", "-n", 4, "-o", "a.png")[1])[1]
    assert cvae("sample", "7", "-n", 4, "--seed", seed, "-o", "b.png") == (0, "4 images saved in b.png\n", "")
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize("seed", [0, 2**64 - 1])
def test_the_same_seed_draws_the_same_picture(cvae, seed):
    for name in ("a.png", "b.png"):
        assert cvae("sample", "7", "--seed", seed, "-o", name)[0] == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_scale_draws_each_pixel_as_a_square(cvae):
    for name, scale in (("small.png", 1), ("large.png", 3)):
        assert cvae("sample", "7", "-n", 2, "--seed", 1, "--scale", scale, "-o", name)[0] == 0
    np.testing.assert_array_equal(pixels("large.png"), pixels("small.png").repeat(3, 0).repeat(3, 1))


def test_a_picture_s_name_may_end_in_capitals(cvae):
    assert cvae("sample", "7", "-o", "out.PNG")[0] == 0
    assert pixels("out.PNG").shape == (28, 28)


def test_a_picture_that_is_there_is_written_anew(cvae):
    Path("out.png").write_bytes(b"old")
    assert cvae("sample", "7", "-o", "out.png")[0] == 0
    assert pixels("out.png").shape == (28, 28)


def test_grid_draws_ten_images_of_each_class_into_grid_png_unless_told(cvae, sampler):
    assert cvae("grid", "--seed", 2) == (0, "10 rows of 10 images saved in grid.png\n", "")
    np.testing.assert_array_equal(pixels("grid.png"), np.asarray(sampler.grid(seed=2)))


def test_grid_draws_a_row_for_each_label(cvae, sampler):
    command = ["grid", "3", "1", "-n", 4, "--seed", 2, "--scale", 2, "-o", "out.png"]
    assert cvae(*command) == (0, "2 rows of 4 images saved in out.png\n", "")
    np.testing.assert_array_equal(pixels("out.png"), np.asarray(sampler.grid([3, 1], 4, seed=2, scale=2)))


def test_a_label_is_first_a_name_and_then_a_number(cvae, artifact, resign):
    resign(lambda values: values.update(classes=["zero", "2", "two", *"3456789"]))
    for name, text in (("number.png", "0"), ("name.png", "zero"), ("digit.png", "2")):
        assert cvae("sample", text, "--seed", 0, "--artifact", artifact, "-o", name)[0] == 0
    sampler = Sampler(artifact)
    np.testing.assert_array_equal(pixels("number.png"), pixels("name.png"))
    np.testing.assert_array_equal(pixels("digit.png"), sampler.sample(1, seed=0)[0, ..., 0])


def test_info_says_what_an_artifact_holds(cvae, mnist):
    code, out, err = cvae("info", mnist)
    facts = dict(line.split(maxsplit=1) for line in out.splitlines() if not line.startswith("format"))
    manifest = Sampler(mnist).manifest
    assert (code, err) == (0, "")
    assert facts["name"] == "mnist, version 1"
    assert facts["classes"] == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert facts["latent_dim"] == str(manifest.latent_dim)
    assert facts["image_shape"] == "28 x 28 x 1"
    assert facts["trained"] == "on   mnist-10k"
    assert facts["created"] == manifest.created
    assert facts["digest"] == manifest.digest
    forms = [line.split()[1] for line in out.splitlines() if line.startswith("format")]
    assert forms == ["onnx:", "saved_model:", "saved_model_xla:", "stablehlo:"]


def test_info_and_verify_look_at_the_shipped_artifact_unless_told(cvae, sampler):
    assert f"digest       {sampler.manifest.digest}\n" in cvae("info")[1]
    assert cvae("verify")[1].startswith("verified 2 files, ")


def test_verify_says_what_it_checked(cvae, mnist):
    code, out, err = cvae("verify", mnist)
    assert (code, err) == (0, "")
    result = Sampler(mnist).verify()
    assert out.startswith(f"verified {result.files} files, {result.bytes:,} bytes; {result.goldens} recorded images")


def test_a_relative_folder_is_an_artifact(cvae, artifact):
    assert cvae("verify", artifact.name)[0] == 0


def test_help_of_the_command_lists_every_verb_and_so_does_the_command_alone(cvae):
    code, out, err = cvae("--help")
    assert (code, err) == (0, "")
    assert cvae() == (0, out, "")
    for verb in VERBS:
        assert re.search(rf"^ +{verb}\b", out, re.MULTILINE), verb


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_ends_with_an_example_of_it_that_the_parser_takes(cvae, verb):
    code, out, err = cvae(verb, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: cvae {verb}")
    examples = re.findall(r"^  cvae (.+)$", out[out.rindex("example") :], re.MULTILINE)
    assert examples
    for example in examples:
        options = build_parser().parse_args(shlex.split(example.split("|")[0]))
        assert example.split()[0] == verb
        assert callable(options.run)


def test_the_version_is_the_package_s(cvae):
    assert cvae("--version") == (0, f"cvae {__version__}\n", "")


# When a user errs


OUTPUT = "cvae: the output must be FILE.png (one sheet), FILE.npz (arrays) or FOLDER/ (a PNG for each image)"
WRONG = [
    (["sample", "seven"], "cvae: unknown class 'seven': there are 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
    (["sample", "10"], "cvae: a label must be from 0 to 9, got 10"),
    (["sample", "-1"], "cvae: a label must be from 0 to 9, got -1"),
    (["sample", "3.5"], "cvae: unknown class '3.5': there are 0, 1"),
    (["sample", ""], "cvae: unknown class '': there are 0, 1"),
    (["sample", "True"], "cvae: unknown class 'True'"),
    (["sample", "7", "eight"], "cvae: unknown class 'eight'"),
    (["sample", "a\nb"], r"cvae: unknown class 'a\nb'"),
    (["grid", "seven"], "cvae: unknown class 'seven'"),
    (["grid", "10"], "cvae: a label must be from 0 to 9, got 10"),
    (["sample", "7", "-n", "0"], "cvae: -n must be at least 1, got 0"),
    (["sample", "7", "-n", "-1"], "cvae: -n must be at least 1, got -1"),
    (["sample", "7", "-n", "2.5"], "cvae sample: argument -n: invalid int value: '2.5'"),
    (["grid", "-n", "0"], "cvae: n must be an integer of at least 1, got 0"),
    (["sample", "7", "-n", str(10**15)], "cvae: 1000000000000000 images do not fit into memory"),
    (["sample", "7", "-n", str(10**30)], "cvae: 1000000000000000000000000000000 images do not fit into memory"),
    (["grid", "-n", str(10**15)], "cvae: 10000000000000000 images do not fit into memory"),
    (["sample", "7", "--columns", "0"], "cvae: --columns must be at least 1, got 0"),
    (["sample", "7", "--scale", "0"], "cvae: --scale must be at least 1, got 0"),
    (["sample", "7", "--scale", str(10**9)], "cvae: "),
    (["sample", "7", "--scale", str(10**30)], "cvae: "),
    (["grid", "--scale", "-2"], "cvae: scale must be an integer of at least 1, got -2"),
    (["grid", "--scale", str(10**9)], "cvae: "),
    (["sample", "7", "--seed", "-1"], "cvae: seed must be an integer from 0 to 2^64 - 1, got -1"),
    (["sample", "7", "--seed", str(2**64)], f"cvae: seed must be an integer from 0 to 2^64 - 1, got {2**64}"),
    (["sample", "7", "--seed", "x"], "cvae sample: argument --seed: invalid int value: 'x'"),
    (["sample", "7", "--seed", "1.5"], "cvae sample: argument --seed: invalid int value: '1.5'"),
    (["grid", "--seed", "-1"], "cvae: seed must be an integer from 0 to 2^64 - 1, got -1"),
    (["sample", "7", "-o", "out.jpg"], f"{OUTPUT}, got out.jpg"),
    (["sample", "7", "-o", "out"], f"{OUTPUT}, got out"),
    (["sample", "7", "-o", "a\nb"], f"{OUTPUT}, got a b"),
    (["grid", "-o", "grid.gif"], "cvae: the output must be FILE.png (one sheet), got grid.gif"),
    (["sample", "7", "-o", "missing/out.png"], "cvae: cannot write missing/out.png: No such file or directory"),
    (["grid", "-o", "missing/out.png"], "cvae: cannot write missing/out.png: No such file or directory"),
    (["sample", "7", "-o", "a" * 300 + ".png"], "cvae: cannot write a"),
    (["sample", "7", "--artifact", "nothing"], "cvae: no artifact at nothing: no such folder"),
    (["grid", "--artifact", "nothing"], "cvae: no artifact at nothing: no such folder"),
    (["info", "nothing"], "cvae: no artifact at nothing: no such folder"),
    (["verify", "nothing"], "cvae: no artifact at nothing: no such folder"),
    (["verify", "."], "cvae: no artifact at .: the folder has no manifest.json"),
    (["verify", "a" * 300], "cvae: no artifact at a"),
    (["paint"], "cvae: argument VERB: invalid choice: 'paint' (choose from "),
    (["sample"], "cvae sample: the following arguments are required: LABEL"),
    (["sample", "7", "--sede", "1"], "cvae: unrecognized arguments: --sede 1"),
    (["sample", "7", "--a\nb"], "cvae: unrecognized arguments: --a"),
    (["info", "a", "b"], "cvae: unrecognized arguments: b"),
    (["--version-of-none"], "cvae: "),
]


def assert_is_one_line(err: str, start: str) -> None:
    assert err.startswith(start)
    assert re.fullmatch(r"[^\n]+\n", err)
    assert "Traceback" not in err


@pytest.mark.parametrize(("arguments", "start"), WRONG, ids=[" ".join(case[0])[:40] for case in WRONG])
def test_a_mistake_exits_2_with_one_line_and_draws_nothing(cvae, tmp_path, arguments, start):
    code, out, err = cvae(*arguments)
    assert (code, out) == (2, "")
    assert_is_one_line(err, start)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_is_a_folder_is_a_line(cvae):
    Path("out.png").mkdir()
    code, _, err = cvae("sample", "7", "-o", "out.png")
    assert code == 2
    assert_is_one_line(err, "cvae: cannot write out.png: Is a directory")


def test_a_full_disk_is_a_line(cvae):
    Path("out.png").symlink_to("/dev/full")
    code, _, err = cvae("sample", "7", "-o", "out.png")
    assert code == 2
    assert_is_one_line(err, "cvae: cannot write out.png: No space left on device")


@pytest.mark.parametrize("verb", [["sample", "7", "--artifact"], ["grid", "--artifact"], ["info"], ["verify"]])
def test_a_damaged_artifact_is_a_line(cvae, artifact, verb):
    with (artifact / "onnx/decoder.onnx").open("r+b") as file:
        file.write(b"\0")
    code, out, err = cvae(*verb, artifact)
    assert (code, out) == (2, "")
    assert_is_one_line(err, "cvae: onnx/decoder.onnx has SHA-256 ")


def test_a_file_in_place_of_an_artifact_is_a_line(cvae, artifact):
    code, _, err = cvae("info", artifact / "manifest.json")
    assert code == 2
    assert_is_one_line(err, "cvae: no artifact at ")


def test_a_file_s_name_of_two_lines_is_told_on_one(cvae, artifact):
    (artifact / "a\nb").write_bytes(b"")
    code, _, err = cvae("verify", artifact)
    assert code == 2
    assert_is_one_line(err, "cvae: ")


def test_a_field_s_name_of_two_lines_is_told_on_one(cvae, artifact, resign):
    resign(lambda values: values["files"].update({"a\nb": 1}))
    code, _, err = cvae("verify", artifact)
    assert code == 2
    assert_is_one_line(err, "cvae: files.")


def test_goldens_that_no_longer_hold_are_a_line(cvae, artifact, rewrite):
    with np.load(artifact / "golden.npz") as golden:
        arrays = {**golden, "image": 1 - golden["image"]}
    np.savez(artifact / "golden.npz", **arrays)
    rewrite("golden.npz", (artifact / "golden.npz").read_bytes())
    code, out, err = cvae("verify", artifact)
    assert (code, out) == (2, "")
    assert_is_one_line(err, "cvae: images differ from the recorded ones by ")


def test_what_is_no_model_is_a_line(cvae, artifact, rewrite):
    rewrite("onnx/decoder.onnx", b"garbage" * 100)
    code, _, err = cvae("info", artifact)
    assert code == 2
    assert_is_one_line(err, "cvae: onnx/decoder.onnx: model must be ")


def test_a_mistake_leaves_the_picture_that_was_there(cvae):
    Path("out.png").write_bytes(b"old")
    assert cvae("sample", "10", "-o", "out.png")[0] == 2
    assert Path("out.png").read_bytes() == b"old"


# The installed command


def test_the_installed_command_draws_a_picture(tmp_path, sampler):
    command = [CVAE, "sample", "7", "-n", "4", "--seed", "1", "-o", "out.png"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "4 images saved in out.png\n", "")
    sheet = pixels(str(tmp_path / "out.png"))
    np.testing.assert_array_equal(tiles(sheet, 2, 4), sampler.sample(7, n=4, seed=1)[..., 0])


def test_the_installed_command_exits_2_with_one_line(tmp_path):
    result = subprocess.run([CVAE, "verify", "nothing"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert_is_one_line(result.stderr, "cvae: no artifact at nothing: no such folder")
