"""Export a trained CVAE decoder to the forms that people serve from, each proven equal to the JAX model.

Names are imported when they are first used: TensorFlow takes seconds to import, and a command's mistake should not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cvae_export.artifact import FORMS, export, export_run
    from cvae_export.decoder import Decoder, build_decoder
    from cvae_export.errors import (
        DecoderError,
        ExportError,
        FormWarning,
        ImpossibleFormError,
        ParityError,
        UnsupportedPrimitiveError,
    )
    from cvae_export.serving_base import publish

__all__ = [
    "FORMS",
    "Decoder",
    "DecoderError",
    "ExportError",
    "FormWarning",
    "ImpossibleFormError",
    "ParityError",
    "UnsupportedPrimitiveError",
    "build_decoder",
    "export",
    "export_run",
    "publish",
]

_MODULES = {
    "FORMS": "artifact",
    "export": "artifact",
    "export_run": "artifact",
    "Decoder": "decoder",
    "build_decoder": "decoder",
    "DecoderError": "errors",
    "ExportError": "errors",
    "FormWarning": "errors",
    "ImpossibleFormError": "errors",
    "ParityError": "errors",
    "UnsupportedPrimitiveError": "errors",
    "publish": "serving_base",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
