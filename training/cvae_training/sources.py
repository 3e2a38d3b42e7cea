"""The published data sets: their names, files, SHA-256, mirrors and classes; a table and nothing else."""

import string
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SOURCES", "IdxPair", "PublishedFile", "Source"]


@dataclass(frozen=True)
class PublishedFile:
    """A file by its usual name."""

    name: str
    sha256: tuple[str, ...] = ()
    """What it may have: the first is what mirrors serve, the others are those of packaged copies. None is given for the
    members of an archive, which has its own."""


@dataclass(frozen=True)
class IdxPair:
    """Images, [n, height, width], and their labels, [n]: two gzipped IDX files."""

    images: PublishedFile
    labels: PublishedFile


@dataclass(frozen=True)
class Source:
    """Where a data set comes from and how its files are to be read."""

    folder: str
    """Its folder's name in the cache, and in a folder of several data sets."""
    classes: tuple[str, ...]
    train: IdxPair
    held_out: IdxPair | None
    """The official test files; None where there are none: then the last 15 % are held out."""
    mirrors: tuple[str, ...] = ()
    """Addresses to which a file's name is added, in the order in which they are tried."""
    found_in: tuple[Path, ...] = ()
    """Folders where an installed package puts the files."""
    archive: PublishedFile | None = None
    """The zip file that is downloaded in place of the files, its members."""
    transposed: bool = False
    """Whether the images lie in the files with rows and columns exchanged."""
    first_label: int = 0


def _mnist_like(
    folder: str, classes: tuple[str, ...], sha256: tuple[tuple[str, ...], ...], mirrors: tuple[str, ...], *found_in: str
) -> Source:
    names = (
        *("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        *("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
    )
    files = [PublishedFile(name, sums) for name, sums in zip(names, sha256, strict=True)]
    paths = tuple(map(Path, found_in))
    return Source(folder, classes, IdxPair(*files[:2]), IdxPair(*files[2:]), mirrors, paths)


def _emnist(part: str, classes: str, first_label: int) -> Source:
    def pair(split: str) -> IdxPair:
        prefix = f"emnist-{part}-{split}"
        return IdxPair(PublishedFile(f"{prefix}-images-idx3-ubyte.gz"), PublishedFile(f"{prefix}-labels-idx1-ubyte.gz"))

    return Source(
        folder="emnist",
        classes=tuple(classes),
        train=pair("train"),
        held_out=pair("test"),
        mirrors=(
            "https://biometrics.nist.gov/cs_links/EMNIST/",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
        ),
        archive=PublishedFile("gzip.zip", ("fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",)),
        transposed=True,
        first_label=first_label,
    )


SOURCES: dict[str, Source] = {
    "mnist-10k": Source(
        folder="mnist-10k",
        classes=tuple(string.digits),
        train=IdxPair(
            PublishedFile(
                "mnist-10k-images-idx3-ubyte.gz",
                ("0d54ea6c8b122fdfcf5b54d86d42bd45426b02356c5b5233acfa231e0a584004",),
            ),
            PublishedFile(
                "mnist-10k-labels-idx1-ubyte.gz",
                ("8dc8eeae4fa0b96f019d8183eec6241da1627623e3bfcd40e024036d96e6a6a3",),
            ),
        ),
        held_out=None,
        found_in=(Path(__file__).parent / "datasets" / "mnist-10k",),
    ),
    "mnist": _mnist_like(
        "mnist",
        tuple(string.digits),
        (
            ("440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",),
            ("3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",),
            ("8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",),
            ("f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",),
        ),
        ("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    ),
    "fashion-mnist": _mnist_like(
        "fashion-mnist",
        (
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        # The second of each is Debian's dataset-fashion-mnist: the same images, compressed again.
        (
            (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
            ),
            (
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
            ),
            (
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
            ),
            (
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
            ),
        ),
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        "/usr/share/datasets/fashion-mnist",
    ),
    "kmnist": _mnist_like(
        "kmnist",
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        (
            ("51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",),
            ("e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",),
            ("edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",),
            ("20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",),
        ),
        ("https://codh.rois.ac.jp/kmnist/dataset/kmnist/", "http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
    ),
    # A class of the letters is its capital and its small letter together.
    "emnist-letters": _emnist("letters", string.ascii_uppercase, first_label=1),
    # The small letters that are like their capitals are counted as these.
    "emnist-balanced": _emnist("balanced", string.digits + string.ascii_uppercase + "abdefghnqrt", first_label=0),
}
