"""What can be wrong with manifest.json: its bytes, each of its fields, and what they say of each other."""

import json
from collections.abc import Callable
from typing import Any

from cvae_sdk import ManifestError, SchemaVersionError
from faults.fault import GOLDEN, MANIFEST, ONNX, Fault, Planting, sign_values

MANY = 12
DEEPER = 20
WRONG = [None, True, -1, 1.5, "x", [], {}, [1], {"a": 1}, 10**400, ""]


def edit(change: Callable[[dict[str, Any], Planting], object]) -> Callable[[Planting], None]:
    """Values that are changed, and signed again."""

    def plant(planting: Planting) -> None:
        planting.write()
        change(planting.values, planting)
        planting.path(MANIFEST).write_bytes(sign_values(planting.values))

    return plant


def raw(make: Callable[[bytes, Planting], bytes]) -> Callable[[Planting], None]:
    """Bytes that are changed, and not signed again."""

    def plant(planting: Planting) -> None:
        planting.write()
        planting.path(MANIFEST).write_bytes(make(planting.path(MANIFEST).read_bytes(), planting))

    return plant


def at(*steps: str | int) -> Callable[[dict[str, Any]], tuple[Any, str | int]]:
    def find(values: dict[str, Any]) -> tuple[Any, str | int]:
        place: Any = values
        for step in steps[:-1]:
            place = place[step]
        return place, steps[-1]

    return find


def put(value: Any, *steps: str | int) -> Callable[[Planting], None]:
    def change(values: dict[str, Any], planting: Planting) -> None:
        place, last = at(*steps)(values)
        place[last] = value(planting) if callable(value) else value

    return edit(change)


def drop(*steps: str | int) -> Callable[[Planting], None]:
    def change(values: dict[str, Any], planting: Planting) -> None:
        place, last = at(*steps)(values)
        del place[last]

    return edit(change)


def any_but(*kinds: type) -> Callable[[Planting], Any]:
    """A value that is of none of these types."""
    return lambda planting: planting.rng.choice([value for value in WRONG if type(value) not in kinds])


def renamed(path: Callable[[Planting], str]) -> Callable[[Planting], None]:
    """The goldens are listed under another name."""

    def change(values: dict[str, Any], planting: Planting) -> None:
        values["files"][path(planting)] = values["files"].pop(GOLDEN)

    return edit(change)


def listed_too(*paths: str) -> Callable[[Planting], None]:
    return edit(lambda values, p: values["files"].update({path: {"bytes": 0, "sha256": "0" * 64} for path in paths}))


def nested(planting: Planting) -> Any:
    value: Any = 0
    for _ in range(planting.rng.randint(64, 300)):
        value = [value] if planting.rng.random() < 0.5 else {"a": value}
    return value


def inside(parts: list[str]) -> Callable[[Planting], str]:
    """A path with one of these parts in a random place."""

    def path(planting: Planting) -> str:
        between = [planting.rng.choice("abc") for _ in range(planting.rng.randint(1, 3))]
        between.insert(planting.rng.randint(0, len(between)), planting.rng.choice(parts))
        return "/".join(between)

    return path


def add_format(**fields: Any) -> Callable[[Planting], None]:
    return edit(lambda values, p: values["formats"].update(other={**values["formats"]["onnx"], **fields}))


ONNX_FORM = ("formats", "onnx")
DECODE = ("signatures", "decode")
RECORD = ("files", GOLDEN)

FIELDS = (
    Fault("manifest: the schema's version is missing", drop("schema_version"), ManifestError, says=("field", "expected")),
    Fault("manifest: the schema's version is no integer", put(any_but(int, type(None)), "schema_version"), ManifestError, variants=MANY),
    Fault("manifest: the schema's version is 0 or less", put(lambda p: -p.rng.randrange(99), "schema_version"), ManifestError, variants=MANY),
    Fault("manifest: the schema is newer", put(lambda p: p.rng.randint(3, 10**6), "schema_version"), SchemaVersionError, variants=MANY),
    Fault("manifest: the name is missing", drop("name"), ManifestError, says=("field", "expected")),
    Fault("manifest: the name is no text", put(any_but(str, type(None)), "name"), ManifestError, variants=MANY),
    Fault("manifest: the version is no integer", put(any_but(int, type(None)), "version"), ManifestError, variants=MANY),
    Fault("manifest: the version has more than 63 bits", put(lambda p: p.rng.randint(2**63, 2**80), "version"), ManifestError, variants=MANY),
    Fault("manifest: the date is no text", put(any_but(str, type(None)), "created"), ManifestError, variants=MANY),
    Fault("manifest: there are no classes", put([], "classes"), ManifestError),
    Fault("manifest: the classes are no list", put(any_but(list, type(None)), "classes"), ManifestError, variants=MANY),
    Fault("manifest: a class is no text", put(any_but(str, type(None)), "classes", 1), ManifestError, variants=MANY),
    Fault("manifest: a class is there twice", put("circle", "classes", 1), ManifestError),
    Fault("manifest: there are more classes than any model has", put([str(i) for i in range(20_001)], "classes"), ManifestError),
    Fault("manifest: latent_dim is no integer", put(any_but(int, type(None)), "latent_dim"), ManifestError, variants=MANY),
    Fault("manifest: latent_dim is not the signature's", put(lambda p: p.rng.randint(3, 999), "latent_dim"), ManifestError, variants=MANY),
    Fault("manifest: latent_dim is larger than any model's", put(lambda p: p.rng.randint(2**20 + 1, 2**62), "latent_dim"), ManifestError, variants=MANY),
    Fault("manifest: image_shape has not 3 sizes", put(lambda p: [4] * p.rng.choice([0, 1, 2, 4, 9]), "image_shape"), ManifestError, variants=MANY),
    Fault("manifest: image_shape has not 1 or 3 channels", put(lambda p: p.rng.choice([2, 4, 5, 64]), "image_shape", 2), ManifestError, variants=MANY),
    Fault("manifest: image_shape is larger than any image", put(lambda p: p.rng.randint(2**16 + 1, 2**62), "image_shape", 0), ManifestError, variants=MANY),
    Fault("manifest: image_shape is not the signature's", put(lambda p: p.rng.randint(6, 99), "image_shape", 0), ManifestError, variants=MANY),
    Fault("manifest: there are no signatures", drop("signatures"), ManifestError, says=("field", "expected")),
    Fault("manifest: there are more signatures than any artifact has", put({f"s{i}": {"inputs": {}, "outputs": {}} for i in range(257)}, "signatures"), ManifestError),
    Fault("manifest: a signature's name is of two lines", put({"inputs": {}, "outputs": {}}, "signatures", "a\nb"), ManifestError),
    Fault("manifest: a signature is no object", put(any_but(dict, type(None)), *DECODE), ManifestError, variants=MANY),
    Fault("manifest: decode takes no latents", drop(*DECODE, "inputs", "z"), ManifestError),
    Fault("manifest: decode takes something else too", put({"dtype": "float32", "shape": ["batch"]}, *DECODE, "inputs", "noise"), ManifestError),
    Fault("manifest: decode gives no image", drop(*DECODE, "outputs", "image"), ManifestError),
    Fault("manifest: decode takes float labels", put("float32", *DECODE, "inputs", "label", "dtype"), ManifestError),
    Fault("manifest: a tensor's dtype is unknown", put(lambda p: p.rng.choice(["float64", "f4", "object", "complex64"]), *DECODE, "inputs", "z", "dtype"), ManifestError, variants=MANY),
    Fault("manifest: a tensor has no shape", drop(*DECODE, "inputs", "z", "shape"), ManifestError, says=("field", "expected")),
    Fault("manifest: a tensor's axis is 0 or less", put(lambda p: -p.rng.randrange(99), *DECODE, "inputs", "z", "shape", 1), ManifestError, variants=MANY),
    Fault("manifest: a tensor has more axes than any has", put(["batch"] * 9, *DECODE, "inputs", "z", "shape"), ManifestError),
    Fault("manifest: mix takes other weights than there are classes", put(lambda p: p.rng.randint(4, 99), "signatures", "mix", "inputs", "class_weights", "shape", 1), ManifestError, variants=MANY),
    Fault("manifest: encode gives no mean", put({"inputs": {}, "outputs": {}}, "signatures", "encode"), ManifestError),
    Fault("manifest: the formats are no object", put(any_but(dict, type(None)), "formats"), ManifestError, variants=MANY),
    Fault("manifest: a format's name is of two lines", edit(lambda values, p: values["formats"].update({"a\nb": values["formats"]["onnx"]})), ManifestError),
    Fault("manifest: a format has no path", drop(*ONNX_FORM, "path"), ManifestError, says=("field", "expected")),
    Fault("manifest: a format's path leads outside", put(lambda p: p.rng.choice(["..", "../x", "/etc", "a/../../b"]), *ONNX_FORM, "path"), ManifestError, variants=MANY),
    Fault("manifest: a format's path is not listed", put(lambda p: p.rng.choice(["x", "onn", "onnx/d", "onnx/decoder.onnx/x"]), *ONNX_FORM, "path"), ManifestError, variants=MANY),
    Fault("manifest: a format has a signature that is not there", put(["decode", "dream"], *ONNX_FORM, "signatures"), ManifestError),
    Fault("manifest: a format has no parity", drop(*ONNX_FORM, "parity"), ManifestError, says=("field", "expected")),
    Fault("manifest: a parity is negative", put(lambda p: -p.rng.random(), *ONNX_FORM, "parity", "max_abs_error"), ManifestError, variants=MANY),
    Fault("manifest: a parity is beyond float64", put(10**400, *ONNX_FORM, "parity", "tolerance"), ManifestError),
    Fault("manifest: a parity is of no cases", put(0, *ONNX_FORM, "parity", "cases"), ManifestError),
    Fault("manifest: an opset is no integer", put(any_but(int, type(None)), *ONNX_FORM, "opset"), ManifestError, variants=MANY),
    Fault("manifest: the ONNX decoder has no file", put([], *ONNX_FORM, "files", "decode"), ManifestError),
    Fault("manifest: the ONNX decoder has two files", put([ONNX, GOLDEN], *ONNX_FORM, "files", "decode"), ManifestError),
    Fault("manifest: a signature's files are those of another", put({"mix": [ONNX]}, *ONNX_FORM, "files"), ManifestError),
    Fault("manifest: a signature's file is not listed", put(["onnx/other.onnx"], *ONNX_FORM, "files", "decode"), ManifestError),
    Fault("manifest: another format's signature has no file", add_format(files={"decode": []}), ManifestError),
    Fault("manifest: the files are no object", put(any_but(dict, type(None)), "files"), ManifestError, variants=MANY),
    Fault("manifest: there are more files than any artifact has", edit(lambda values, p: values["files"].update({f"f{i}": {"bytes": 0, "sha256": "0" * 64} for i in range(2048)})), ManifestError),
    Fault("manifest: a file's record is no object", put(any_but(dict, type(None)), *RECORD), ManifestError, variants=MANY),
    Fault("manifest: a file's size is negative", put(lambda p: -p.rng.randint(1, 99), *RECORD, "bytes"), ManifestError, variants=MANY),
    Fault("manifest: a file's size is beyond any disk", put(lambda p: p.rng.randint(2**38 + 1, 2**62), *RECORD, "bytes"), ManifestError, variants=MANY),
    Fault("manifest: the files are together beyond any disk", put(2**38, *RECORD, "bytes"), ManifestError),
    Fault("manifest: a file has no hash", drop(*RECORD, "sha256"), ManifestError, says=("field", "expected")),
    Fault("manifest: a hash is too short", put(lambda p: "0" * p.rng.randint(1, 63), *RECORD, "sha256"), ManifestError, variants=MANY),
    Fault("manifest: a hash is in capitals", put("AB" * 32, *RECORD, "sha256"), ManifestError),
    Fault("manifest: the training is no object", put(any_but(dict, type(None)), "training"), ManifestError, variants=MANY),
)  # fmt: skip

PATHS = (
    Fault("manifest: a path is absolute", renamed(lambda p: "/" + p.rng.choice(["etc/passwd", "a", ""])), ManifestError, variants=MANY),
    Fault("manifest: a path leads outside", renamed(inside([".."])), ManifestError, variants=MANY),
    Fault("manifest: a path has a step to itself", renamed(inside(["."])), ManifestError, variants=MANY),
    Fault("manifest: a path has an empty name", renamed(inside([""])), ManifestError, variants=MANY),
    Fault("manifest: a path is of another system", renamed(inside(["a\\b", "C:", "\\\\host\\share", "a:stream"])), ManifestError, variants=MANY),
    Fault("manifest: a path has a NUL", renamed(inside(["a\0b", "\0"])), ManifestError, variants=MANY),
    Fault("manifest: a path has a control character", renamed(inside(["a\nb", "\x1b[2J", "\x7f", "\u202e", "\u200b"])), ManifestError, variants=MANY),
    Fault("manifest: a path is not in NFC", renamed(inside(["e\u0301", "u\u0308", "\u212b"])), ManifestError, variants=MANY),
    Fault("manifest: a path has a name that Windows keeps", renamed(inside(["con", "NUL", "com1.txt", "Lpt9", "aux.x.y"])), ManifestError, variants=MANY),
    Fault("manifest: a path has a character that Windows keeps", renamed(inside(["a*", "a?", "<", "a|b", '"'])), ManifestError, variants=MANY),
    Fault("manifest: a path ends in a dot or a space", renamed(inside(["a.", "a ", "...", " "])), ManifestError, variants=MANY),
    Fault("manifest: a name is longer than systems hold", renamed(inside(["é" * 128, "a" * 256])), ManifestError, variants=MANY),
    Fault("manifest: a path is longer than systems hold", renamed(lambda p: "/".join(["a" * 200] * p.rng.randint(6, 15))), ManifestError, variants=MANY),
    Fault("manifest: a path is deeper than any", renamed(lambda p: "/".join("a" * p.rng.randint(17, 400))), ManifestError, variants=MANY),
    Fault("manifest: two paths differ in case alone", listed_too("Golden.npz"), ManifestError),
    Fault("manifest: two folders differ in case alone", listed_too("ONNX/other"), ManifestError),
    Fault("manifest: a path is a file and a folder", listed_too("golden.npz/x"), ManifestError),
    Fault("manifest: it lists itself", listed_too("manifest.json"), ManifestError),
    Fault("manifest: it lists itself in other case", listed_too("Manifest.JSON"), ManifestError),
    Fault("manifest: it lists the signature over it", listed_too("model.sig"), ManifestError),
)  # fmt: skip

BYTES = (
    Fault("manifest: no JSON", raw(lambda content, p: p.rng.randbytes(p.rng.randint(1, 5000))), ManifestError, variants=MANY),
    Fault("manifest: no UTF-8", raw(lambda content, p: content.replace(b"golden", b"g\xff\xfelden", 1)), ManifestError),
    Fault("manifest: UTF-16", raw(lambda content, p: content.decode().encode("utf-16")), ManifestError),
    Fault("manifest: a byte-order mark", raw(lambda content, p: b"\xef\xbb\xbf" + content), ManifestError),
    Fault("manifest: NaN", put(float("nan"), "training", "loss"), ManifestError),
    Fault("manifest: infinity", put(float("inf"), "training", "loss"), ManifestError),
    Fault("manifest: a number beyond float64", raw(lambda content, p: content.replace(b'"bytes": 2252', b'"bytes": 1e999')), ManifestError),
    Fault("manifest: half a pair of surrogates", put("\ud800", "name"), ManifestError),
    Fault("manifest: an integer of thousands of digits", put(lambda p: 10 ** p.rng.randint(20, 4000), "training", "n"), ManifestError, variants=0),
    Fault("manifest: nested deeper than is read", put(nested, "training", "deep"), ManifestError, variants=DEEPER),
    Fault("manifest: nested deeper than Python recurses", raw(lambda content, p: b"[" * p.rng.randint(2000, 10**6)), ManifestError, variants=MANY),
    Fault("manifest: more values than are read", put([0] * 100_000, "training", "many"), ManifestError),
    Fault("manifest: a list in place of the object", raw(lambda content, p: b"[" + content + b"]"), ManifestError),
    Fault("manifest: a value in place of the object", raw(lambda content, p: p.rng.choice([b"1", b"null", b'"x"', b"true"])), ManifestError, says=("field", "expected"), variants=MANY),
    Fault("manifest: no digest", raw(lambda content, p: json.dumps({k: v for k, v in json.loads(content).items() if k != "digest"}).encode()), ManifestError, says=("field", "found")),
    Fault("manifest: another digest", raw(lambda content, p: content.replace(json.loads(content)["digest"].encode(), p.rng.randbytes(32).hex().encode())), ManifestError, variants=MANY),
    Fault("manifest: a value changed after signing", raw(lambda content, p: content.replace(b'"golden"', b'"other"', 1)), ManifestError),
    Fault("manifest: a name twice in one object", raw(lambda content, p: content.replace(b'"name": "golden",', b'"name": "evil",\n  "name": "golden",')), ManifestError),
    Fault("manifest: other spaces", raw(lambda content, p: content.replace(b"  ", b" " * p.rng.choice([1, 3, 4]))), ManifestError, variants=3),
    Fault("manifest: another order", raw(lambda content, p: json.dumps(dict(reversed(json.loads(content).items())), indent=2, ensure_ascii=False).encode() + b"\n"), ManifestError),
    Fault("manifest: lines end as on Windows", raw(lambda content, p: content.replace(b"\n", b"\r\n")), ManifestError),
    Fault("manifest: no end of the last line", raw(lambda content, p: content[:-1]), ManifestError),
    Fault("manifest: a letter is escaped", raw(lambda content, p: content.replace("ß".encode(), b"\\u00df")), ManifestError),
)  # fmt: skip

FAULTS = (*FIELDS, *PATHS, *(fault for fault in BYTES if fault.variants))
