"""ONNX Runtime: the default backend."""

import os
import threading
from dataclasses import replace
from typing import Any

import numpy as np

from cvae_sdk.artifact import Artifact
from cvae_sdk.backends import Arrays, Backend
from cvae_sdk.backends.options import OnnxOptions
from cvae_sdk.backends.telemetry import onnxruntime_telemetry_off
from cvae_sdk.errors import ArtifactError, BackendError, BackendUnavailableError, named
from cvae_sdk.manifest import Format
from cvae_sdk.onnx_model import MAX_MODEL_BYTES, check_onnx

with onnxruntime_telemetry_off():
    import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

__all__ = ["OnnxBackend"]

_RUN = ("decode", "mix", "encode")
_SILENT = 4  # all that is an error is raised


class OnnxBackend:
    """The form `onnx`, a session for each signature, of a model that was held against the manifest before.

    A form with `mix` alone decodes too: decode(z, label) is mix(z, the label's one-hot), bit for bit.
    """

    def __init__(self, artifact: Artifact, options: OnnxOptions) -> None:
        manifest = artifact.manifest
        form = manifest.formats.get("onnx")
        self._paths = _paths(form)
        if not {"decode", "mix"} & self._paths.keys():
            formats = ", ".join(sorted(manifest.formats)) or "none"
            raise ArtifactError(f"the artifact {manifest.name} has no ONNX decoder; its formats: {formats}")
        self._artifact, self._options = artifact, options
        self._one_hot = np.eye(len(manifest.classes), dtype=np.float32)
        self._sessions: dict[str, Any] = {}
        self._opening = threading.Lock()
        self._alone: OnnxBackend | None = None
        self._session("decode" if "decode" in self._paths else "mix")

    @property
    def signatures(self) -> frozenset[str]:
        """Those of decode, mix and encode that it can run."""
        return frozenset(self._paths) | {"decode"}

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """The exported function of that name; see Backend."""
        if signature == "decode" and "decode" not in self._paths:
            signature, inputs = "mix", {"z": inputs["z"], "class_weights": self._one_hot[inputs["label"]]}
        session = self._sessions.get(signature) or self._session(signature)
        names = ("mean", "logvar") if signature == "encode" else ("image",)
        try:
            outputs: dict[str, Any] = dict(zip(names, session.run(names, inputs), strict=True))
        except Exception as error:  # onnxruntime's exceptions have no common base but this
            raise BackendError(f"ONNX Runtime failed: {_reason(error)}") from error
        specs, batch = self._artifact.manifest.signatures[signature].outputs, len(next(iter(inputs.values())))
        for name, output in outputs.items():  # ONNX Runtime only logs it where a graph gives another shape than it says
            expected = (batch, *specs[name].shape[1:])
            if output.shape != expected:
                raise BackendError(
                    f"the model gave {name} {list(output.shape)}, not {list(expected)}",
                    file=self._paths[signature], field=name, expected=expected, found=output.shape,
                )  # fmt: skip
        return outputs

    def side_by_side(self) -> tuple[Backend, int]:
        """Sessions of one thread each, for as many calls as there would be threads in one: their threads never wait."""
        threads = self._options.threads or _cores()
        if threads == 1 or self._options.providers != ("CPUExecutionProvider",):
            return self, 1
        if self._alone is None:
            alone = OnnxBackend(self._artifact, replace(self._options, threads=1))
            with self._opening:
                self._alone = self._alone or alone
        return self._alone, threads

    def close(self) -> None:
        """Give back the sessions."""
        self._sessions.clear()
        self._alone = None

    def _session(self, signature: str) -> Any:
        with self._opening:
            if signature not in self._sessions:
                if signature not in self._paths:
                    raise BackendError(f"the form onnx of this artifact has no signature {signature}")
                manifest, path = self._artifact.manifest, self._paths[signature]
                model = self._artifact.read(path, most=MAX_MODEL_BYTES)
                check_onnx(model, path, manifest.signatures[signature], manifest.formats["onnx"].opset)
                self._sessions[signature] = _open(model, self._options)
            return self._sessions[signature]


def _paths(form: Format | None) -> dict[str, str]:
    """The file of each signature that can be run."""
    if form is None:
        return {}
    if form.files is None:
        return {"decode": form.path} if "decode" in form.signatures else {}
    return {name: form.files[name][0] for name in _RUN if name in form.signatures}


def _open(model: bytes, options: OnnxOptions) -> Any:
    missing = [name for name in options.providers if name not in onnxruntime.get_available_providers()]  # pyright: ignore[reportUnknownMemberType]
    if missing:
        available = ", ".join(onnxruntime.get_available_providers())  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        raise BackendUnavailableError(
            f"ONNX Runtime has no {named(missing[0])} here: it has {available}",
            field="providers", expected=available, found=missing[0],
        )  # fmt: skip
    settings: Any = onnxruntime.SessionOptions()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    settings.log_severity_level = _SILENT
    if options.threads is not None:
        settings.intra_op_num_threads = options.threads
    for name, value in options.session.items():
        settings.add_session_config_entry(name, value)  # pyright: ignore[reportUnknownMemberType]
    try:
        session: Any = onnxruntime.InferenceSession(
            model, settings, providers=list(options.providers), enable_fallback=0
        )
    except Exception as error:  # as above
        raise BackendError(f"ONNX Runtime refuses the model: {_reason(error)}") from error
    return session


def _cores() -> int:
    """Those that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _reason(error: Exception) -> str:
    return named(str(error).partition("\n")[0]) or type(error).__name__
