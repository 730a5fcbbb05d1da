"""The table of published data sets: the mirrors that have each file, and the content each file must have.

To add a set in the MNIST format, add one entry to DATASETS.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase

from cnncli.data.dataset import SPLIT_NAMES, SYNTHETIC, SplitName
from cnncli.data.readers.idx import IdxKind
from cnncli.errors import UsageError
from cnncli.names import did_you_mean
from cnncli.types import Shape


@dataclass(frozen=True)
class DataFile:
    """One published IDX file and all that is known about its content.

    Args:
        split: "train" or "test".
        kind: "images" or "labels".
        name: the published name, with .gz.
        shape: the shape in the header of the decompressed file; None for files of the user's own.
        content_hash: the hash of the decompressed file, such as "sha256:ba89..."; None if none was published.
        published_hash: the hash of the .gz as published. A recompressed copy of the right content does not match it,
            so it only counts if `content_hash` is None.
    """

    split: SplitName
    kind: IdxKind
    name: str
    shape: Shape | None
    content_hash: str | None = None
    published_hash: str | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The file names to look for: gzipped, raw, and raw with the dot that some copies have."""
        raw = self.name.removesuffix(".gz")
        return (self.name, raw, raw.replace("-idx", ".idx"))


@dataclass(frozen=True)
class Archive:
    """A published zip file that contains the files of a set.

    Args:
        name: the name of the zip on the mirrors.
        folder: the folder of the files inside the zip.
        published_hash: the hash of the zip.
        max_bytes: a larger zip is refused.
    """

    name: str
    folder: str
    published_hash: str | None
    max_bytes: int


@dataclass(frozen=True)
class DatasetSpec:
    """One entry of the table.

    Args:
        name: the name in a config, and the name of the set's folder.
        title: the name in messages.
        classes: the name of each class, by label.
        files: the four IDX files.
        mirrors: web addresses of folders, in the order in which they are tried; each ends in a slash.
        licence: the licence that its authors state.
        homepage: a web page about the set, from which a person can fetch the files.
        mean: the published mean of the training pixels / 255; None to compute it from the training images.
        std: the same for the standard deviation.
        archive: the zip with the files, if they are published in one.
        transposed: whether the images are stored with rows and columns exchanged.
        first_label: the number in the files that stands for the first class.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    files: tuple[DataFile, ...]
    mirrors: tuple[str, ...]
    licence: str
    homepage: str
    mean: float | None = None
    std: float | None = None
    archive: Archive | None = None
    transposed: bool = False
    first_label: int = 0

    @property
    def label_limit(self) -> int | None:
        """The number that all labels in the files are below; None for any number of classes."""
        return self.first_label + len(self.classes) if self.classes else None

    def file(self, split: SplitName, kind: IdxKind) -> DataFile:
        """Return the file with the images or the labels of a split."""
        return next(file for file in self.files if (file.split, file.kind) == (split, kind))


DIGITS = tuple("0123456789")
FILE_ORDER: tuple[tuple[SplitName, IdxKind], ...] = (
    ("train", "images"),
    ("train", "labels"),
    ("test", "images"),
    ("test", "labels"),
)
MNIST_NAMES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
MERGED = "abdefghnqrt"
"""The small letters of EMNIST that do not look like their capital; the others share its class."""

EMNIST_CLASSES = {
    "digits": DIGITS,
    "mnist": DIGITS,
    "letters": tuple(ascii_uppercase),
    "balanced": (*DIGITS, *ascii_uppercase, *MERGED),
    "bymerge": (*DIGITS, *ascii_uppercase, *MERGED),
    "byclass": (*DIGITS, *ascii_uppercase, *ascii_lowercase),
}
"""The names of the classes of each set of EMNIST. Source: Cohen et al., "EMNIST: an extension of MNIST to handwritten
letters", 2017, sections II and III, and the mapping files beside the sets."""

EMNIST_COUNTS = {
    "digits": (240_000, 40_000),
    "mnist": (60_000, 10_000),
    "letters": (124_800, 20_800),
    "balanced": (112_800, 18_800),
    "bymerge": (697_932, 116_323),
    "byclass": (697_932, 116_323),
}
"""The numbers of training and test images of each set of EMNIST."""

QMNIST_NAMES = tuple(
    f"qmnist-{split}-{rest}.gz" for split in SPLIT_NAMES for rest in ("images-idx3-ubyte", "labels-idx2-int")
)
MNIST_SHAPES: tuple[Shape, ...] = ((60_000, 28, 28), (60_000,), (10_000, 28, 28), (10_000,))
QMNIST_SHAPES: tuple[Shape, ...] = ((60_000, 28, 28), (60_000, 8), (60_000, 28, 28), (60_000, 8))
UNKNOWN = (None, None, None, None)


def _files(
    names: Sequence[str],
    shapes: Sequence[Shape],
    content_hashes: Sequence[str | None] = UNKNOWN,
    published_hashes: Sequence[str | None] = UNKNOWN,
) -> tuple[DataFile, ...]:
    """Return the four files of a set; each argument has one value per file, in the order of FILE_ORDER."""
    rows = zip(FILE_ORDER, names, shapes, content_hashes, published_hashes, strict=True)
    return tuple(DataFile(*key, name, shape, *hashes) for key, name, shape, *hashes in rows)


def _emnist(name: str) -> DatasetSpec:
    """Return one of the six sets of EMNIST, which are published in one archive."""
    train, test = EMNIST_COUNTS[name]
    names = tuple(
        f"emnist-{name}-{split}-{rest}-ubyte.gz"
        for split in SPLIT_NAMES
        for rest in ("images-idx3", "labels-idx1")
    )
    return DatasetSpec(
        name=f"emnist-{name}",
        title=f"EMNIST {name}",
        classes=EMNIST_CLASSES[name],
        files=_files(names, ((train, 28, 28), (train,), (test, 28, 28), (test,))),
        mirrors=(
            "https://biometrics.nist.gov/cs_links/EMNIST/",
            "https://www.itl.nist.gov/iaui/vip/cs_links/EMNIST/",
        ),
        licence="public domain (NIST)",
        homepage="https://www.nist.gov/itl/products-and-services/emnist-dataset",
        archive=Archive("gzip.zip", "gzip", "md5:58c8d27c78d21e728a6bc7b3cc06412e", max_bytes=1 << 30),
        transposed=True,
        first_label=1 if name == "letters" else 0,
    )


class Table(dict[str, DatasetSpec]):
    """Data sets by name; as the default of a function it is short in `help`."""

    def __repr__(self) -> str:
        return f"<{len(self)} published sets>"


DATASETS = Table(
    {
        "mnist": DatasetSpec(
            name="mnist",
            title="MNIST",
            classes=DIGITS,
            files=_files(
                MNIST_NAMES,
                MNIST_SHAPES,
                content_hashes=(
                    "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                    "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                    "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                    "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                ),
                published_hashes=(
                    "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    "md5:d53e105ee54ea40749a09fcbcd1e9432",
                    "md5:9fb629c4189551a2d022fa330f9573f3",
                    "md5:ec29112dd5afa0611ce80d1b7f02629c",
                ),
            ),
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            licence="CC BY-SA 3.0",
            homepage="https://ossci-datasets.s3.amazonaws.com/mnist/",
            mean=0.1307,
            std=0.3081,
        ),
        "fashion-mnist": DatasetSpec(
            name="fashion-mnist",
            title="Fashion-MNIST",
            classes=(
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
            files=_files(
                MNIST_NAMES,
                MNIST_SHAPES,
                content_hashes=(
                    "md5:f4a8712d7a061bf5bd6d2ca38dc4d50a",
                    None,
                    "md5:8181f5470baa50b63fa0f6fddb340f0a",
                    None,
                ),
                published_hashes=(
                    "sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                    "sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                    "sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                    "sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
            ),
            mirrors=(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ),
            licence="MIT",
            homepage="https://github.com/zalandoresearch/fashion-mnist",
            mean=0.2860,  # as commonly published
            std=0.3530,
        ),
        "kmnist": DatasetSpec(
            name="kmnist",
            title="Kuzushiji-MNIST",
            classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
            files=_files(
                MNIST_NAMES,
                MNIST_SHAPES,
                published_hashes=(
                    "sha256:51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                    "sha256:e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                    "sha256:edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                    "sha256:20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
                ),
            ),
            mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
            licence="CC BY-SA 4.0",
            homepage="http://codh.rois.ac.jp/kmnist/",
            mean=0.1918,  # as commonly published
            std=0.3483,
        ),
        **{f"emnist-{name}": _emnist(name) for name in EMNIST_CLASSES},
        "qmnist": DatasetSpec(
            name="qmnist",
            title="QMNIST",
            classes=DIGITS,
            files=_files(
                QMNIST_NAMES,
                QMNIST_SHAPES,
                published_hashes=(
                    "md5:ed72d4157d28c017586c42bc6afe6370",
                    "md5:0058f8dd561b90ffdd0f734c6a30e5e4",
                    "md5:1394631089c404de565df7b7aeaf9412",
                    "md5:5b5b05890a5e13444e108efe57b788aa",
                ),
            ),
            mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
            licence="BSD 3-Clause",
            homepage="https://github.com/facebookresearch/qmnist",
        ),
    }
)


def find_spec(name: str, table: Mapping[str, DatasetSpec] = DATASETS) -> DatasetSpec:
    """Return an entry of the table.

    Raises:
        UsageError: there is no such entry; the hint has the nearest name.
    """
    if name in table:
        return table[name]
    if name == SYNTHETIC:
        raise UsageError(f"the data set '{SYNTHETIC}' is made by this program: it has no files")
    hint = did_you_mean(name, [*table, SYNTHETIC, "folder:PATH"])
    if len(Path(name).parts) > 1 or Path(name).suffix:
        raise UsageError(f"no data set is called '{name}', and there is no such file or folder", hint)
    raise UsageError(f"no data set is called '{name}'", hint)
