"""Write 64 latents of the seed contract, to be kept under today's date and never edited, and print the table of them:

    .venv/bin/python tests/golden/write_latents.py tests/golden/latents-2026-11-26.json

Their values are those of exact_latents.py; sdk/SEEDS.md holds the table.
"""

import json
import sys
from pathlib import Path

from exact_latents import exact_latent, word_of

# seed, index, latent_dim, k, temperature, truncation
Place = tuple[int, int, int, int, float, float | None]

_BIG = 2**64 - 1
# Among the first 2^25 words of seed 0, four to an image, all tried:
_LOWEST, _HIGHEST = (5617470, 3), (7113731, 1)
_EXTREMES = (
    *(_LOWEST, (1767245, 0), _HIGHEST, (7259677, 3)),
    *((454764, 3), (5194699, 3)),  # next to 1/2
    *(
        (5540335, 1),
        (7293248, 3),
        (6296594, 1),
        (4285252, 1),
    ),  # next to where the quantile's formulas meet, on each side
)

PLACES: list[Place] = [
    *((0, index, 4, k, 1.0, None) for index, k in _EXTREMES),
    *(
        (seed, index, latent_dim, k, 1.0, None)
        for seed in (0, 1, 2**32 - 1, 2**32, 2**32 + 1, 0x0123456789ABCDEF, 2**63, _BIG)
        for index, latent_dim, k in ((0, 24, 0), (2**32 + 5, 10, 3))
    ),
    # With 3 counters an image, the first of these images is the last counter before 2^32, and before 2^64.
    *((5, index, 10, k, 1.0, None) for index in (0x55555555, 0x5555555555555555) for k in (3, 4)),
    *((7, _BIG, latent_dim, latent_dim - 1, 1.0, None) for latent_dim in (5, 64)),
    *((42, 7, latent_dim, latent_dim - 1, 1.0, None) for latent_dim in (1, 3)),
    (42, 2**32, 1, 0, 1.0, None),
    *((2**40 + 17, 2**33, 24, 23, temperature, None) for temperature in (0.0, 0.1, 0.5, 0.7, 1.5, 3.0)),
    *((99, 1000000, 24, 13, 1.0, t) for t in (0.001, 0.5, 1.0, 1.5, 2.0, 2.9999999, 3.0, 4.0, 6.0, 8.49, 8.5, 20.0)),
    *((0, _LOWEST[0], 4, _LOWEST[1], 1.0, t) for t in (0.5, 2.0, 3.0, 6.0, 8.5)),
    *((0, _HIGHEST[0], 4, _HIGHEST[1], 1.0, t) for t in (1.0, 2.5, 5.0)),
    (_BIG, _BIG, 64, 63, 0.7, 2.0),
    (0, _LOWEST[0], 4, _LOWEST[1], 0.7, 2.0),
    (99, 1000000, 24, 13, 0.0, 2.0),  # minus zero
]


def _table(cases: list[dict[str, object]]) -> str:
    head = "| seed | index | latent_dim | k | temperature | truncation | word | latent, float32 bits |"
    rows = [
        "| " + " | ".join("none" if value is None else str(value) for value in case.values()) + " |" for case in cases
    ]
    return "\n".join([head, "| --- " * 8 + "|", *rows])


def cases() -> list[dict[str, object]]:
    """Each place with the word it is made of and the bits of its latent, seeds and indices as decimal digits."""
    return [
        {
            "seed": str(seed),
            "index": str(index),
            "latent_dim": latent_dim,
            "k": k,
            "temperature": temperature,
            "truncation": truncation,
            "word": f"{word_of(seed, index, latent_dim, k):08x}",
            "bits": exact_latent(*place).tobytes()[::-1].hex(),
        }
        for place in PLACES
        for seed, index, latent_dim, k, temperature, truncation in [place]
    ]


if __name__ == "__main__":
    about = (
        "Latent k of image `index` of `seed`, an image having latent_dim of them: the word of Philox that it is made"
        " of, and the bit pattern of its float32. From tests/golden/exact_latents.py; sdk/SEEDS.md has them as a table."
    )
    lines = ",\n".join(f"    {json.dumps(case)}" for case in cases())
    Path(sys.argv[1]).write_text(
        f'{{\n  "about": {json.dumps(about)},\n  "date": "2026-11-26",\n  "latents": [\n{lines}\n  ]\n}}\n'
    )
    print(_table(cases()))
