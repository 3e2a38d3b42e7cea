"""sdk/README.md says what is so: its examples run, its tree is that of the classes, its versions are the manifest's."""

import re
from pathlib import Path

import pytest

import cvae_sdk
from cvae_sdk import CvaeError, errors
from cvae_sdk.artifact import Artifact
from cvae_sdk.manifest import MANIFEST_NAME

README = Path(cvae_sdk.__file__).parents[1] / "README.md"
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FEATURES = (
    "sample", "stream", "interpolate", "morph", "neighbors", "grid", "gif", "encode", "reconstruct", "decode", "mix",
    "asample", "astream", "verify",
)  # fmt: skip


def blocks(language: str) -> list[str]:
    """Without those that ask a server, which tests/export/serving/test_sdk_client.py runs against one."""
    found = [text for name, text in FENCE.findall(README.read_text()) if name == language]
    return [text for text in found if "://localhost" not in text]


@pytest.fixture
def folder_of_examples(tmp_path, mnist, monkeypatch) -> Path:
    """With artifacts/mnist in it, as `cvae-export` leaves one, of what the SDK reads by default."""
    artifact = Artifact.open(mnist)
    subset = artifact.manifest.subset(("onnx",), ("golden.npz",), ("decode", "mix", "encode"))
    for path in subset.files:
        target = tmp_path / "artifacts" / "mnist" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(artifact.read(path))
    (tmp_path / "artifacts" / "mnist" / MANIFEST_NAME).write_bytes(subset.to_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_example_runs_one_after_the_other(folder_of_examples, capfd, tell_count):
    names: dict[str, object] = {"__name__": "readme"}
    examples = blocks("python")
    for example in examples:
        exec(compile(example, str(README), "exec"), names)  # noqa: S102 - the project's own page
    assert capfd.readouterr() == ("", "")
    assert {"seven.png", "pi.png", "digits.gif"} <= {path.name for path in folder_of_examples.iterdir()}
    tell_count(len(examples), len(examples), "examples of the SDK's README run")


@pytest.mark.parametrize("feature", FEATURES)
def test_every_feature_has_an_example(feature):
    assert any(f".{feature}(" in example for example in blocks("python"))


def test_an_example_that_is_wrong_fails():
    with pytest.raises(cvae_sdk.InputError):
        exec(blocks("python")[0].replace("sample(7,", "sample(77,"), {})  # noqa: S102


def drawn(text: str) -> list[tuple[str, str | None]]:
    """Each class of a drawn tree with the one that it hangs from."""
    found, path = [], []
    for line in text.splitlines():
        name = re.search(r"[A-Za-z]+", line)
        assert name is not None, line
        path = path[: name.start() // 4]
        found.append((name[0], path[-1] if path else None))
        path.append(name[0])
    return found


def classes() -> list[tuple[str, str | None]]:
    every: list[type] = [CvaeError]
    for one in every:
        every += [each for each in one.__subclasses__() if each.__module__ == errors.__name__]
    return [
        (each.__name__, next((b.__name__ for b in each.__bases__ if issubclass(b, CvaeError)), None)) for each in every
    ]


def test_the_tree_of_exceptions_is_that_of_the_classes():
    (tree,) = (text for text in blocks("") if text.startswith("CvaeError"))
    assert sorted(drawn(tree)) == sorted(classes())
    assert tree.strip() in (errors.__doc__ or "")


def test_a_tree_that_is_drawn_wrong_is_seen():
    (tree,) = (text for text in blocks("") if text.startswith("CvaeError"))
    assert sorted(drawn(tree.replace("│   └── TooLargeError", "├── TooLargeError"))) != sorted(classes())


def test_there_is_a_note_for_every_schema_version():
    section = README.read_text().partition("## Schema versions")[2]
    noted = [int(version) for version in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    assert noted == list(range(1, cvae_sdk.SCHEMA_VERSION + 1))


def test_the_seed_contract_is_linked():
    assert "[SEEDS.md](SEEDS.md)" in README.read_text()
    assert (README.parent / "SEEDS.md").is_file()
