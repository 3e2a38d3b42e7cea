"""A client of TensorFlow Serving: labels and a seed in, images out, drawn here and decoded there.

    pip install 'cvae-sdk[grpc]'
    python client.py                                                    the server of compose.yaml, over REST
    python client.py --address grpc://127.0.0.1:8500/mnist --out grpc.png           and over gRPC

The images are those that a Sampler of the artifact itself gives for the same seed.
"""

import argparse
import sys

from cvae_sdk import CvaeError, RemoteOptions, Sampler


class Parser(argparse.ArgumentParser):
    """One line for a mistake."""

    def error(self, message: str) -> None:
        """Exit with code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def main() -> int:
    """Ask the server for a picture, save it, and say whether it serves what it should."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--address", default="http://127.0.0.1:8501/v1/models/mnist", help="the server's [%(default)s]")
    parser.add_argument("--manifest", default="mnist", help="the artifact that it must serve, a name or folder [mnist]")
    parser.add_argument("--seed", type=int, default=0, help="the same seed, the same images [0]")
    parser.add_argument("--out", default="digits.png", help="the picture, a row for each class [digits.png]")
    options = parser.parse_args()
    try:
        # Names, dtypes and shapes of the server's model are held against the manifest as it is opened.
        with Sampler(options.address, backend=RemoteOptions(deadline=10), manifest=options.manifest) as sampler:
            checked = sampler.verify()  # its parameters, by images that were recorded at export
            sampler.grid(n=10, seed=options.seed, scale=2).save(options.out)
    except (CvaeError, OSError, ValueError) as error:  # the last two are of the picture: no such folder, no such format
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print(f"the server has the parameters of {options.manifest}: {checked.goldens} recorded images,", end=" ")
    print(f"at most {checked.max_abs_error:.1e} off")
    print(f"{10 * len(sampler.classes)} images of seed {options.seed} saved in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
