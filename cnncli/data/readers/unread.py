"""Names files that are no data set for this program, for the errors about them."""

from pathlib import Path

READ = (
    "what is read: a folder with one subfolder of pictures per class, IDX, CSV, .npz, .npy, LIBSVM, ARFF, tar, "
    "Parquet, .mat and .h5"
)

_PICKLE = (
    "a pickle, which can run any code when it is read",
    "convert it where you trust it, with NumPy: np.savez('data.npz', x_train=..., y_train=..., x_test=..., y_test=...)",
)

_KINDS: dict[str, tuple[str, str]] = {
    ".json": ("a JSON document", READ),
    **dict.fromkeys((".pkl", ".pickle", ".pt", ".pth", ".joblib"), _PICKLE),
    ".zip": ("a ZIP archive", "unpack it, and name its folder"),
    ".7z": ("a 7z archive", "unpack it, and name its folder"),
    ".rar": ("a RAR archive", "unpack it, and name its folder"),
    ".arrow": ("an Arrow file", "save it as Parquet, or as .npz with NumPy"),
    ".tfrecord": ("a TFRecord file", "save its images and labels as .npz with NumPy"),
    ".xls": ("a spreadsheet", "save it as CSV"),
    ".xlsx": ("a spreadsheet", "save it as CSV"),
}


def name_data_file(path: Path, kind: str | None = None) -> tuple[str, str] | None:
    """Return what a file is that holds data in a form that is not read, and what to do about it; None if unknown.

    Args:
        path: of the file.
        kind: what its first bytes say, as `kind_of_file` returns it.
    """
    if kind == "pickle":
        return _PICKLE
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] in ([".gz"], [".bz2"], [".xz"]):
        suffixes.pop()
    return _KINDS.get(suffixes[-1]) if suffixes else None


def refuse_file(path: Path, kind: str | None = None) -> tuple[str, str]:
    """Return message and hint of the error about a file in the place of a data set."""
    what, hint = name_data_file(path, kind) or ("no data set that is known", READ)
    return f"{path} is {what}", hint
