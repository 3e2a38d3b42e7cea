"""The exceptions of cvae_export, all of them CvaeError.

CvaeError (cvae_sdk)
└── ExportError                     the artifact could not be made; nothing is left behind
    ├── ParityError                 a written form differs from the JAX model
    └── UnsupportedPrimitiveError   the plain TensorFlow graph has no rule for an operation of the model
"""

from cvae_sdk import CvaeError

__all__ = ["ExportError", "ParityError", "UnsupportedPrimitiveError"]


class ExportError(CvaeError):
    """The artifact could not be made."""


class ParityError(ExportError):
    """A written form differs from the JAX model by more than its tolerance."""


class UnsupportedPrimitiveError(ExportError):
    """The plain graph does not know a primitive, or a use of one."""
