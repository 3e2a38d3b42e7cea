"""What can be wrong with golden.npz, listed as it is."""

import io
import zipfile
from collections.abc import Callable

import numpy as np

from cvae_sdk import ArtifactError, GoldenError
from faults.fault import GOLDEN, Fault, Planting

MANY = 12
NAMES = ("z", "label", "image")


def arrays_of(planting: Planting) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(planting.files[GOLDEN])) as file:
        return dict(file)


def packed(arrays: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def edit(change: Callable[[dict[str, np.ndarray], Planting], object]) -> Callable[[Planting], None]:
    """Arrays that are changed, and listed as they are."""

    def plant(planting: Planting) -> None:
        arrays = arrays_of(planting)
        change(arrays, planting)
        planting.files[GOLDEN] = packed(arrays)
        planting.write()

    return plant


def one_array(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Planting], None]:
    """One of the three arrays is changed."""

    def spoil(arrays: dict[str, np.ndarray], planting: Planting) -> None:
        name = planting.rng.choice(NAMES)
        arrays[name] = change(arrays[name])

    return edit(spoil)


def raw(make: Callable[[bytes, Planting], bytes]) -> Callable[[Planting], None]:
    def plant(planting: Planting) -> None:
        planting.files[GOLDEN] = make(planting.files[GOLDEN], planting)
        planting.write()

    return plant


def members(planting: Planting) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(planting.files[GOLDEN])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(contents: dict[str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.comment = comment
        for name, content in contents.items():
            archive.writestr(name, content)
    return file.getvalue()


def one_member(change: Callable[[bytes, Planting], bytes]) -> Callable[[Planting], None]:
    """One of the three arrays' own bytes are changed."""

    def make(content: bytes, planting: Planting) -> bytes:
        contents = members(planting)
        name = planting.rng.choice(sorted(contents))
        return zipped({**contents, name: change(contents[name], planting)})

    return raw(make)


def bomb(content: bytes, planting: Planting) -> bytes:
    """A few kilobytes that are a gigabyte, were they inflated."""
    zeros = zipped({"z.npy": bytes(planting.rng.randint(2**22, 2**23))}, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(io.BytesIO(zeros)) as archive:
        blown = archive.read("z.npy")
    return zipped({**members(planting), "z.npy": blown}, zipfile.ZIP_DEFLATED)


def patched(at: dict[bytes, int], value: bytes) -> Callable[[bytes, Planting], bytes]:
    """Bytes of a zip's own records, at an offset from the record's signature, in all of them."""

    def make(content: bytes, planting: Planting) -> bytes:
        changed = bytearray(content)
        for signature, offset in at.items():
            start = changed.find(signature)
            while start >= 0:
                changed[start + offset : start + offset + len(value)] = value
                start = changed.find(signature, start + 4)
        return bytes(changed)

    return make


def headed(header: bytes, content: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + content


def header_of(text: bytes) -> Callable[[Planting], None]:
    return one_member(lambda content, p: headed(text + b"\n", bytes(999)))


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"

FAULTS = tuple(
    Fault(f"golden: {name}", plant, error, GOLDEN, says, variants)
    for name, plant, error, says, variants in (
        ("no bytes", raw(lambda content, p: b""), ArtifactError, ("expected", "found"), 1),
        ("random bytes", raw(lambda content, p: p.rng.randbytes(p.rng.randint(1, 9999))), ArtifactError, ("expected", "found"), MANY),
        ("a pickle", raw(lambda content, p: b"\x80\x04K\x01."), ArtifactError, ("expected", "found"), 1),
        ("cut", raw(lambda content, p: content[: p.rng.randrange(len(content))]), ArtifactError, ("expected", "found"), MANY),
        ("cut at the front", raw(lambda content, p: content[p.rng.randrange(1, len(content)) :]), ArtifactError, ("expected", "found"), MANY),
        ("a zip of no files", raw(lambda content, p: zipped({})), ArtifactError, ("expected", "found"), 1),
        ("a zip of a file more", raw(lambda content, p: zipped({**members(p), "x.npy": b""})), ArtifactError, ("expected", "found"), 1),
        ("a zip of a file less", edit(lambda arrays, p: arrays.pop(p.rng.choice(NAMES))), ArtifactError, ("expected", "found"), MANY),
        ("a zip of a hundred thousand files", raw(lambda content, p: zipped({str(i): b"" for i in range(3000)})), ArtifactError, ("expected", "found"), 1),
        ("a zip that says it has three", raw(lambda content, p: patched({END: 10}, b"\3\0")(zipped({str(i): b"" for i in range(3000)}), p)), ArtifactError, ("expected", "found"), 1),
        ("a zip of other names", raw(lambda content, p: zipped({f"{name}x": data for name, data in members(p).items()})), ArtifactError, ("expected", "found"), 1),
        ("a zip of a name that leads outside", raw(lambda content, p: zipped({"../" + n if n == "z.npy" else n: d for n, d in members(p).items()})), ArtifactError, ("expected", "found"), 1),
        ("a zip with a comment", raw(lambda content, p: zipped(members(p), comment=p.rng.randbytes(p.rng.randint(1, 99)))), ArtifactError, ("expected", "found"), MANY),
        ("a zip that is encrypted", raw(patched({LOCAL: 6, CENTRAL: 8}, b"\1")), ArtifactError, ("field", "expected", "found"), 1),
        ("a zip of another compression", raw(lambda content, p: zipped(members(p), zipfile.ZIP_LZMA)), ArtifactError, ("field", "expected", "found"), 1),
        ("a zip of an unknown compression", raw(patched({LOCAL: 8, CENTRAL: 10}, b"\x63\0")), ArtifactError, ("field", "expected", "found"), 1),
        ("a zip bomb", raw(bomb), ArtifactError, ("expected", "found"), 3),
        ("a zip that lies about its sizes", raw(patched({CENTRAL: 24}, b"\xff\xff\xff\x7f")), ArtifactError, ("expected", "found"), 1),
        ("a zip of other checksums", raw(patched({LOCAL: 14, CENTRAL: 16}, b"\1\2\3\4")), ArtifactError, ("expected", "found"), 1),
        ("a zip of damaged deflate", raw(lambda content, p: patched({LOCAL: 40}, b"\xff" * 8)(zipped(members(p), zipfile.ZIP_DEFLATED), p)), ArtifactError, ("expected", "found"), 1),
        ("a list that points elsewhere", raw(patched({CENTRAL: 42}, b"\xff\xff\0\0")), ArtifactError, ("expected", "found"), 1),
        ("an array of no bytes", one_member(lambda content, p: b""), ArtifactError, ("field", "expected", "found"), MANY),
        ("an array of text", one_member(lambda content, p: b"hello" * p.rng.randint(1, 99)), ArtifactError, ("field", "expected", "found"), MANY),
        ("an array that is cut", one_member(lambda content, p: content[: -p.rng.randint(1, 40)]), ArtifactError, ("field", "expected", "found"), MANY),
        ("an array that goes on", one_member(lambda content, p: content + b"\0" * p.rng.randint(1, 99)), ArtifactError, ("field", "expected", "found"), MANY),
        ("an array of another version", one_member(lambda content, p: content[:6] + bytes([p.rng.choice([0, 2, 3, 9])]) + content[7:]), ArtifactError, ("field", "expected", "found"), MANY),
        ("a header longer than the array", one_member(lambda content, p: content[:8] + b"\xff\xff" + content[10:]), ArtifactError, ("field", "expected", "found"), MANY),
        ("a header that is Python", header_of(b"__import__('os').system('true')"), ArtifactError, ("field", "expected", "found"), 1),
        ("a header of brackets", header_of(b"(" * 900), ArtifactError, ("field", "expected", "found"), 1),
        ("a header with an escape that warns", header_of(rb"{'descr': '\d', 'fortran_order': False, 'shape': (3,), }"), ArtifactError, ("field", "expected", "found"), 1),
        ("a header of a huge array", header_of(b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000, 10), }"), ArtifactError, ("field", "expected", "found"), 1),
        ("a header of columns first", header_of(b"{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }"), ArtifactError, ("field", "expected", "found"), 1),
        ("objects", one_array(lambda array: np.array([{}], object)), ArtifactError, ("field", "expected", "found"), MANY),
        ("text", one_array(lambda array: np.array(["x"] * 3)), ArtifactError, ("field", "expected", "found"), MANY),
        ("doubles", one_array(lambda array: array.astype(np.float64)), ArtifactError, ("field", "expected", "found"), MANY),
        ("complex numbers", one_array(lambda array: array.astype(complex)), ArtifactError, ("field", "expected", "found"), MANY),
        ("the other byte order", one_array(lambda array: array.astype(array.dtype.newbyteorder(">"))), ArtifactError, ("field", "expected", "found"), MANY),
        ("a row less in one array", one_array(lambda array: array[:-1]), ArtifactError, ("field", "expected", "found"), MANY),
        ("an axis more in one array", one_array(lambda array: array[..., None]), ArtifactError, ("field", "expected", "found"), MANY),
        ("an axis less in one array", one_array(lambda array: array[0]), ArtifactError, ("field", "expected", "found"), MANY),
        ("no rows", edit(lambda arrays, p: arrays.update({name: array[:0] for name, array in arrays.items()})), ArtifactError, ("field", "expected", "found"), 1),
        ("latents that are NaN", edit(lambda arrays, p: arrays["z"].__setitem__((p.rng.randrange(len(arrays["z"])), 1), np.nan)), ArtifactError, ("field", "expected", "found"), MANY),
        ("a label that is no class", edit(lambda arrays, p: arrays["label"].__setitem__(p.rng.randrange(len(arrays["z"])), p.rng.choice([-1, 3, 2**31 - 1]))), ArtifactError, ("field", "expected", "found"), MANY),
        ("a pixel that is another", edit(lambda arrays, p: arrays["image"].reshape(-1).__setitem__(p.rng.randrange(arrays["image"].size), p.rng.choice([-1.0, 2.0, np.nan, np.inf]))), GoldenError, ("field", "expected", "found"), MANY),
        ("labels in another order", edit(lambda arrays, p: arrays.update(label=(arrays["label"] + p.rng.randint(1, 2)) % 3)), GoldenError, ("field", "expected", "found"), MANY),
        ("images in another order", edit(lambda arrays, p: arrays.update(image=arrays["image"][::-1])), GoldenError, ("field", "expected", "found"), 1),
    )
)  # fmt: skip
