"""The seed contract in JavaScript, run by Node, against the contract's vectors and the SDK's Python, bit by bit."""

import json
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from exact_latents import scalar_philox

from cvae_export import web
from cvae_sdk.latents import standard_normal_latents
from cvae_sdk.truncation import central_mass

PORT = Path(web.__file__).with_name("latents.mjs")
ANSWERS = Path(__file__).with_name("latents_answers.mjs")
VECTORS = json.loads((Path(__file__).parents[2] / "golden" / "latents-2026-11-26.json").read_text())["latents"]
MAX = 2**64 - 1


@dataclass(frozen=True)
class Place:
    """Latents that are asked of both."""

    seed: int
    first: int
    count: int
    latent_dim: int
    temperature: float = 1.0
    truncation: float | None = None

    def in_python(self) -> npt.NDArray[np.float32]:
        scaling = {"temperature": self.temperature, "truncation": self.truncation}
        return standard_normal_latents(self.seed, self.first, self.count, self.latent_dim, **scaling)

    def as_json(self) -> dict[str, object]:
        return {
            "seed": str(self.seed),
            "first": str(self.first),
            "count": self.count,
            "latentDim": self.latent_dim,
            "temperature": self.temperature,
            "truncation": self.truncation,
        }


def _random_places() -> list[Place]:
    """64 places of 16,384 latents and more: the half of them as people ask, the others with all that can be set."""
    draw = random.Random(20261126)
    latent_dims = [1, 2, 3, 5, 10, 20, 24, 64]
    seeds = [0, 1, 2**32 - 1, 2**32, 2**53 + 1, MAX]
    firsts = [0, 2**32 - 7, (2**32 - 1) // 3, (2**64 - 1) // 3, MAX - 16384]
    places = [
        Place(draw.choice([*seeds, draw.getrandbits(64)]), draw.choice([*firsts, draw.getrandbits(63)]), 0, latent_dim)
        for latent_dim in latent_dims * 4
    ] + [
        Place(
            draw.getrandbits(64),
            draw.getrandbits(63),
            0,
            latent_dim,
            draw.choice([0.0, 1e-40, draw.uniform(0, 2), 1e30]),
            draw.choice([None, draw.uniform(0.1, 3), draw.uniform(3, 9), 1e-6]),
        )
        for latent_dim in latent_dims * 4
    ]
    return [
        Place(p.seed, p.first, -(-16384 // p.latent_dim), p.latent_dim, p.temperature, p.truncation) for p in places
    ]


OF_VECTORS = [
    Place(int(v["seed"]), int(v["index"]), 1, v["latent_dim"], v["temperature"], v["truncation"]) for v in VECTORS
]
RANDOM = _random_places()
MASSES = [k / 64 for k in range(1, 600)] + [10.0**-k for k in range(2, 12)]
KNOWN_ANSWERS = [
    {"counter": [0] * 4, "key": [0] * 2},
    {"counter": [0xFFFFFFFF] * 4, "key": [0xFFFFFFFF] * 2},
    {"counter": [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], "key": [0xA4093822, 0x299F31D0]},
]
INTEGER = "must be an integer from 0 to 2^64 - 1, got"
REFUSED: list[tuple[list[object], str]] = [
    (["-1", 0, 1, 4], f"seed {INTEGER} -1"),
    ([-1, 0, 1, 4], f"seed {INTEGER} -1"),
    ([2.5, 0, 1, 4], f"seed {INTEGER} 2.5"),
    ([2**53, 0, 1, 4], f"seed {INTEGER} 9007199254740992"),
    (["18446744073709551616", 0, 1, 4], f"seed {INTEGER} 18446744073709551616"),
    (["0x10", 0, 1, 4], f"seed {INTEGER} 0x10"),
    (["", 0, 1, 4], f"seed {INTEGER} "),
    ([None, 0, 1, 4], f"seed {INTEGER} null"),
    ([0, "18446744073709551616", 1, 4], f"first {INTEGER} 18446744073709551616"),
    ([0, True, 1, 4], f"first {INTEGER} true"),
    ([0, 0, -1, 4], "count must be an integer of at least 0, got -1"),
    ([0, 0, 1, 0], "latentDim must be an integer of at least 1, got 0"),
    ([0, 0, 1, 1.5], "latentDim must be an integer of at least 1, got 1.5"),
    ([0, 0, 1, 4, {"temperature": -0.1}], "temperature must be a finite number of at least 0, got -0.1"),
    ([0, 0, 1, 4, {"temperature": 1e39}], "temperature must be a finite number of at least 0, got 1e+39"),
    ([0, 0, 1, 4, {"temperature": "1"}], "temperature must be a finite number of at least 0, got 1"),
    ([0, 0, 1, 4, {"truncation": 0}], "truncation must be a number above 0, or null, got 0"),
    ([0, 0, 1, 4, {"truncation": "2"}], "truncation must be a number above 0, or null, got 2"),
]


@dataclass(frozen=True)
class Answers:
    """What JavaScript said: bytes of all that was asked, in order."""

    of_vectors: list[bytes]
    of_random: list[bytes]
    masses: tuple[float, ...]
    words: tuple[int, ...]
    sentences: list[str]


def ask(port: Path) -> Answers:
    node = shutil.which("node")
    if node is None:
        reason = "there is no node: the seed contract in JavaScript cannot be run (Debian: apt install nodejs)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    question = {
        "places": [place.as_json() for place in OF_VECTORS + RANDOM],
        "masses": MASSES,
        "counters": KNOWN_ANSWERS,
        "refused": [call for call, _ in REFUSED],
    }
    done = subprocess.run(
        [node, ANSWERS, port.as_uri()], input=json.dumps(question).encode(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    rest = done.stdout

    def take(size: int) -> bytes:
        nonlocal rest
        taken, rest = rest[:size], rest[size:]
        return taken

    return Answers(
        [take(4 * place.count * place.latent_dim) for place in OF_VECTORS],
        [take(4 * place.count * place.latent_dim) for place in RANDOM],
        struct.unpack(f"<{len(MASSES)}d", take(8 * len(MASSES))),
        struct.unpack(f"<{4 * len(KNOWN_ANSWERS)}I", take(16 * len(KNOWN_ANSWERS))),
        json.loads(rest),
    )


@pytest.fixture(scope="module")
def answers() -> Answers:
    return ask(PORT)


def test_javascript_has_the_vectors_of_the_contract(answers: Answers) -> None:
    latents = [
        struct.unpack_from("<I", row, 4 * vector["k"])[0]
        for row, vector in zip(answers.of_vectors, VECTORS, strict=True)
    ]
    assert len(latents) == 64
    assert [f"{bits:08x}" for bits in latents] == [vector["bits"] for vector in VECTORS]


def test_a_million_random_latents_are_the_same_bits_in_javascript(
    answers: Answers, tell_count: Callable[[int, int, str], None]
) -> None:
    same = total = 0
    for place, found in zip(RANDOM, answers.of_random, strict=True):
        expected = place.in_python()
        same += int((np.frombuffer(found, "<u4") == expected.view(np.uint32).ravel()).sum())
        total += expected.size
    assert same == total >= 1_000_000
    tell_count(same, total, "latents are the same 32 bits in JavaScript and in Python")


def test_javascript_truncates_by_the_same_mass_to_the_last_bit(answers: Answers) -> None:
    assert list(answers.masses) == [central_mass(t) for t in MASSES]


def test_philox_in_javascript_is_that_of_plain_integers(answers: Answers) -> None:
    expected = [word for case in KNOWN_ANSWERS for word in scalar_philox(tuple(case["key"]), tuple(case["counter"]))]
    assert list(answers.words) == expected


def test_javascript_refuses_what_the_contract_has_no_latents_for(answers: Answers) -> None:
    assert answers.sentences == [f"RangeError: {sentence}" for _, sentence in REFUSED]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("0xd2511f53", "0xd2511f55"),
        ("k < Math.min(4 * block + 4, width)", "k < Math.min(4 * block + 3, width)"),
        ("+ 0.5) * 2 ** -32", ") * 2 ** -32"),
        ("0.180625 - q * q", "0.180624 - q * q"),
        ("Math.fround(z) * scale", "z * scale"),
    ],
)
def test_a_port_that_is_wrong_is_seen(tmp_path: Path, right: str, wrong: str) -> None:
    port = tmp_path / "latents.mjs"
    text = PORT.read_text()
    assert text.count(right) == 1
    port.write_text(text.replace(right, wrong))
    found = ask(port)
    expected = [place.in_python().astype("<f4").tobytes() for place in OF_VECTORS + RANDOM]
    assert found.of_vectors + found.of_random != expected
