"""The arguments that say what is sampled from, and by what noise: an artifact, a backend, a seed."""

import argparse
import secrets
from dataclasses import fields, replace
from typing import Any

from cvae_sdk.backends.options import BACKENDS
from cvae_sdk.errors import InputError
from cvae_sdk.sampler import Sampler

__all__ = ["add_artifact", "add_backend", "add_noise", "noise", "open_sampler", "seed_of"]

_ARTIFACT = "a folder, the name of a shipped artifact, or the address of a server's model [mnist]"


def add_artifact(verb: argparse.ArgumentParser) -> None:
    """--artifact, --manifest, and those of `add_backend`."""
    verb.add_argument("--artifact", metavar="A", help=_ARTIFACT)
    add_backend(verb)


def add_backend(verb: argparse.ArgumentParser) -> None:
    """--manifest, --backend and --threads."""
    verb.add_argument(
        "--manifest", metavar="A", help="of a server: the artifact, a folder or a name, that its model must be"
    )
    verb.add_argument("--backend", choices=list(BACKENDS), metavar="B", help=f"{', '.join(BACKENDS)} [onnx]")
    verb.add_argument("--threads", type=int, metavar="N", help="that the runtime spreads a call over [all cores]")


def add_noise(verb: argparse.ArgumentParser, truncated: bool = True) -> None:
    """--seed and, where the verb takes them, --temperature and --truncation."""
    verb.add_argument("--seed", type=int, metavar="S", help="0 to 2^64 - 1; the same seed, the same images [random]")
    if truncated:
        verb.add_argument(
            "--temperature",
            type=float,
            default=1.0,
            metavar="T",
            help="scales the noise; 0 gives a class's center [1]",
        )
        verb.add_argument(
            "--truncation", type=float, metavar="T", help="cuts the noise off at T standard deviations [not at all]"
        )


def open_sampler(options: argparse.Namespace) -> Sampler:
    """The Sampler that the arguments ask for."""
    if options.backend is None and options.threads is None:
        return Sampler(options.artifact, **_manifest(options))
    name = options.backend or "onnx"
    settings = BACKENDS[name]()
    if options.threads is not None:
        if options.threads < 1:
            raise InputError(f"--threads must be at least 1, got {options.threads}", field="threads")
        if "threads" not in {each.name for each in fields(settings)}:
            raise InputError(f"--threads is not for the backend {name}", field="threads")
        settings = replace(settings, threads=options.threads)  # pyright: ignore[reportCallIssue] - checked above
    return Sampler(options.artifact, backend=settings, **_manifest(options))


def noise(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The arguments of Sampler's calls."""
    return {"seed": seed, "temperature": options.temperature, "truncation": options.truncation}


def seed_of(options: argparse.Namespace) -> int:
    """The seed that was given, or a random one."""
    return secrets.randbits(64) if options.seed is None else options.seed


def _manifest(options: argparse.Namespace) -> dict[str, str]:
    return {} if options.manifest is None else {"manifest": options.manifest}
