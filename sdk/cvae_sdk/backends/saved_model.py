"""TensorFlow, on the form `saved_model`.

TensorFlow loads from a folder alone: the checked bytes are written into a private one, which goes when they are loaded.
"""

import tempfile
from pathlib import Path
from typing import Any

import tensorflow as tf

from cvae_sdk.artifact import Artifact
from cvae_sdk.backends.form import check_signatures, files_under, require_form
from cvae_sdk.backends.functions import OUTPUTS, Arrays, Function, FunctionsBackend, reason_of
from cvae_sdk.backends.rows import in_pieces, one_row
from cvae_sdk.errors import ArtifactError, BackendError, CvaeError, named

__all__ = ["open_saved_model"]

_FORM = "saved_model"
_MOST = 1024
_tf: Any = tf  # it has no types


def open_saved_model(artifact: Artifact) -> FunctionsBackend:
    """The form's signatures, the first of which is run once here.

    Raises ArtifactError for an artifact without the form, ModelError for one without the signatures that are listed,
    BackendError for one that TensorFlow refuses.
    """
    manifest = artifact.manifest
    form = require_form(manifest, _FORM)
    listed = [name for name in OUTPUTS if name in form.signatures]
    try:
        found: dict[str, Any] = dict(_load(artifact).signatures)
        check_signatures(manifest, _FORM, listed, found)
        functions = {name: _function(found[name]) for name in listed}
        for name in listed[:1]:
            functions[name](one_row(manifest.signatures[name]))
    except CvaeError:
        raise
    except Exception as error:  # TensorFlow's own have no common base but this
        raise BackendError(f"TensorFlow refuses {named(form.path)}: {reason_of(error)}", file=form.path) from error
    return FunctionsBackend("TensorFlow", manifest, functions)


def _load(artifact: Artifact) -> Any:
    """The model of the one version that the form holds, whose files are all read, and so checked, before."""
    form = require_form(artifact.manifest, _FORM)
    paths = files_under(artifact.manifest, form)
    versions = sorted({path[len(form.path) + 1 :].split("/")[0] for path in paths if path.endswith("/saved_model.pb")})
    if len(versions) != 1:
        raise ArtifactError(
            f"{named(form.path)} must hold one version of a SavedModel, found {named(', '.join(versions)) or 'none'}",
            file=form.path, field=f"formats.{_FORM}.path", expected="one version", found=versions,
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="cvae-sdk-") as folder:  # only this user may look into it
        for path in paths:
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(artifact.read(path))
        return _tf.saved_model.load(str(Path(folder, form.path, versions[0])))


def _function(function: Any) -> Function:
    def run(inputs: Arrays) -> Arrays:
        outputs: dict[str, Any] = function(**{name: _tf.constant(array) for name, array in inputs.items()})
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    return lambda inputs: in_pieces(run, inputs, _MOST)
