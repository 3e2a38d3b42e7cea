"""Signatures of whole artifacts, by OpenSSF model-signing: who made this, and is it still what they made?

    cvae sign ARTIFACT --key KEY        writes ARTIFACT/model.sig: a Sigstore bundle over all other files' SHA-256
    cvae verify ARTIFACT --key PUB      checks it against the public key

Hashes in the manifest tell damage; only a signature tells a change that somebody meant. A key pair on the curve P-256:

    openssl ecparam -genkey -name prime256v1 -noout -out key.pem
    openssl ec -in key.pem -pubout -out key.pub
"""

import os
import re
import tempfile
from pathlib import Path
from types import ModuleType

from cvae_sdk.artifact import SIGNATURE_NAME, Artifact
from cvae_sdk.errors import CvaeError, InputError, SignatureError, one_line

__all__ = ["sign", "verify_signature"]


def sign(folder: str | os.PathLike[str], private_key: str | os.PathLike[str]) -> Path:
    """Sign a sound artifact with a PEM private key of an elliptic curve; a signature that is there is replaced.

    Raises ArtifactError for an artifact that is not what its manifest lists, InputError for a key that cannot be used,
    CvaeError without the extra `signing` or where the folder cannot be written.
    """
    model_signing = _library()
    artifact = Artifact.open(folder)
    for path in artifact.manifest.files:
        artifact.read(path)
    _read_key(private_key)
    try:
        signer = model_signing.signing.Config().use_elliptic_key_signer(private_key=Path(private_key))
    except Exception as error:  # TypeError for an encrypted key, AttributeError for no elliptic curve, and others
        raise InputError(f"{private_key} is no PEM private key of an elliptic curve without a password") from error
    signature = artifact.folder / SIGNATURE_NAME
    signer.set_hashing_config(_hashing(model_signing, artifact.folder))
    try:
        with tempfile.TemporaryDirectory(prefix=".signature-", dir=artifact.folder.resolve().parent) as beside:
            new = Path(beside) / SIGNATURE_NAME
            signer.sign(artifact.folder, new)
            new.replace(signature)
    except OSError as error:
        raise CvaeError(f"cannot write {signature}: {error.strerror or error}") from error
    return signature


def verify_signature(folder: str | os.PathLike[str], public_key: str | os.PathLike[str]) -> None:
    """Check that the artifact's files are those that the owner of a PEM public key signed, none more and none less.

    Raises SignatureError for a missing signature, one of another key, or files that were changed; InputError for a key
    that cannot be used, CvaeError without the extra `signing`.
    """
    model_signing = _library()
    root = Artifact.open(folder).folder
    signature = root / SIGNATURE_NAME
    if not signature.is_file():
        raise SignatureError(f"{root} is not signed: it has no {SIGNATURE_NAME}")
    _read_key(public_key)
    try:
        verifier = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=Path(public_key))
    except Exception as error:
        raise InputError(f"{public_key} is no PEM public key of an elliptic curve") from error
    verifier.set_hashing_config(_hashing(model_signing, root))
    try:
        verifier.verify(root, signature)
    except Exception as error:  # the library's, cryptography's and pydantic's have no common base but this
        raise SignatureError(_reason(error, root, public_key)) from error


def _library() -> ModuleType:
    try:
        import model_signing  # takes seconds, and brings much that a sampler does not need
    except ImportError as error:
        raise CvaeError("signatures need OpenSSF model-signing: pip install 'cvae-sdk[signing]'") from error
    return model_signing


def _hashing(model_signing: ModuleType, folder: Path) -> object:
    config = model_signing.hashing.Config()
    return config.set_ignored_paths(paths=[(folder / SIGNATURE_NAME).absolute()], ignore_git_paths=False)


def _read_key(path: str | os.PathLike[str]) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the key {path}: {error.strerror}") from error


def _reason(error: Exception, folder: Path, public_key: str | os.PathLike[str]) -> str:
    text = str(error)
    if text.startswith("Signature mismatch"):
        files = re.findall(r"Hash mismatch for \\*'([^'\\]+)", text)
        return f"{folder} is not what was signed: {', '.join(files) or one_line(text)}"
    if text.startswith("Key mismatch") or type(error).__name__ == "InvalidSignature":
        return f"{folder} was not signed with the key of {public_key}, or its {SIGNATURE_NAME} is damaged"
    return f"{folder / SIGNATURE_NAME} is no signature that can be read: {type(error).__name__}"
