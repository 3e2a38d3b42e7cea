"""The exceptions of cvae_sdk. Each one's text is one line: what was wrong, what was found, what to do.

CvaeError
├── InputError (also ValueError)         an argument of a call cannot be used
├── ArtifactError                        an artifact cannot be used
│   ├── ArtifactNotFoundError            nothing is there, or not a folder, or no manifest in it
│   ├── ManifestError                    the manifest is damaged, newer than this SDK, or breaks its schema
│   ├── IntegrityError                   a file is missing, not listed, a link, or not the bytes that were listed
│   └── SignatureError                   the signature is missing, of another key, or not of these files
├── BackendError                         the runtime refused the model, or has other inputs than the manifest says
└── GoldenError                          the model no longer gives its recorded images
"""

__all__ = [
    "ArtifactError",
    "ArtifactNotFoundError",
    "BackendError",
    "CvaeError",
    "GoldenError",
    "InputError",
    "IntegrityError",
    "ManifestError",
    "SignatureError",
    "one_line",
]


class CvaeError(Exception):
    """Base of all that cvae_sdk raises on purpose."""


class InputError(CvaeError, ValueError):
    """An argument is of the wrong type or shape, out of range or unknown."""


class ArtifactError(CvaeError):
    """An artifact cannot be used."""


class ArtifactNotFoundError(ArtifactError):
    """No artifact is where one was looked for."""


class ManifestError(ArtifactError):
    """manifest.json is damaged, newer than this SDK, or breaks its schema."""


class IntegrityError(ArtifactError):
    """The artifact's files are not what its manifest lists."""


class SignatureError(ArtifactError):
    """The artifact is not signed, or not with that key, or not as it is now."""


class BackendError(CvaeError):
    """The runtime cannot load or run the model."""


class GoldenError(CvaeError):
    """The model's images differ from those recorded at export."""


def one_line(value: object) -> str:
    """A value as a message shows it: its repr on one line, cut to 80 characters."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # Python prints no integer of more than 4,300 digits
        return f"a {type(value).__name__} too long to print"
    return text if len(text) <= 80 else text[:77] + "..."
