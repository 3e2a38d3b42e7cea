"""LiteRT, on the form `litert`, from the checked bytes.

An interpreter runs one call at a time, so that there are as many as cores; each is made when all others are busy, and
has its sizes changed to those of each batch.
"""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from ai_edge_litert import interpreter as _interpreter  # pyright: ignore[reportMissingTypeStubs]

from cvae_sdk.artifact import Artifact
from cvae_sdk.backends.form import check_signatures, require_form
from cvae_sdk.backends.functions import OUTPUTS, Arrays, Function, FunctionsBackend, reason_of
from cvae_sdk.backends.options import LitertOptions
from cvae_sdk.backends.rows import in_pieces, one_row
from cvae_sdk.errors import BackendError, CvaeError, named

__all__ = ["open_litert"]

_FORM = "litert"
_MOST = 1024
_litert: Any = _interpreter  # it has no types


def open_litert(artifact: Artifact, options: LitertOptions) -> FunctionsBackend:
    """The form's signatures, the first of which is run once here.

    Raises ArtifactError for an artifact without the form, ModelError for one without the signatures that are listed,
    BackendError for one that LiteRT refuses.
    """
    manifest = artifact.manifest
    form = require_form(manifest, _FORM)
    listed = [name for name in OUTPUTS if name in form.signatures]
    cores = os.cpu_count() or 1
    workers = max(1, cores // (options.threads or 1))
    content = artifact.read(form.path)
    try:
        interpreters = _Interpreters(content, options.threads, workers)
        with interpreters.one() as runners:
            found = tuple(runners)
        check_signatures(manifest, _FORM, listed, found)
        functions = {name: _function(interpreters, name) for name in listed}
        for name in listed[:1]:
            functions[name](one_row(manifest.signatures[name]))
    except CvaeError:
        raise
    except Exception as error:  # LiteRT's own have no common base but this
        raise BackendError(f"LiteRT refuses {named(form.path)}: {reason_of(error)}", file=form.path) from error
    return FunctionsBackend("LiteRT", manifest, functions, workers=workers)


class _Interpreters:
    """Those of one model, at most so many, each in the hands of one thread at a time."""

    def __init__(self, content: bytes, threads: int | None, most: int) -> None:
        self._content, self._threads = content, threads
        self._places = threading.Semaphore(most)
        self._idle: list[dict[str, Any]] = []

    @contextmanager
    def one(self) -> Generator[dict[str, Any]]:
        """The functions of one, by signature; it is not used again after an exception."""
        with self._places:
            try:
                runners = self._idle.pop()
            except IndexError:
                runners = self._made()
            yield runners
            self._idle.append(runners)

    def _made(self) -> dict[str, Any]:
        made = _litert.Interpreter(model_content=self._content, num_threads=self._threads)
        return {str(name): made.get_signature_runner(name) for name in made.get_signature_list()}


def _function(interpreters: _Interpreters, name: str) -> Function:
    def run(inputs: Arrays) -> Arrays:
        with interpreters.one() as runners:
            outputs: Arrays = runners[name](**inputs)
            return outputs

    return lambda inputs: in_pieces(run, inputs, _MOST)
