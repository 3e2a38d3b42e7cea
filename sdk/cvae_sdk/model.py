"""An artifact's functions on arrays: opened once, run by a backend, closed; here, in a forked child, or elsewhere.

A forked child has its parent's memory but none of its threads, and so can run nothing that needs them: ONNX Runtime is
opened there anew, from the artifact's folder. A pickled model is opened anew where it is unpickled; it must be the
same.
"""

import os
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from cvae_sdk.artifact import SHIPPED, Artifact, folder_of
from cvae_sdk.backends import Arrays, Backend, open_backend
from cvae_sdk.backends.options import BACKENDS, BackendOptions, OnnxOptions, RemoteOptions
from cvae_sdk.errors import ArtifactError, ClosedError, InputError, one_line
from cvae_sdk.manifest import Manifest

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

__all__ = ["Model", "Place"]

Place = str | os.PathLike[str] | None
"""Of an artifact: its folder, or a shipped one's name, the default's for None; or the address of a server's model."""


class Model:
    """The functions decode, mix and encode of the artifact at a place, run by a backend.

    `described_by` is the place of an artifact whose manifest a server's model must match. Raises ArtifactError,
    BackendError, or InputError for a backend that is none, or not for that place. Safe to use from many threads.
    """

    def __init__(self, place: Place, backend: str | BackendOptions | None, described_by: Place) -> None:
        _check_place("artifact", place)
        _check_place("manifest", described_by)
        self._remote = isinstance(place, str) and "://" in place
        self._place, self._described_by = _elsewhere(place), _elsewhere(described_by)
        if described_by is not None and not self._remote:
            raise InputError("manifest goes with a server's address alone", field="manifest", found=str(described_by))
        self._options = _options(backend, self._remote)
        self.artifact = (
            None if self._remote and described_by is None else Artifact.open(folder_of(described_by or place))
        )
        """Its files; of a server's model those of `described_by`, or None."""
        self._lock = threading.Lock()
        self._closed = False
        self._workers: ThreadPoolExecutor | None = None
        self._backend: Backend | None
        self._backend, self.manifest = self._opened()
        _opened.add(self)

    def __reduce__(self) -> tuple[Any, ...]:
        self._check_open()
        return _reopened, (self._place, self._options, self._described_by, self.manifest.digest)

    @property
    def remote(self) -> bool:
        """Whether a server runs it, so that each drawing has a deadline."""
        return self._remote

    @property
    def signatures(self) -> frozenset[str]:
        """Those of decode, mix and encode that it has here."""
        return self._running().signatures

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """The exported function of that name, of inputs that were checked, on one row or more."""
        return self._running().run(signature, inputs)

    def side_by_side(self) -> tuple[Backend, int]:
        """A backend for many calls at the same time, and how many of them pay."""
        return self._running().side_by_side()

    def spread(self, workers: int, call: Callable[[int], object]) -> None:
        """Make so many calls, each with its number, in threads that are kept until the model is closed."""
        with self._lock:
            self._check_open()
            if self._workers is None:
                from concurrent.futures import ThreadPoolExecutor  # takes a tenth of this package's time to import

                self._workers = ThreadPoolExecutor(workers, thread_name_prefix="cvae")
            # While the lock is held, so that close comes after all calls are under way or before any.
            results = self._workers.map(call, range(workers))
        for _ in results:
            pass

    def close(self) -> None:
        """Give back what the runtime holds; calls that are under way end as they would."""
        with self._lock:
            backend, workers = self._backend, self._workers
            self._closed, self._backend, self._workers = True, None, None
        if workers is not None:
            workers.shutdown(wait=True)
        if backend is not None:
            backend.close()

    def _running(self) -> Backend:
        backend = self._backend
        if backend is None:
            with self._lock:
                self._check_open()
                if self._backend is None:
                    self._backend, manifest = self._opened()
                    _check_same(manifest, self.manifest.digest)
                backend = self._backend
        return backend

    def _opened(self) -> tuple[Backend, Manifest]:
        if isinstance(self._options, RemoteOptions):
            from cvae_sdk.backends.remote import open_remote

            return open_remote(str(self._place), self._options, self.artifact.manifest if self.artifact else None)
        assert self.artifact is not None  # noqa: S101 - a local place has files
        return open_backend(self.artifact, self._options), self.artifact.manifest

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("the Sampler was closed: open another")

    def forget_threads(self) -> None:
        """In a forked child: hold nothing that would wait for its parent's threads."""
        from cvae_sdk.forking import exit_at_once, keep_for_good

        for each in (self._workers, self._backend):
            keep_for_good(each)
        self._lock, self._workers = threading.Lock(), None
        if isinstance(self._options, OnnxOptions):
            self._backend = None
            exit_at_once()


_opened: "weakref.WeakSet[Model]" = weakref.WeakSet()


def _after_fork() -> None:
    for model in list(_opened):
        model.forget_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _reopened(place: Place, options: BackendOptions, described_by: Place, digest: str) -> Model:
    model = Model(place, options, described_by)
    _check_same(model.manifest, digest)
    return model


def _check_same(manifest: Manifest, digest: str) -> None:
    if manifest.digest != digest:
        raise ArtifactError(
            f"the artifact {manifest.name} is another than the one that was opened before: its digest is "
            f"{manifest.digest}, not {digest}",
            field="digest", expected=digest, found=manifest.digest,
        )  # fmt: skip


def _check_place(name: str, place: object) -> None:
    path = os.fspath(cast("os.PathLike[Any]", place)) if isinstance(place, os.PathLike) else place
    if place is None or (isinstance(path, str) and path):
        return
    expected = "a folder, the name of an artifact or an address"
    found = cast("object", place)
    raise InputError(f"{name} must be {expected}, got {one_line(found)}", field=name, expected=expected, found=found)


def _elsewhere(place: Place) -> Place:
    """The place as another process of this machine, in another folder, would name it."""
    if place is None or (isinstance(place, str) and (place in SHIPPED or "://" in place)):
        return place
    return os.path.abspath(place)  # noqa: PTH100 - resolve would follow links, which are not for an artifact's path to hide


def _options(backend: str | BackendOptions | None, remote: bool) -> BackendOptions:
    names = ", ".join(BACKENDS)
    if backend is None:
        return RemoteOptions() if remote else OnnxOptions()
    if isinstance(backend, str):
        if backend not in BACKENDS:
            raise InputError(
                f"backend must be one of {names}, got {one_line(backend)}",
                field="backend",
                expected=names,
                found=backend,
            )
        backend = BACKENDS[backend]()
    if not isinstance(backend, BackendOptions):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError(
            f"backend must be one of {names}, or options of one, got {one_line(backend)}",
            field="backend", expected=names, found=backend,
        )  # fmt: skip
    if isinstance(backend, RemoteOptions) != remote:
        expected = "RemoteOptions" if remote else "of a backend that runs here"
        place, found = "an address" if remote else "a folder", type(backend).__name__
        raise InputError(
            f"for {place} the options must be {expected}, got {found}", field="backend", expected=expected, found=found
        )
    return backend
