"""The exceptions of cvae_export, all of them CvaeError.

CvaeError (cvae_sdk)
└── ExportError                     the artifact could not be made; nothing is left behind
    ├── DecoderError                a decoder, or what is said of it, is not what can be exported
    ├── ImpossibleFormError         a form cannot hold this decoder, and others can
    ├── ParityError                 a written form differs from the JAX model
    └── UnsupportedPrimitiveError   the plain TensorFlow graph has no rule for an operation of the model

and a warning: FormWarning          a form is left out that the decoder cannot have
"""

from cvae_sdk import CvaeError

__all__ = [
    "DecoderError",
    "ExportError",
    "FormWarning",
    "ImpossibleFormError",
    "ParityError",
    "UnsupportedPrimitiveError",
]


class ExportError(CvaeError):
    """The artifact could not be made."""


class DecoderError(ExportError):
    """A decoder, its parameters or its description is not what can be exported."""


class ImpossibleFormError(ExportError):
    """A form cannot hold this decoder; `reason` says why, and others may."""

    def __init__(self, form: str, reason: str) -> None:
        super().__init__(f"{form}: {reason}: leave {form} out of the forms")
        self.reason = reason


class ParityError(ExportError):
    """A written form differs from the JAX model by more than its tolerance."""


class UnsupportedPrimitiveError(ExportError):
    """The plain graph does not know a primitive, or a use of one."""


class FormWarning(UserWarning):
    """A form was asked for with all others, and left out: the decoder cannot have it."""
