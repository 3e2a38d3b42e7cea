"""A signature tells who made an artifact, and that nothing in it was changed since."""

import builtins
import dataclasses
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from cvae_sdk import CvaeError, InputError, IntegrityError, Manifest, Sampler, SignatureError
from cvae_sdk.artifact import locate
from cvae_sdk.command import main
from cvae_sdk.manifest import FileRecord
from cvae_sdk.signing import sign, verify_signature

PKCS8, PEM = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
PUBLIC = serialization.PublicFormat.SubjectPublicKeyInfo


def key_pair(folder: Path, name: str, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> tuple[Path, Path]:
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(PEM, PUBLIC))
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return key_pair(tmp_path_factory.mktemp("keys"), "mine", ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return key_pair(tmp_path_factory.mktemp("keys"), "others", ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return shutil.copytree(locate(None), tmp_path / "artifacts" / "mnist")


@pytest.fixture
def signed(artifact: Path, keys: tuple[Path, Path]) -> Path:
    sign(artifact, keys[0])
    return artifact


def mistake(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_what_was_signed_verifies_with_the_public_key(signed: Path, keys: tuple[Path, Path]) -> None:
    verify_signature(signed, keys[1])
    assert [path.name for path in signed.parent.iterdir()] == [signed.name]


def test_a_signed_artifact_is_one_that_the_sdk_opens_and_verifies(signed: Path) -> None:
    assert (signed / "model.sig").is_file()
    assert Sampler(signed).verify().files == 2


def test_another_unlisted_file_is_still_refused(signed: Path) -> None:
    (signed / "model.sig.bak").touch()
    with pytest.raises(IntegrityError, match=r"model\.sig\.bak is in the folder but the manifest does not list it"):
        Sampler(signed)


def test_it_may_be_moved_and_signed_again(signed: Path, keys: tuple[Path, Path], others: tuple[Path, Path]) -> None:
    moved = signed.rename(signed.parent / "elsewhere")
    verify_signature(moved, keys[1])
    sign(moved, others[0])
    verify_signature(moved, others[1])
    with pytest.raises(SignatureError, match="was not signed with the key of"):
        verify_signature(moved, keys[1])


def test_an_unsigned_artifact_is_told(artifact: Path, keys: tuple[Path, Path]) -> None:
    with pytest.raises(SignatureError, match=r"mnist is not signed: it has no model\.sig"):
        verify_signature(artifact, keys[1])


def test_a_file_changed_together_with_its_manifest_is_told(signed: Path, keys: tuple[Path, Path]) -> None:
    """What hashes alone cannot tell: whoever changes a file can write its new hash too."""
    manifest = Manifest.parse((signed / "manifest.json").read_bytes())
    content = (signed / "golden.npz").read_bytes() + b"\0"
    (signed / "golden.npz").write_bytes(content)

    record = FileRecord(hashlib.sha256(content).hexdigest(), len(content))
    changed = dataclasses.replace(manifest, files={**manifest.files, "golden.npz": record})
    (signed / "manifest.json").write_bytes(changed.to_bytes())
    Sampler(signed)
    with pytest.raises(SignatureError, match=r"is not what was signed: golden\.npz, manifest\.json$"):
        verify_signature(signed, keys[1])


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"mediaType": "x"}'])
def test_a_signature_that_cannot_be_read_is_told(signed: Path, keys: tuple[Path, Path], content: bytes) -> None:
    (signed / "model.sig").write_bytes(content)
    with pytest.raises(SignatureError, match=r"model\.sig is no signature that can be read"):
        verify_signature(signed, keys[1])


def test_a_changed_signature_is_told(signed: Path, keys: tuple[Path, Path]) -> None:
    bundle = json.loads((signed / "model.sig").read_bytes())
    (signature,) = bundle["dsseEnvelope"]["signatures"]
    signature["sig"] = signature["sig"][:-8] + "AAAAAAA="
    (signed / "model.sig").write_text(json.dumps(bundle))
    with pytest.raises(SignatureError, match=r"was not signed with the key of .*, or its model\.sig is damaged"):
        verify_signature(signed, keys[1])


def test_a_damaged_artifact_is_not_signed(artifact: Path, keys: tuple[Path, Path]) -> None:
    content = bytearray((artifact / "golden.npz").read_bytes())
    content[100] ^= 1
    (artifact / "golden.npz").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"golden\.npz has SHA-256"):
        sign(artifact, keys[0])
    assert not (artifact / "model.sig").exists()


def test_a_key_that_cannot_be_used_is_told(signed: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    private, public = keys
    key = serialization.load_pem_private_key(private.read_bytes(), None)
    secret = tmp_path / "secret.pem"
    secret.write_bytes(key.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"word")))
    edwards, _ = key_pair(tmp_path, "edwards", ed25519.Ed25519PrivateKey.generate())
    for path in (public, secret, edwards):
        with pytest.raises(InputError, match="is no PEM private key of an elliptic curve without a password"):
            sign(signed, path)
    for path in (private, tmp_path / "edwards.pub"):
        with pytest.raises(InputError, match="is no PEM public key of an elliptic curve"):
            verify_signature(signed, path)
    for call in (sign, verify_signature):
        with pytest.raises(InputError, match=r"cannot read the key .*nowhere: No such file"):
            call(signed, tmp_path / "nowhere")
        with pytest.raises(InputError, match=r"cannot read the key .*: Is a directory"):
            call(signed, tmp_path)


def test_without_the_library_its_extra_is_named(signed: Path, keys: tuple[Path, Path], monkeypatch) -> None:
    ordinary = builtins.__import__

    def without(name: str, *arguments: object, **settings: object) -> object:
        if name == "model_signing":
            raise ImportError(name)
        return ordinary(name, *arguments, **settings)

    monkeypatch.setattr(builtins, "__import__", without)
    for call, key in ((sign, keys[0]), (verify_signature, keys[1])):
        with pytest.raises(CvaeError, match=r"pip install 'cvae-sdk\[signing\]'"):
            call(signed, key)


class TestTheCommand:
    def test_signs_and_verifies(self, artifact: Path, keys: tuple[Path, Path], capsys) -> None:
        assert main(["sign", str(artifact), "--key", str(keys[0])]) == 0
        assert main(["verify", str(artifact), "--key", str(keys[1])]) == 0
        saved, signed_with, verified = capsys.readouterr().out.splitlines()
        assert saved == f"signature saved in {artifact / 'model.sig'}"
        assert signed_with == f"signed with the key of {keys[1]}"
        assert verified.startswith("verified 2 files")

    def test_tells_each_mistake_on_one_line(self, signed: Path, others: tuple[Path, Path], capsys) -> None:
        assert "was not signed with the key of" in mistake(["verify", str(signed), "--key", str(others[1])], capsys)
        (signed / "model.sig").unlink()
        assert "is not signed" in mistake(["verify", str(signed), "--key", str(others[1])], capsys)
        assert "cannot read the key" in mistake(["sign", str(signed), "--key", "nowhere"], capsys)

    def test_imports_the_library_only_for_keys(self) -> None:
        code = "import sys; from cvae_sdk.command import main; main(['verify']); print('model_signing' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "False"
