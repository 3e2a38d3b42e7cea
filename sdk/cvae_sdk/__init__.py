"""Sample a class-conditional VAE anywhere: `from cvae_sdk import Sampler`."""

from cvae_sdk.errors import (
    ArtifactError,
    ArtifactNotFoundError,
    BackendError,
    CvaeError,
    GoldenError,
    InputError,
    IntegrityError,
    ManifestError,
    SignatureError,
)
from cvae_sdk.manifest import SCHEMA_VERSION, Manifest
from cvae_sdk.sampler import Sampler, Verification

__version__ = "0.1.0"

__all__ = [
    "SCHEMA_VERSION",
    "ArtifactError",
    "ArtifactNotFoundError",
    "BackendError",
    "CvaeError",
    "GoldenError",
    "InputError",
    "IntegrityError",
    "Manifest",
    "ManifestError",
    "Sampler",
    "SignatureError",
    "Verification",
]
