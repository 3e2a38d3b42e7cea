"""Every form there is, and what it needs, without importing a heavy library.

An optional form's library comes with an extra of this distribution. A form's own file is imported when it is asked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvae_export.errors import ExportError
from cvae_export.onnxruntime_web import INSTALL, is_installed
from cvae_export.quiet import quiet_native_libraries

if TYPE_CHECKING:
    from cvae_export.form import Form

__all__ = ["CATALOG", "DEFAULT_FORMS", "Entry", "get_forms", "listing"]


@dataclass(frozen=True)
class Entry:
    """What is known of a form before its file is imported."""

    name: str
    path: str
    """Relative to the artifact's folder."""
    purpose: str
    needs: str
    """The library that runs it."""
    module: str
    member: str
    """In `module`: a Form, or a function of an opset that gives one."""
    library: str
    """What must be importable."""
    extra: str = ""
    """This distribution's extra that brings the library; empty for one that it needs itself."""
    default: bool = True
    takes_opset: bool = False
    by_npm: bool = False
    """Needs what pip does not bring: not one of "all", so that nobody has to have it who does not name it."""

    def form(self, opset: int | None = None, package: Path | None = None) -> "Form":
        """The form; ExportError if its library is not installed. `package` is the folder of what npm brought."""
        if find_spec(self.library) is None:
            how = f"'cvae-export[{self.extra}]'" if self.extra else "--force-reinstall cvae-export"
            raise ExportError(f"the form {self.name} needs {self.needs}, which is not installed: pip install {how}")
        with quiet_native_libraries():  # TensorFlow's
            member: Any = getattr(import_module(f"cvae_export.{self.module}"), self.member)
        if not self.takes_opset:
            return member
        given = {"opset": opset} | ({"package": package} if self.by_npm else {})
        return member(**{name: value for name, value in given.items() if value is not None})


_onnx: Callable[..., Entry] = partial(Entry, needs="onnxruntime", library="onnxruntime", takes_opset=True)
CATALOG: Sequence[Entry] = (
    Entry("stablehlo", "stablehlo", "JAX, and compilers that read StableHLO", "jax", "stablehlo", "STABLEHLO", "jax"),
    Entry(
        "saved_model", "saved_model", "TF Serving, TensorFlow: plain operations",
        "tensorflow", "saved_model", "SAVED_MODEL", "tensorflow",
    ),
    Entry(
        "saved_model_xla", "saved_model_xla", "TensorFlow programs that compile with XLA",
        "tensorflow", "saved_model_xla", "SAVED_MODEL_XLA", "tensorflow",
    ),
    _onnx("onnx", "onnx/decoder.onnx", "ONNX Runtime, Triton, the SDK", module="onnx", member="onnx_form"),
    _onnx(
        "onnx_fp16", "onnx_fp16", "ONNX Runtime on GPUs: half the size, within 1e-2",
        module="onnx_small", member="fp16_form", default=False,
    ),
    _onnx(
        "onnx_int8", "onnx_int8", "ONNX Runtime on CPUs: large products in 8 bits, within 0.2",
        module="onnx_small", member="int8_form", default=False,
    ),
    Entry(
        "litert", "litert/decoder.tflite", "phones and small boards",
        "ai-edge-litert", "litert", "LITERT", "ai_edge_litert", extra="litert", default=False,
    ),
    Entry(
        "weights", "weights.safetensors", "the parameters by name, for NumPy or any other reader",
        "safetensors", "weights", "WEIGHTS", "safetensors", extra="weights", default=False,
    ),
    Entry(
        "web", "web", "browsers: a page that samples on the visitor's own machine, not one of all",
        "onnxruntime-web of npm, and Node", "web_form", "web_form", "onnxruntime",
        default=False, takes_opset=True, by_npm=True,
    ),
)  # fmt: skip
DEFAULT_FORMS = tuple(entry.name for entry in CATALOG if entry.default)


def get_forms(
    names: Sequence[str] = DEFAULT_FORMS, opset: int | None = None, package: Path | None = None
) -> "tuple[Form, ...]":
    """The forms of these names, in the catalog's order, ONNX at an opset.

    "all" is every form but web that the decoder can have: one of no other name is left out, with a warning, where it
    cannot.
    `package` is the folder of the npm package onnxruntime-web, for web; by default it is searched for.

    Raises ExportError for a name that is not known, or a form whose library is not installed.
    """
    known = [entry.name for entry in CATALOG]
    if unknown := [name for name in names if name not in (*known, "all")]:
        raise ExportError(f"no form {unknown[0]!r}: there are {', '.join(known)}, and all")
    wanted = [entry for entry in CATALOG if entry.name in names or ("all" in names and not entry.by_npm)]
    if not wanted:
        raise ExportError(f"no form is asked for: give one or more of {', '.join(known)}")
    return tuple(replace(entry.form(opset, package), if_possible=entry.name not in names) for entry in wanted)


def listing() -> str:
    """A line for each form: name, whether by default, what it is for, what it needs and whether that is there."""
    lines = []
    for entry in CATALOG:
        missing = not is_installed() if entry.by_npm else find_spec(entry.library) is None
        how = INSTALL if entry.by_npm else f"pip install 'cvae-export[{entry.extra}]'" if entry.extra else ""
        hint = f" (not installed: {how})" if missing and how else ""
        default = "default" if entry.default else ""
        lines.append(f"{entry.name:16} {default:8} {entry.purpose}; needs {entry.needs}{hint}")
    return "\n".join(lines)
