"""cvae info, verify and sign: what an artifact is, and whether it is what it says."""

import argparse
from pathlib import Path

from cvae_sdk.artifact import locate
from cvae_sdk.commands.one_line_parser import Verbs, add_verb
from cvae_sdk.commands.sampler_arguments import add_backend, open_sampler
from cvae_sdk.signing import sign, verify_signature

__all__ = ["add_artifacts"]


def add_artifacts(verbs: Verbs) -> None:
    """The verbs of this file."""
    info = add_verb(
        verbs,
        "info",
        "say what an artifact holds",
        "Say what an artifact holds: its classes, its files, and how far each of its forms is from the trained model.",
        "cvae info artifacts/mine",
    )
    info.set_defaults(run=_info)
    verify = add_verb(
        verbs,
        "verify",
        "check every file of an artifact and replay its recorded images",
        "Check every file of an artifact by its SHA-256, and replay the images recorded at export.",
        "cvae verify artifacts/mine",
        "cvae verify artifacts/mine --key key.pub",
    )
    verify.add_argument(
        "--key", type=Path, metavar="PUB", help="check its signature too, with this PEM public key of an elliptic curve"
    )
    verify.set_defaults(run=_verify)
    for verb in (info, verify):
        verb.add_argument("given", nargs="?", metavar="ARTIFACT", help="its folder, or a shipped one's name [mnist]")
        verb.add_argument("--artifact", metavar="A", help="the same")
        add_backend(verb)
    signing = add_verb(
        verbs,
        "sign",
        "sign an artifact",
        "Sign an artifact: writes model.sig into its folder. Needs pip install 'cvae-sdk[signing]'.",
        "cvae sign artifacts/mine --key key.pem",
    )
    signing.add_argument("artifact", type=Path, metavar="DIR", help="the artifact's folder")
    signing.add_argument(
        "--key", type=Path, required=True, metavar="KEY", help="a PEM private key of an elliptic curve, no password"
    )
    signing.set_defaults(run=_sign)


def _info(options: argparse.Namespace) -> None:
    options.artifact = options.given or options.artifact
    with open_sampler(options) as sampler:
        manifest = sampler.manifest
    print(f"name         {manifest.name}, version {manifest.version}")
    print(f"created      {manifest.created}")
    print(f"classes      {', '.join(manifest.classes)}")
    print(f"latent_dim   {manifest.latent_dim}")
    print(f"image_shape  {' x '.join(map(str, manifest.image_shape))}")
    print(f"trained on   {manifest.training.get('data_set', 'unknown')}")
    print(f"files        {len(manifest.files)}, {sum(record.bytes for record in manifest.files.values()):,} bytes")
    print(f"digest       {manifest.digest}")
    for name, form in sorted(manifest.formats.items()):
        parity = form.parity
        print(f"format       {name}: {form.path}, max_abs_error {parity.max_abs_error:.1e} over {parity.cases} inputs")


def _verify(options: argparse.Namespace) -> None:
    options.artifact = options.given or options.artifact
    if options.key is not None:  # first, so that nothing of an artifact that somebody else made is run
        verify_signature(locate(options.artifact), options.key)
        print(f"signed with the key of {options.key}")
    with open_sampler(options) as sampler:
        result = sampler.verify()
    print(
        f"verified {result.files} files, {result.bytes:,} bytes; "
        f"{result.goldens} recorded images, max_abs_error {result.max_abs_error:.1e}"
    )


def _sign(options: argparse.Namespace) -> None:
    print(f"signature saved in {sign(options.artifact, options.key)}")
