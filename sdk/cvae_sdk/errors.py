"""The exceptions of cvae_sdk. Each one's text is one line: what was wrong, what was found, what to do.

CvaeError
├── InputError (also ValueError)         an argument of a call cannot be used
│   └── TooLargeError                    what was asked for does not fit into memory
├── ArtifactError                        an artifact cannot be used
│   ├── ArtifactNotFoundError            nothing is there, or not a folder, or no manifest in it
│   ├── ManifestError                    the manifest is damaged or breaks its schema
│   │   └── SchemaVersionError           it is of a schema that is newer than this SDK
│   ├── IntegrityError                   the files are not what the manifest lists
│   │   ├── MissingFileError             a listed file is not there
│   │   ├── UnlistedFileError            a file is there that is not listed
│   │   ├── NotRegularFileError          a link, a folder, a pipe or a device in a file's place
│   │   ├── UnreadableFileError          the system does not let it be read
│   │   ├── FileSizeError                a file has more or fewer bytes than are listed
│   │   └── FileHashError                a file's bytes are not those that were listed
│   ├── ModelError                       a model's file is whole, but not what may be run, or not what the manifest says
│   └── SignatureError                   the signature is missing, of another key, or not of these files
├── BackendError                         a runtime refused the model, or failed to run it
│   ├── BackendUnavailableError          its library is not installed, or has not what was asked for
│   ├── ForkedError                      it cannot go on in a forked process
│   └── RemoteError                      a server gave no images
│       ├── UnreachableError             nothing answers there, or the connection broke
│       ├── DeadlineError                (also TimeoutError) the answer did not come in time
│       ├── OverloadedError              it says that it is busy, or the budget of retries is spent
│       ├── RefusedError                 it refuses the request, as wrong, unknown or not allowed
│       ├── ServerFailedError            it failed
│       ├── ProtocolError                its answer is not what the protocol says
│       └── MetadataError                its model is not the one that the manifest describes
├── ClosedError                          the Sampler was closed
└── GoldenError                          the model no longer gives its recorded images
"""

__all__ = [
    "ArtifactError",
    "ArtifactNotFoundError",
    "BackendError",
    "BackendUnavailableError",
    "ClosedError",
    "CvaeError",
    "DeadlineError",
    "FileHashError",
    "FileSizeError",
    "ForkedError",
    "GoldenError",
    "InputError",
    "IntegrityError",
    "ManifestError",
    "MetadataError",
    "MissingFileError",
    "ModelError",
    "NotRegularFileError",
    "OverloadedError",
    "ProtocolError",
    "RefusedError",
    "RemoteError",
    "SchemaVersionError",
    "ServerFailedError",
    "SignatureError",
    "TooLargeError",
    "UnlistedFileError",
    "UnreachableError",
    "UnreadableFileError",
    "named",
    "one_line",
]


class CvaeError(Exception):
    """Base of all that cvae_sdk raises on purpose.

    Beside its text it has what the text says, for programs, each None where it does not apply: `file`, a path relative
    to the artifact; `field`, of a manifest, a model, a call or an answer; what was `expected` of it, what was `found`.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        field: str | None = None,
        expected: object = None,
        found: object = None,
    ) -> None:
        super().__init__(message)
        self.file = file
        self.field = field
        self.expected = expected
        self.found = found


class InputError(CvaeError, ValueError):
    """An argument is of the wrong type or shape, out of range or unknown."""


class TooLargeError(InputError):
    """What was asked for does not fit into memory."""


class ArtifactError(CvaeError):
    """An artifact cannot be used."""


class ArtifactNotFoundError(ArtifactError):
    """No artifact is where one was looked for."""


class ManifestError(ArtifactError):
    """manifest.json is damaged or breaks its schema."""


class SchemaVersionError(ManifestError):
    """manifest.json is of a schema that is newer than this SDK."""


class IntegrityError(ArtifactError):
    """The artifact's files are not what its manifest lists."""


class MissingFileError(IntegrityError):
    """A listed file is not there."""


class UnlistedFileError(IntegrityError):
    """A file is there that the manifest does not list."""


class NotRegularFileError(IntegrityError):
    """A link, a folder, a pipe or a device is in a file's place."""


class UnreadableFileError(IntegrityError):
    """The system does not let a file be read."""


class FileSizeError(IntegrityError):
    """A file has more or fewer bytes than are listed."""


class FileHashError(IntegrityError):
    """A file's bytes are not those that were listed."""


class ModelError(ArtifactError):
    """A model's file is whole, but not what may be run, or not what the manifest says of it."""


class SignatureError(ArtifactError):
    """The artifact is not signed, or not with that key, or not as it is now."""


class BackendError(CvaeError):
    """A runtime refused the model, or failed to run it."""


class BackendUnavailableError(BackendError):
    """A runtime's library is not installed, or has not what was asked for."""


class ForkedError(BackendError):
    """A runtime cannot go on in a forked process."""


class RemoteError(BackendError):
    """A server gave no images."""


class UnreachableError(RemoteError):
    """Nothing answers there, or the connection broke."""


class DeadlineError(RemoteError, TimeoutError):
    """A server's answer did not come in time."""


class OverloadedError(RemoteError):
    """A server says that it is busy, or the budget of retries is spent."""


class RefusedError(RemoteError):
    """A server refuses the request, as wrong, unknown or not allowed."""


class ServerFailedError(RemoteError):
    """A server failed."""


class ProtocolError(RemoteError):
    """A server's answer is not what the protocol says."""


class MetadataError(RemoteError):
    """A server's model is not the one that the manifest describes."""


class ClosedError(CvaeError):
    """The Sampler was closed."""


class GoldenError(CvaeError):
    """The model's images differ from those recorded at export."""


def one_line(value: object) -> str:
    """A value as a message shows it: its repr on one line, cut to 80 characters."""
    try:
        text = " ".join(repr(value).split())
    except (
        Exception
    ):  # Python prints no integer of more than 4,300 digits and no list nested as deep; others do as they like
        return f"a {type(value).__name__} that cannot be printed"
    return text if len(text) <= 80 else text[:77] + "..."


def named(text: str) -> str:
    """A path or a field's name as a message shows it: on one line, cut to 300 characters."""
    shown = text if text.isprintable() else repr(text)[1:-1]
    return shown if len(shown) <= 300 else shown[:297] + "..."
