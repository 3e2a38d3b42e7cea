"""manifest.json: what is read, and that each thing that is wrong is refused by its name."""

import contextlib
import dataclasses
import hashlib
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvae_sdk import SCHEMA_VERSION, Manifest, ManifestError
from cvae_sdk.manifest import MAX_FILES, FileRecord, Format, Parity, Signature, TensorSpec


class Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING = Missing()

PARITY = {"cases": 331, "max_abs_error": 5e-07, "tolerance": 1e-05}
Z = {"dtype": "float32", "shape": ["batch", 2]}
LABEL = {"dtype": "int32", "shape": ["batch"]}
WEIGHTS = {"dtype": "float32", "shape": ["batch", 3]}
IMAGE = {"dtype": "float32", "shape": ["batch", 4, 5, 3]}
VALUES = {
    "schema_version": 1,
    "name": "tiny",
    "version": 2,
    "created": "2026-11-22T18:00:00Z",
    "classes": ["cat", "dog", "größer"],
    "latent_dim": 2,
    "image_shape": [4, 5, 3],
    "signatures": {
        "decode": {"inputs": {"z": Z, "label": LABEL}, "outputs": {"image": IMAGE}},
        "mix": {"inputs": {"z": Z, "class_weights": WEIGHTS}, "outputs": {"image": IMAGE}},
    },
    "formats": {
        "onnx": {
            "path": "onnx/decoder.onnx",
            "signatures": ["decode"],
            "written_by": {"tf2onnx": "1.17.0"},
            "opset": 17,
            "files": {"decode": ["onnx/decoder.onnx"]},
            "parity": {**PARITY, "max_latent_error": 2e-06, "latent_tolerance": 1e-04},
        },
        "saved_model": {
            "path": "saved_model",
            "signatures": ["decode", "mix"],
            "written_by": {"jax": "0.10.2"},
            "stablehlo_version": "1.9.0",
            "expires": "2027-05-23",
            "oldest_runtime": {"tensorflow": "2.12.0"},
            "parity": PARITY,
        },
    },
    "files": {
        path: {"sha256": f"{i:064x}", "bytes": i}
        for i, path in enumerate(
            ["README.md", "golden.npz", "onnx/decoder.onnx", "saved_model/1/saved_model.pb", "saved_model_xla/1/x"]
        )
    },
    "training": {"config": {"epochs": 3}, "data_set": "mnist-10k"},
}


def edited(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The values with what lies at a path replaced, or taken away."""
    values = json.loads(json.dumps(VALUES))  # no two fields share a list or an object
    place: Any = values
    for step in path[:-1]:
        place = place[step]
    if value is MISSING:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return values


def test_a_manifest_is_read_as_it_is_written(sign):
    manifest = Manifest.parse(sign(VALUES))
    assert manifest == Manifest(
        name="tiny",
        version=2,
        created="2026-11-22T18:00:00Z",
        classes=("cat", "dog", "größer"),
        latent_dim=2,
        image_shape=(4, 5, 3),
        signatures={
            name: Signature(
                inputs={"z": TensorSpec("float32", ("batch", 2)), other: spec},
                outputs={"image": TensorSpec("float32", ("batch", 4, 5, 3))},
            )
            for name, other, spec in (
                ("decode", "label", TensorSpec("int32", ("batch",))),
                ("mix", "class_weights", TensorSpec("float32", ("batch", 3))),
            )
        },
        formats={
            "onnx": Format(
                "onnx/decoder.onnx",
                ("decode",),
                {"tf2onnx": "1.17.0"},
                Parity(5e-07, 1e-05, 331, 2e-06, 1e-04),
                {"decode": ("onnx/decoder.onnx",)},
                opset=17,
            ),
            "saved_model": Format(
                "saved_model",
                ("decode", "mix"),
                {"jax": "0.10.2"},
                Parity(5e-07, 1e-05, 331),
                stablehlo_version="1.9.0",
                expires="2027-05-23",
                oldest_runtime={"tensorflow": "2.12.0"},
            ),
        },
        files={path: FileRecord(record["sha256"], record["bytes"]) for path, record in VALUES["files"].items()},
        training={"config": {"epochs": 3}, "data_set": "mnist-10k"},
    )


def test_a_manifest_goes_to_the_same_bytes(sign):
    assert Manifest.parse(sign(VALUES)).to_bytes() == sign(VALUES)


def test_the_committed_manifest_goes_to_the_same_bytes(mnist, sign):
    content = (mnist / "manifest.json").read_bytes()
    assert Manifest.parse(content).to_bytes() == content == sign(json.loads(content))


def test_the_bytes_are_canonical_json_with_the_digest_of_the_rest():
    values = json.loads(CANONICAL)
    rest = {name: value for name, value in values.items() if name != "digest"}
    compact = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert values["digest"] == hashlib.sha256(compact).hexdigest()
    assert (json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode() == CANONICAL
    assert Manifest.parse(CANONICAL).digest == values["digest"]


CANONICAL = Manifest(
    "x", 1, "2026-11-22T18:00:00Z", ("a",), 1, (1, 1, 1), {}, {}, {"f": FileRecord("0" * 64, 0)}, {"ä": [1.5]}
).to_bytes()  # fmt: skip

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abcé.", min_size=1), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@settings(deadline=None)
@given(
    st.lists(NAMES, min_size=1, max_size=5, unique=True),
    st.integers(1, 10**6),
    st.tuples(st.integers(1, 999), st.integers(1, 999), st.sampled_from([1, 3])),
    st.floats(0, 1),
    st.dictionaries(NAMES, JSON_VALUES, max_size=3),
)
def test_every_manifest_is_read_back_as_what_was_written(classes, latent_dim, image_shape, error, training):
    decode = Signature(
        {"z": TensorSpec("float32", ("batch", latent_dim)), "label": TensorSpec("int32", ("batch",))},
        {"image": TensorSpec("float32", ("batch", *image_shape))},
    )
    manifest = Manifest(
        name="x",
        version=1,
        created="2026-11-22T18:00:00Z",
        classes=tuple(classes),
        latent_dim=latent_dim,
        image_shape=image_shape,
        signatures={"decode": decode},
        formats={"onnx": Format("o", ("decode",), {"a": "1"}, Parity(error, 1e-05, 1), opset=17)},
        files={"o": FileRecord("0" * 64, 1)},
        training=training,
    )
    assert Manifest.parse(manifest.to_bytes()) == manifest


# The schema's version, the digest, the canonical form


@pytest.mark.parametrize("schema", [3, 4, 10**6])
def test_a_newer_schema_is_refused_with_what_to_do(sign, schema):
    message = f"schema_version {schema} is newer than this SDK reads (2): pip install -U cvae-sdk"
    with pytest.raises(ManifestError, match=re.escape(message)):
        Manifest.parse(sign({**VALUES, "schema_version": schema}))


def test_a_newer_schema_is_told_from_damage_whatever_else_it_changed():
    with pytest.raises(ManifestError, match="schema_version 3 is newer"):
        Manifest.parse(b'{"schema_version": 3, "signature": "ed25519"}')


@pytest.mark.parametrize("schema", [0, -1, 1.0, True, "1", None, [1], {}])
def test_a_schema_version_that_is_none_is_refused(sign, schema):
    with pytest.raises(ManifestError, match="schema_version must be an integer of at least 1, got"):
        Manifest.parse(sign({**VALUES, "schema_version": schema}))


@pytest.mark.parametrize(("dtype", "schema"), [("float32", 1), ("int32", 1), ("int64", 2), ("string", 2)])
def test_a_manifest_is_written_in_the_oldest_schema_that_can_say_it(sign, dtype, schema):
    values = edited(("signatures", "count"), {"inputs": {"n": {"dtype": dtype, "shape": []}}, "outputs": {}})
    written = json.loads(Manifest.parse(sign(values)).to_bytes())
    assert written["schema_version"] == schema <= SCHEMA_VERSION == 2


def test_a_manifest_of_schema_1_is_read():
    """artifacts/mnist's first, of 2026-11-22."""
    content = (Path(__file__).parents[1] / "golden" / "manifest-1-2026-11-22.json").read_bytes()
    manifest = Manifest.parse(content)
    assert json.loads(content)["schema_version"] == 1
    assert manifest.digest == json.loads(content)["digest"]
    assert manifest.formats["saved_model"].signatures == ("decode", "mix")
    assert {form.files for form in manifest.formats.values()} == {None}
    assert {form.parity.max_latent_error for form in manifest.formats.values()} == {None}
    assert Manifest.parse(manifest.to_bytes()) == manifest


@pytest.mark.parametrize("digest", ["0" * 64, "", None, 1, []])
def test_another_digest_than_that_of_the_values_is_refused(sign, digest):
    values = json.loads(sign(VALUES))
    content = json.dumps({**values, "digest": digest}, indent=2, sort_keys=True).encode()
    message = f"manifest.json is damaged: its digest is {values['digest']}, it says {digest!r}"
    with pytest.raises(ManifestError, match=re.escape(message)):
        Manifest.parse(content)


def test_a_manifest_without_a_digest_is_refused():
    with pytest.raises(ManifestError, match=r"manifest\.json is damaged: its digest is [0-9a-f]{64}, it says None"):
        Manifest.parse(json.dumps(VALUES, indent=2, sort_keys=True).encode())


def test_a_value_changed_after_signing_is_refused(sign):
    with pytest.raises(ManifestError, match=r"manifest\.json is damaged"):
        Manifest.parse(sign(VALUES).replace(b'"tiny"', b'"tyny"'))


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: text[:-1],
        lambda text: " " + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("  ", "    "),
        lambda text: text.replace("größer", "gr\\u00f6\\u00dfer"),
        lambda text: text.replace("1e-05", "0.00001"),
        lambda text: json.dumps(json.loads(text), indent=2, sort_keys=False).replace("{", "{ "),
        lambda text: text.replace('"name": "tiny",', '"name": "tiny",\n  "name": "tiny",'),
        lambda text: text.replace('"name": "tiny",', '"name": "evil",\n  "name": "tiny",'),
    ],
    ids=[
        "newline",
        "no newline",
        "space",
        "crlf",
        "indent",
        "escape",
        "number",
        "order",
        "key twice",
        "key twice, other",
    ],
)
def test_the_same_values_in_other_bytes_are_refused(sign, change):
    text = sign(VALUES).decode()
    assert change(text) != text
    with pytest.raises(ManifestError, match=r"manifest\.json is not in canonical form: write it with cvae-export"):
        Manifest.parse(change(text).encode())


# What is no JSON object


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0" * 100, b"{", b"{}}", b"hello", b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b'{"a": "\xff"}', b"{'a': 1}",
        b'{"a": NaN}', b'{"a": Infinity}', b'{"a": -Infinity}', b'{"a": 01}', b'{"a": "\n"}',
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(content):
    with pytest.raises(ManifestError, match=r"manifest\.json is not JSON: "):
        Manifest.parse(content)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_json_cannot_say_is_refused_though_python_reads_it(sign, value):
    with pytest.raises(ManifestError, match=f"manifest.json is not JSON: {value} is not a JSON value"):
        Manifest.parse(sign(edited(("training", "loss"), float(value.replace("Infinity", "inf")))))


@pytest.mark.parametrize("value", ["1e999", "-1e999"])
def test_a_number_beyond_float64_is_refused(sign, value):
    content = sign(edited(("training", "loss"), 123456)).replace(b"123456", value.encode())
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        Manifest.parse(content)


def test_an_integer_beyond_float64_is_refused_where_a_number_belongs(sign):
    with pytest.raises(ManifestError, match=r"formats\.onnx\.parity\.max_abs_error must be a number"):
        Manifest.parse(sign(edited(("formats", "onnx", "parity", "max_abs_error"), 10**400)))


def test_text_that_utf_8_cannot_hold_is_refused(sign):
    """JSON can escape half of a pair of surrogates; the digest is right, so that nothing else is wrong."""
    content = sign(edited(("name",), "\ud800")).replace("\ud800".encode("utf-8", "surrogatepass"), b"\\ud800")
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        Manifest.parse(content)


def test_a_digest_that_utf_8_cannot_hold_is_refused(sign):
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        Manifest.parse(sign(VALUES).replace(b'"digest": "', b'"digest": "\\ud800'))


@pytest.mark.parametrize("content", [b"[]", b"1", b'"text"', b"null", b"true"])
def test_what_is_not_an_object_is_refused(content):
    with pytest.raises(ManifestError, match=r"manifest\.json must be an object, got"):
        Manifest.parse(content)


@pytest.mark.parametrize("depth", [*range(100, 1000, 20), 5000, 100_000])
def test_deep_nesting_is_refused_and_no_recursion_error(depth):
    content = b'{"schema_version": 1, "training": ' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(ManifestError, match=r"manifest\.json (is (not JSON|damaged)|holds what no manifest can)"):
        Manifest.parse(content)


def test_deep_nesting_that_is_signed_is_read_or_refused_and_no_recursion_error(sign):
    value: Any = []
    contents = []
    for depth in range(1, 1000):
        value = [value]
        if depth % 20 == 0:
            limit = sys.getrecursionlimit()
            sys.setrecursionlimit(20_000)
            try:
                contents.append(sign(edited(("training", "deep"), value)))
            finally:
                sys.setrecursionlimit(limit)
    read = 0
    for content in contents:
        with contextlib.suppress(ManifestError):
            read += Manifest.parse(content).name == "tiny"
    assert read > 0


def test_a_manifest_of_more_than_a_mebibyte_is_refused_unread(sign):
    content = sign(edited(("training", "config"), "x" * 2**20))
    with pytest.raises(ManifestError, match=f"manifest.json has {len(content)} bytes, more than 1048576"):
        Manifest.parse(content)


def test_a_manifest_of_just_a_mebibyte_is_read(sign):
    room = 2**20 - len(sign(edited(("training", "config"), "")))
    content = sign(edited(("training", "config"), "x" * room))
    assert len(content) == 2**20
    assert Manifest.parse(content).training["config"] == "x" * room


# Each field


NOT_TEXT = [MISSING, None, "", 1, True, ["x"], {}]
NOT_OBJECTS = [MISSING, None, [], "x", 1]
NOT_NUMBERS = [MISSING, None, -1, -1e-9, True, "1", [1]]
NOT_LISTS = [MISSING, None, {}, "x", 1]


def not_integers(least: int) -> list[Any]:
    return [MISSING, None, least - 1, -5, 1.0, True, "1", [1]]


TEXT = "{} must be text, got"
POSITIVE = "{} must be an integer of at least 1, got"
SIZE = "{} must be an integer of at least 0, got"
NUMBER = "{} must be a number of at least 0, got"
OBJECT = "{} must be an object, got"
LIST = "{} must be a list, got"

FIELDS: list[tuple[tuple[str | int, ...], str, list[Any]]] = [
    (("name",), TEXT, NOT_TEXT),
    (("version",), POSITIVE, not_integers(1)),
    (("created",), TEXT, NOT_TEXT),
    (("classes",), LIST, NOT_LISTS),
    (("classes", 1), TEXT, NOT_TEXT[1:]),
    (("latent_dim",), POSITIVE, not_integers(1)),
    (("image_shape",), LIST, NOT_LISTS),
    (("image_shape", 0), POSITIVE, not_integers(1)[1:]),
    (("signatures",), OBJECT, NOT_OBJECTS),
    (("signatures", "decode"), OBJECT, NOT_OBJECTS[1:]),
    (("signatures", "decode", "inputs"), OBJECT, NOT_OBJECTS),
    (("signatures", "decode", "inputs", "z"), OBJECT, NOT_OBJECTS[1:]),
    (("signatures", "decode", "inputs", "z", "dtype"), TEXT, NOT_TEXT),
    (
        ("signatures", "decode", "inputs", "z", "dtype"),
        "{} must be one of float32, int32, int64, string, got",
        ["float64", "F32"],
    ),
    (("signatures", "decode", "inputs", "z", "shape"), LIST, NOT_LISTS),
    (
        ("signatures", "decode", "inputs", "z", "shape", 0),
        POSITIVE,
        ["free", *not_integers(1)[1:]],
    ),
    (("signatures", "mix", "outputs"), OBJECT, NOT_OBJECTS),
    (("signatures", "mix", "outputs", "image"), OBJECT, NOT_OBJECTS[1:]),
    (("formats",), OBJECT, NOT_OBJECTS),
    (("formats", "onnx"), OBJECT, NOT_OBJECTS[1:]),
    (("formats", "onnx", "path"), TEXT, NOT_TEXT),
    (("formats", "onnx", "signatures"), LIST, NOT_LISTS),
    (("formats", "onnx", "signatures", 0), TEXT, NOT_TEXT[1:]),
    (("formats", "onnx", "written_by"), OBJECT, NOT_OBJECTS),
    (("formats", "onnx", "written_by", "tf2onnx"), TEXT, NOT_TEXT[1:]),
    (("formats", "onnx", "parity"), OBJECT, NOT_OBJECTS),
    (("formats", "onnx", "parity", "max_abs_error"), NUMBER, NOT_NUMBERS),
    (("formats", "onnx", "parity", "tolerance"), NUMBER, NOT_NUMBERS),
    (("formats", "onnx", "parity", "cases"), POSITIVE, not_integers(1)),
    (("formats", "onnx", "parity", "max_latent_error"), NUMBER, NOT_NUMBERS[2:]),
    (("formats", "onnx", "parity", "latent_tolerance"), NUMBER, NOT_NUMBERS[2:]),
    (("formats", "onnx", "files"), OBJECT, NOT_OBJECTS[2:]),
    (("formats", "onnx", "files", "decode"), LIST, NOT_LISTS[1:]),
    (("formats", "onnx", "files", "decode", 0), TEXT, NOT_TEXT[1:]),
    (("formats", "onnx", "opset"), POSITIVE, not_integers(1)[2:]),
    (("formats", "saved_model", "stablehlo_version"), TEXT, NOT_TEXT[2:]),
    (("formats", "saved_model", "expires"), TEXT, NOT_TEXT[2:]),
    (("formats", "saved_model", "oldest_runtime"), OBJECT, NOT_OBJECTS[2:]),
    (("formats", "saved_model", "oldest_runtime", "tensorflow"), TEXT, NOT_TEXT[1:]),
    (("files",), OBJECT, NOT_OBJECTS),
    (("files", "README.md"), OBJECT, NOT_OBJECTS[1:]),
    (("files", "README.md", "bytes"), SIZE, not_integers(0)),
    (("files", "README.md", "sha256"), TEXT, NOT_TEXT),
    (
        ("files", "README.md", "sha256"),
        "{} must be 64 lower-case hexadecimal digits, got",
        ["0" * 63, "0" * 65, "g" * 64, "A" * 64, "0" * 64 + "\n"],
    ),
    (("training",), OBJECT, NOT_OBJECTS),
]


def field_name(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]


@pytest.mark.parametrize(
    ("path", "message", "value"),
    [
        pytest.param(
            path, message, value, id=f"{field_name(path)}-{'missing' if value is MISSING else repr(value)[:20]}"
        )
        for path, message, wrong in FIELDS
        for value in wrong
    ],
)
def test_a_field_that_is_missing_or_of_another_type_is_named(sign, path, message, value):
    with pytest.raises(ManifestError, match="^" + re.escape(message.format(field_name(path)))):
        Manifest.parse(sign(edited(path, value)))


def paths_in(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in the values but those inside `training`, which is free."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [deeper for step, item in inner if path != ("training",) for deeper in paths_in(item, (*path, step))]
    return [path, *below] if path else below


@pytest.mark.parametrize("path", paths_in(VALUES), ids=field_name)
def test_no_field_may_be_a_list_of_a_list(sign, path):
    with pytest.raises(ManifestError, match="^" + re.escape(field_name(path))):
        Manifest.parse(sign(edited(path, [[]])))


@pytest.mark.parametrize("field", ["opset", "stablehlo_version", "expires", "oldest_runtime"])
def test_a_format_may_leave_out_its_opset_versions_and_expiry(sign, field):
    values = json.loads(json.dumps(VALUES))
    for form in values["formats"].values():
        form.pop(field, None)
    assert {getattr(form, field) for form in Manifest.parse(sign(values)).formats.values()} == {None}


@pytest.mark.parametrize("classes", [[], ["a", "a"], ["a", "b", "a"]])
def test_classes_are_one_name_or_more_and_none_twice(sign, classes):
    message = f"classes must be one name or more, none twice, got {classes}"
    with pytest.raises(ManifestError, match=re.escape(message)):
        Manifest.parse(sign({**VALUES, "classes": classes}))


@pytest.mark.parametrize("shape", [[], [4], [4, 5], [4, 5, 2], [4, 5, 4], [4, 5, 3, 1]])
def test_an_image_shape_is_height_width_and_1_or_3_channels(sign, shape):
    message = f"image_shape must be [height, width, 1 or 3 channels], got {shape}"
    with pytest.raises(ManifestError, match=re.escape(message)):
        Manifest.parse(sign({**VALUES, "image_shape": shape}))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("latent_dim",), 3),
        (("image_shape",), [5, 4, 3]),
        (("signatures", "decode", "inputs", "z", "shape"), ["batch", 2, 1]),
        (("signatures", "decode", "inputs", "label", "dtype"), "float32"),
        (("signatures", "decode", "outputs", "image", "shape"), ["batch", 4, 5, 1]),
        (("signatures", "decode", "outputs"), {}),
        (("signatures", "decode", "inputs"), {"latents": Z, "label": LABEL}),
    ],
)
def test_a_decode_signature_that_is_not_of_the_latents_and_images_is_refused(sign, path, value):
    with pytest.raises(ManifestError, match=r"signatures\.decode"):
        Manifest.parse(sign(edited(path, value)))


def test_a_value_in_a_message_is_cut_to_80_characters(sign):
    with pytest.raises(ManifestError) as raised:
        Manifest.parse(sign({**VALUES, "version": ["x" * 1000]}))
    assert len(str(raised.value)) < 140
    assert str(raised.value).endswith("...")


# Paths


BAD_PATHS = [
    "..", "../evil", "onnx/../../evil", "a/..", ".", "./a", "a/./b", "a/.", "/etc/passwd", "/", "//host/share", "a//b",
    "a/", "", "..\\evil", "a\\b", "C:/evil", "C:evil", "a:stream", "nul\0",
]  # fmt: skip


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_listed_path_that_is_not_inside_the_artifact_is_refused(sign, path):
    message = f"files[{path!r}] must be a relative path inside the artifact, without '..', got {path!r}"
    values = edited(("files",), {**VALUES["files"], path: {"sha256": "0" * 64, "bytes": 0}})
    with pytest.raises(ManifestError, match=re.escape(message)):
        Manifest.parse(sign(values))


@pytest.mark.parametrize("path", [path for path in BAD_PATHS if path])
def test_a_format_s_path_that_is_not_inside_the_artifact_is_refused(sign, path):
    message = f"formats.onnx.path must be a relative path inside the artifact, without '..', got {path!r}"
    with pytest.raises(ManifestError, match=re.escape(message)):
        Manifest.parse(sign(edited(("formats", "onnx", "path"), path)))


@pytest.mark.parametrize("path", ["a", "a/b/c", "..a", "a..b/c", "-x", "a b", "größe", "...a", "con1", "nul-", "x.nul"])
def test_a_path_inside_the_artifact_is_taken(sign, path):
    values = edited(("files",), {**VALUES["files"], path: {"sha256": "0" * 64, "bytes": 0}})
    assert path in Manifest.parse(sign(values)).files


@settings(deadline=None)
@given(st.lists(st.sampled_from(["..", ".", "", "a", "b", "\\", ":", "/", "\0", "...a"]), max_size=6))
def test_a_path_is_taken_only_if_it_stays_inside_its_folder(sign, parts):
    path = "/".join(parts)
    values = edited(("files",), {**VALUES["files"], path: {"sha256": "0" * 64, "bytes": 0}})
    stays = os.path.normpath("/folder/" + path) == "/folder/" + path and not set(path) & set("\\:\0")
    if stays:
        assert path in Manifest.parse(sign(values)).files
    else:
        with pytest.raises(ManifestError, match="must be a relative path inside the artifact"):
            Manifest.parse(sign(values))


def test_the_manifest_does_not_list_itself(sign):
    values = edited(("files",), {**VALUES["files"], "manifest.json": {"sha256": "0" * 64, "bytes": 0}})
    with pytest.raises(ManifestError, match=r"files must not list manifest\.json itself"):
        Manifest.parse(sign(values))


@pytest.mark.parametrize("path", ["onnx/other.onnx", "on", "saved_model/2", "nothing"])
def test_a_format_without_a_listed_file_is_refused(sign, path):
    message = f"formats.onnx.path is {path!r}, but no such file is listed in files"
    with pytest.raises(ManifestError, match=re.escape(message)):
        Manifest.parse(sign(edited(("formats", "onnx", "path"), path)))


def test_a_format_with_a_signature_that_is_not_there_is_refused(sign):
    with pytest.raises(
        ManifestError, match=r"formats\.onnx\.signatures names 'encode', which signatures does not have"
    ):
        Manifest.parse(sign(edited(("formats", "onnx", "signatures"), ["decode", "encode"])))


@pytest.mark.parametrize("path", ["/".join("a" * 16), "é" * 127, "/".join(["a" * 200] * 5)])
def test_the_deepest_and_the_longest_path_are_taken(sign, path):
    values = edited(("files",), {**VALUES["files"], path: {"sha256": "0" * 64, "bytes": 0}})
    assert path in Manifest.parse(sign(values)).files


def test_as_many_files_as_an_artifact_may_have_are_taken(sign):
    more = {f"f/{i}": {"sha256": "0" * 64, "bytes": 1} for i in range(MAX_FILES - len(VALUES["files"]))}
    assert len(Manifest.parse(sign(edited(("files",), {**VALUES["files"], **more}))).files) == MAX_FILES


def test_as_many_classes_as_a_model_may_have_are_taken(sign):
    values = edited(("classes",), [str(i) for i in range(20_000)])
    del values["signatures"]["mix"]
    values["formats"]["saved_model"]["signatures"] = ["decode"]
    assert len(Manifest.parse(sign(values)).classes) == 20_000


# Fields to come


@pytest.mark.parametrize(
    "path",
    [("new",), ("formats", "onnx", "new"), ("files", "README.md", "new"), ("signatures", "decode", "new"),
     ("signatures", "decode", "inputs", "z", "new"), ("formats", "onnx", "parity", "new")],
)  # fmt: skip
def test_a_field_that_a_later_sdk_adds_is_ignored(sign, path):
    assert Manifest.parse(sign(edited(path, [1, None]))) == Manifest.parse(sign(VALUES))


@pytest.mark.parametrize("path", [("new",), ("training", "seed")])
def test_a_manifest_s_digest_is_the_one_in_its_file(sign, path):
    content = sign(edited(path, None))
    assert Manifest.parse(content).digest == json.loads(content)["digest"]


# subset


def test_a_subset_has_its_formats_files_the_extra_ones_and_the_signatures_they_carry(sign):
    whole = Manifest.parse(sign(VALUES))
    subset = whole.subset(("onnx",), ("golden.npz",))
    assert set(subset.files) == {"onnx/decoder.onnx", "golden.npz"}
    assert set(subset.formats) == {"onnx"}
    assert set(subset.signatures) == {"decode"}
    same = {"signatures": whole.signatures, "formats": whole.formats, "files": whole.files}
    assert dataclasses.replace(subset, **same) == whole


def test_a_subset_takes_a_format_s_whole_folder_and_not_one_that_starts_like_it(sign):
    subset = Manifest.parse(sign(VALUES)).subset(("saved_model",), ())
    assert set(subset.files) == {"saved_model/1/saved_model.pb"}
    assert set(subset.signatures) == {"decode", "mix"}


def test_a_subset_leaves_out_signatures_whose_files_lie_elsewhere(sign):
    values = edited(("formats", "onnx", "files"), {"decode": ["onnx/decoder.onnx"], "mix": ["onnx/mix.onnx"]})
    values["formats"]["onnx"]["signatures"] = ["decode", "mix"]
    values["files"]["onnx/mix.onnx"] = {"sha256": "0" * 64, "bytes": 1}
    whole = Manifest.parse(sign(values))
    subset = whole.subset(("onnx",), ())
    assert set(subset.files) == {"onnx/decoder.onnx"}
    assert set(subset.signatures) == set(subset.formats["onnx"].signatures) == {"decode"}
    assert subset.formats["onnx"].files == {"decode": ("onnx/decoder.onnx",)}
    assert Manifest.parse(subset.to_bytes()) == subset
    assert set(whole.subset(("onnx",), ("onnx/mix.onnx",)).signatures) == {"decode", "mix"}


def two_files() -> dict[str, Any]:
    """VALUES with an ONNX file for each of decode and mix."""
    values = edited(("formats", "onnx", "files"), {"decode": ["onnx/decoder.onnx"], "mix": ["onnx/mix.onnx"]})
    values["formats"]["onnx"]["signatures"] = ["decode", "mix"]
    values["files"]["onnx/mix.onnx"] = {"sha256": "0" * 64, "bytes": 1}
    return values


@pytest.mark.parametrize(
    ("kept", "path", "files"),
    [
        (("mix",), "onnx/mix.onnx", {"onnx/mix.onnx", "golden.npz"}),
        (("decode",), "onnx/decoder.onnx", {"onnx/decoder.onnx", "golden.npz"}),
        (("mix", "decode"), "onnx/decoder.onnx", {"onnx/decoder.onnx", "onnx/mix.onnx", "golden.npz"}),
    ],
)
def test_a_subset_of_signatures_has_their_files_and_points_at_the_first(sign, kept, path, files):
    subset = Manifest.parse(sign(two_files())).subset(("onnx",), ("golden.npz",), kept)
    assert set(subset.files) == files
    assert set(subset.signatures) == set(subset.formats["onnx"].signatures) == set(kept)
    assert subset.formats["onnx"].path == path
    assert Manifest.parse(subset.to_bytes()) == subset


def test_a_subset_of_signatures_ships_whole_a_format_that_holds_them_together(sign):
    whole = Manifest.parse(sign(VALUES))
    assert whole.subset(("saved_model",), (), ("mix",)) == whole.subset(("saved_model",), ())


def test_a_subset_of_signatures_that_a_format_has_none_of_is_refused(sign):
    whole = Manifest.parse(sign(two_files()))
    with pytest.raises(ManifestError, match=re.escape("none of encode is among the signatures decode, mix of onnx")):
        whole.subset(("onnx",), (), ("encode",))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "formats.onnx.files must have decode, got "),
        ({"decode": ["onnx/decoder.onnx"], "mix": ["golden.npz"]}, "must have decode, got decode, mix"),
        (
            {"decode": ["onnx/other.onnx"]},
            "formats.onnx.files.decode names 'onnx/other.onnx', which files does not list",
        ),
    ],
)
def test_files_of_other_signatures_or_that_are_not_listed_are_refused(sign, files, message):
    with pytest.raises(ManifestError, match=re.escape(message)):
        Manifest.parse(sign(edited(("formats", "onnx", "files"), files)))


def test_a_subset_is_a_manifest_of_its_own(sign):
    whole = Manifest.parse(sign(VALUES))
    subset = whole.subset(("onnx",), ())
    assert Manifest.parse(subset.to_bytes()) == subset
    assert subset.digest != whole.digest
    assert whole == Manifest.parse(sign(VALUES))


def test_the_subset_of_every_format_and_file_is_the_manifest(sign):
    whole = Manifest.parse(sign(VALUES))
    assert whole.subset(tuple(whole.formats), tuple(whole.files)) == whole
