"""What can be wrong with a folder: what lies in it, and what happens to it while it is read."""

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cvae_sdk import (
    ArtifactNotFoundError,
    FileHashError,
    FileSizeError,
    ManifestError,
    MissingFileError,
    NotRegularFileError,
    Sampler,
    UnlistedFileError,
    UnreadableFileError,
)
from cvae_sdk.artifact import Artifact
from faults.fault import GOLDEN, MANIFEST, ONNX, Fault, Planting

FILE = ("expected", "found")
MANY = 12


def after(spoil: Callable[[Planting], object]) -> Callable[[Planting], None]:
    """Written whole, then spoiled."""

    def plant(planting: Planting) -> None:
        planting.write()
        spoil(planting)

    return plant


def read_after(spoil: Callable[[Planting], object], path: str = GOLDEN) -> Callable[[Planting], None]:
    """Opened whole, then spoiled, then read."""

    def act(planting: Planting) -> None:
        artifact = Artifact.open(planting.folder)
        spoil(planting)
        artifact.read(path)

    return act


def flip(path: str) -> Callable[[Planting], None]:
    def spoil(planting: Planting) -> None:
        content = bytearray(planting.path(path).read_bytes())
        content[planting.rng.randrange(len(content))] ^= 1 << planting.rng.randrange(8)
        planting.path(path).write_bytes(content)

    return spoil


def overwrite(path: str) -> Callable[[Planting], None]:
    """As long as before, all of it other."""
    return lambda p: p.path(path).write_bytes(p.rng.randbytes(len(p.files[path])))


def swap_bytes(path: str) -> Callable[[Planting], None]:
    """Two different bytes change places."""

    def spoil(planting: Planting) -> None:
        content = bytearray(planting.files[path])
        first = planting.rng.randrange(len(content))
        second = planting.rng.choice([i for i in range(len(content)) if content[i] != content[first]])
        content[first], content[second] = content[second], content[first]
        planting.path(path).write_bytes(content)

    return spoil


def resize(path: str, least: int, most: int) -> Callable[[Planting], None]:
    def spoil(planting: Planting) -> None:
        size = len(planting.files[path]) + planting.rng.randint(least, most)
        os.truncate(planting.path(path), max(0, size))

    return spoil


def replace(path: str, put: Callable[[Path], object]) -> Callable[[Planting], None]:
    def spoil(planting: Planting) -> None:
        place = planting.path(path)
        if place.exists():
            place.rename(planting.folder.parent / "moved")
        put(place)

    return spoil


def link_to_moved(place: Path) -> None:
    place.symlink_to(moved_beside(place))


def moved_beside(place: Path) -> Path:
    while not (place / "moved").exists():
        place = place.parent
    return place / "moved"


def unix_socket(place: Path) -> None:
    back = Path.cwd()
    os.chdir(place.parent)  # its address may have 108 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place.name)
    os.chdir(back)


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)


def write_over(path: Path, content: bytes) -> None:
    with path.open("r+b") as file:
        file.write(content)


def extra(path: Callable[[Planting], str], content: bytes = b"x") -> Callable[[Planting], None]:
    def spoil(planting: Planting) -> None:
        planting.path(path(planting)).parent.mkdir(parents=True, exist_ok=True)
        planting.path(path(planting)).write_bytes(content)

    return spoil


def random_name(planting: Planting) -> str:
    state = planting.rng.getstate()
    name = "".join(planting.rng.choices("abcxyz0189._- é", k=planting.rng.randint(1, 40))).strip(" .") + "_"
    planting.rng.setstate(state)
    return name


def failing(call: str, code: int) -> Callable[[Planting], None]:
    """The system's call fails for the model's file."""

    def spoil(planting: Planting) -> None:
        real = getattr(os, call)

        def fails(path: Any, *args: Any, **options: Any) -> Any:
            if str(path).endswith("decoder.onnx"):
                raise OSError(code, os.strerror(code), path)
            return real(path, *args, **options)

        planting.patch.setattr(os, call, fails)

    return spoil


def while_reading(spoil: Callable[[Path], object]) -> Callable[[Planting], None]:
    """The file changes between the look at its size and its reading."""

    def plant(planting: Planting) -> None:
        planting.write()
        real = os.fdopen

        def changed(descriptor: int, *args: Any, **options: Any) -> Any:
            path = planting.path(ONNX)
            file = real(descriptor, *args, **options)
            if os.fstat(descriptor).st_ino != path.stat().st_ino:
                return file

            class Late:
                def __enter__(self) -> Any:
                    return self

                def __exit__(self, *_: object) -> None:
                    file.close()

                def read(self, size: int) -> bytes:
                    spoil(path)
                    return file.read(size)

            return Late()

        planting.patch.setattr(os, "fdopen", changed)

    return plant


def many_folders(planting: Planting) -> None:
    for i in range(50):
        for j in range(50):
            planting.path(f"a{i}/b{j}").mkdir(parents=True)


def without_descriptors(spoil: Callable[[Planting], None]) -> Callable[[Planting], None]:
    """On a system that cannot open relative to a folder."""

    def plant(planting: Planting) -> None:
        planting.patch.setattr("cvae_sdk.regular_files._RELATIVE", False)
        planting.write()
        spoil(planting)

    return plant


def swapped_folder(planting: Planting) -> None:
    """The model's folder becomes a link after it was listed, to one that holds the very same file."""
    planting.path("onnx").rename(planting.folder.parent / "moved")
    planting.path("onnx").symlink_to(planting.folder.parent / "moved", target_is_directory=True)


FAULTS = (
    Fault("files: nothing there", lambda p: None, ArtifactNotFoundError, MANIFEST, FILE),
    Fault("files: an empty folder", lambda p: p.folder.mkdir(), ArtifactNotFoundError, MANIFEST, FILE),
    Fault("files: a file in place of the folder", lambda p: p.folder.write_bytes(b""), ArtifactNotFoundError, MANIFEST, FILE),
    Fault("files: a link to nothing", lambda p: p.folder.symlink_to("nothing"), ArtifactNotFoundError, MANIFEST, FILE),
    Fault("files: a link to itself", lambda p: p.folder.symlink_to(p.folder), ArtifactNotFoundError, MANIFEST, FILE),
    Fault("files: a name that no system can hold", lambda p: None, ArtifactNotFoundError, MANIFEST, FILE, MANY,
          lambda p: Sampler("x" * p.rng.randint(256, 5000))),
    Fault("files: a name with a NUL", lambda p: None, ArtifactNotFoundError, MANIFEST, FILE, 1, lambda p: Sampler("a\0b")),
    Fault("files: the manifest is missing", after(lambda p: p.path(MANIFEST).unlink()), ArtifactNotFoundError, MANIFEST, FILE),
    Fault("files: the manifest is a link", after(replace(MANIFEST, link_to_moved)), NotRegularFileError, MANIFEST, FILE),
    Fault("files: the manifest is a folder", after(replace(MANIFEST, Path.mkdir)), NotRegularFileError, MANIFEST, FILE),
    Fault("files: the manifest is a pipe", after(replace(MANIFEST, os.mkfifo)), NotRegularFileError, MANIFEST, FILE),
    Fault("files: the manifest is a socket", after(replace(MANIFEST, unix_socket)), NotRegularFileError, MANIFEST, FILE),
    Fault("files: the manifest is a device", after(replace(MANIFEST, lambda place: place.symlink_to("/dev/zero"))),
          NotRegularFileError, MANIFEST, FILE),
    Fault("files: the manifest is longer than a mebibyte", after(lambda p: os.truncate(p.path(MANIFEST), p.rng.randint(2**20 + 1, 2**30))),
          ManifestError, MANIFEST, FILE, MANY),
    Fault("files: the manifest is empty", after(lambda p: p.path(MANIFEST).write_bytes(b"")), ManifestError),
    Fault("files: the manifest is cut", after(lambda p: os.truncate(p.path(MANIFEST), p.rng.randint(1, 900))), ManifestError, variants=MANY),
    Fault("files: a bit of the manifest is flipped", after(flip(MANIFEST)), ManifestError, variants=MANY),
    Fault("files: the manifest goes on after its end", after(lambda p: append(p.path(MANIFEST), p.rng.randbytes(9))), ManifestError, variants=MANY),
    Fault("files: the model is missing", after(lambda p: p.path(ONNX).unlink()), MissingFileError, ONNX, ("expected",)),
    Fault("files: the goldens are missing", after(lambda p: p.path(GOLDEN).unlink()), MissingFileError, GOLDEN, ("expected",)),
    Fault("files: the model's folder is missing", after(lambda p: (p.path(ONNX).unlink(), p.path("onnx").rmdir())), MissingFileError, ONNX, ("expected",)),
    Fault("files: the model is a link to the right bytes", after(replace(ONNX, link_to_moved)), NotRegularFileError, ONNX, FILE),
    Fault("files: the model is a link to nothing", after(replace(ONNX, lambda place: place.symlink_to("nothing"))), NotRegularFileError, ONNX, FILE),
    Fault("files: the model is a link to itself", after(replace(ONNX, lambda place: place.symlink_to(place))), NotRegularFileError, ONNX, FILE),
    Fault("files: the model is a folder", after(replace(ONNX, Path.mkdir)), MissingFileError, ONNX, ("expected",)),
    Fault("files: the model is a pipe", after(replace(ONNX, os.mkfifo)), NotRegularFileError, ONNX, FILE),
    Fault("files: the model is a socket", after(replace(ONNX, unix_socket)), NotRegularFileError, ONNX, FILE),
    Fault("files: the model is a device", after(replace(ONNX, lambda place: place.symlink_to("/dev/urandom"))), NotRegularFileError, ONNX, FILE),
    Fault("files: a folder is a link to the right files", after(replace("onnx", link_to_moved)), NotRegularFileError, "onnx", FILE),
    Fault("files: a folder is a file", after(replace("onnx", lambda place: place.write_bytes(b""))), UnlistedFileError, "onnx", FILE),
    Fault("files: a link that is not listed", after(lambda p: p.path(random_name(p)).symlink_to(p.folder)), NotRegularFileError, None, FILE, MANY),
    Fault("files: a pipe that is not listed", after(lambda p: os.mkfifo(p.path(random_name(p)))), NotRegularFileError, None, FILE, MANY),
    Fault("files: a file that is not listed", after(extra(random_name)), UnlistedFileError, None, FILE, MANY),
    Fault("files: a file that is not listed in a folder that is", after(extra(lambda p: "onnx/" + random_name(p))), UnlistedFileError, None, FILE, MANY),
    Fault("files: a file that is not listed in a folder of its own", after(extra(lambda p: "new/" + random_name(p))), UnlistedFileError, None, FILE, MANY),
    Fault("files: a file beside the model with its weights", after(extra(lambda p: "onnx/decoder.onnx.data")), UnlistedFileError, "onnx/decoder.onnx.data", FILE),
    Fault("files: a manifest further inside", after(extra(lambda p: "onnx/manifest.json")), UnlistedFileError, "onnx/manifest.json", FILE),
    Fault("files: a signature further inside", after(extra(lambda p: "onnx/model.sig")), UnlistedFileError, "onnx/model.sig", FILE),
    Fault("files: a hidden file", after(extra(lambda p: "." + random_name(p))), UnlistedFileError, None, FILE, MANY),
    Fault("files: a name of two lines", after(extra(lambda p: "a\nb")), UnlistedFileError, "a\nb", FILE),
    Fault("files: a name that is no text", after(extra(lambda p: "a\udcff")), UnlistedFileError, "a\udcff", FILE),
    Fault("files: a file in other case", after(extra(lambda p: "GOLDEN.npz")), UnlistedFileError, "GOLDEN.npz", FILE),
    Fault("files: folders nested deeper than listed files can lie", after(lambda p: p.path("/".join("d" * p.rng.randint(16, 200))).mkdir(parents=True)),
          UnlistedFileError, "/".join("d" * 16), FILE, MANY),
    Fault("files: a folder of thousands of folders", after(lambda p: [p.path(f"d{i}").mkdir() for i in range(3000)]), UnlistedFileError, None, FILE),
    Fault("files: more folders than an artifact has", after(many_folders), UnlistedFileError, None, FILE),
    Fault("files: the model is cut", after(resize(ONNX, -3000, -1)), FileSizeError, ONNX, FILE, MANY),
    Fault("files: the model goes on after its end", after(resize(ONNX, 1, 10**6)), FileSizeError, ONNX, FILE, MANY),
    Fault("files: the model is a terabyte of nothing", after(resize(ONNX, 2**40, 2**40)), FileSizeError, ONNX, FILE),
    Fault("files: the model is empty", after(resize(ONNX, -10**6, -10**6)), FileSizeError, ONNX, FILE),
    Fault("files: the goldens are cut", after(resize(GOLDEN, -2000, -1)), FileSizeError, GOLDEN, FILE, MANY),
    Fault("files: the goldens go on after their end", after(resize(GOLDEN, 1, 10**6)), FileSizeError, GOLDEN, FILE, MANY),
    Fault("files: a bit of the model is flipped", after(flip(ONNX)), FileHashError, ONNX, FILE, MANY),
    Fault("files: the model is other bytes", after(overwrite(ONNX)), FileHashError, ONNX, FILE, MANY),
    Fault("files: two bytes of the model change places", after(swap_bytes(ONNX)), FileHashError, ONNX, FILE, MANY),
    Fault("files: the model is zeros", after(lambda p: p.path(ONNX).write_bytes(bytes(len(p.files[ONNX])))), FileHashError, ONNX, FILE),
    Fault("files: a bit of the goldens is flipped", after(flip(GOLDEN)), FileHashError, GOLDEN, FILE, MANY),
    Fault("files: the goldens are other bytes", after(overwrite(GOLDEN)), FileHashError, GOLDEN, FILE, MANY),
    Fault("files: model and goldens change places", after(lambda p: (p.path(ONNX).write_bytes(p.files[GOLDEN]), p.path(GOLDEN).write_bytes(p.files[ONNX]))),
          FileSizeError, None, FILE),
    Fault("files: the system may not open the model", after(failing("open", errno.EACCES)), UnreadableFileError, ONNX, FILE),
    Fault("files: the disk fails at the model", after(failing("open", errno.EIO)), UnreadableFileError, ONNX, FILE),
    Fault("files: no descriptor is left", after(failing("open", errno.EMFILE)), UnreadableFileError, ONNX, FILE),
    Fault("files: the model vanishes before it is opened", after(failing("open", errno.ENOENT)), MissingFileError, ONNX, ("expected",)),
    Fault("files: the model becomes a link before it is opened", after(failing("open", errno.ELOOP)), NotRegularFileError, ONNX, FILE),
    Fault("files: the model's status cannot be had", after(failing("stat", errno.EACCES)), UnreadableFileError, ONNX, FILE),
    Fault("files: the model shrinks while it is read", while_reading(lambda path: os.truncate(path, 1000)), FileSizeError, ONNX, FILE),
    Fault("files: the model grows while it is read", while_reading(lambda path: os.truncate(path, 10**6)), FileSizeError, ONNX, FILE),
    Fault("files: the model changes while it is read", while_reading(lambda path: write_over(path, b"\0\0")), FileHashError, ONNX, FILE),
    Fault("files: the folder becomes a link after opening", after(lambda p: None), NotRegularFileError, ONNX, FILE, act=read_after(swapped_folder, ONNX)),
    Fault("files: a file becomes a pipe after opening", after(lambda p: None), NotRegularFileError, GOLDEN, FILE, act=read_after(replace(GOLDEN, os.mkfifo))),
    Fault("files: a file becomes a link after opening", after(lambda p: None), NotRegularFileError, GOLDEN, FILE, act=read_after(replace(GOLDEN, link_to_moved))),
    Fault("files: a file vanishes after opening", after(lambda p: None), MissingFileError, GOLDEN, ("expected",), act=read_after(lambda p: p.path(GOLDEN).unlink())),
    Fault("files: a file changes after opening", after(lambda p: None), FileHashError, GOLDEN, FILE, MANY, read_after(flip(GOLDEN))),
    Fault("files: a file changes its size after opening", after(lambda p: None), FileSizeError, GOLDEN, FILE, MANY, read_after(resize(GOLDEN, 1, 99))),
    Fault("files: a file that is not listed is asked for", after(lambda p: None), UnlistedFileError, "../manifest.json", FILE, 1, read_after(lambda p: None, "../manifest.json")),
    Fault("files: the model is a link, without descriptors", without_descriptors(replace(ONNX, link_to_moved)), NotRegularFileError, ONNX, FILE),
    Fault("files: a folder is a link, without descriptors", without_descriptors(replace("onnx", link_to_moved)), NotRegularFileError, "onnx", FILE),
    Fault("files: the folder becomes a link after opening, without descriptors", without_descriptors(lambda p: None), NotRegularFileError, ONNX, FILE, act=read_after(swapped_folder, ONNX)),
)  # fmt: skip
