"""Names files that are no data set for this program, for the errors about them."""

from pathlib import Path

READ = "what is read: a folder with one subfolder of pictures per class, or with the IDX files of MNIST"

FROM_NUMPY = (
    '; write the arrays of `np.load(path)` as IDX: `write_idx("data/train-images.idx3-ubyte", images)` of '
    "cnncli.data.readers.idx, with images of type uint8 from 0 to 255, and the labels likewise"
)

_KINDS = {
    ".npz": "a NumPy archive",
    ".npy": "a NumPy array",
    ".csv": "a table (CSV)",
    ".tsv": "a table (TSV)",
    ".parquet": "a Parquet table",
    ".arff": "an ARFF table",
    ".json": "a JSON document",
    ".mat": "a MATLAB file",
    ".h5": "an HDF5 file",
    ".hdf5": "an HDF5 file",
    ".pkl": "a pickle, which can run any code when it is read",
    ".pickle": "a pickle, which can run any code when it is read",
    ".pt": "a pickle, which can run any code when it is read",
    ".pth": "a pickle, which can run any code when it is read",
    ".zip": "a ZIP archive: unpack it first",
    ".tar": "a tar archive: unpack it first",
    ".tgz": "a tar archive: unpack it first",
    ".7z": "a 7z archive: unpack it first",
    ".rar": "a RAR archive: unpack it first",
}


def name_data_file(path: Path) -> str | None:
    """Return what a file is that holds data in a form that is not read, or None."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-2:-1] == [".tar"]:
        return _KINDS[".tar"]
    if suffixes[-1:] in ([".gz"], [".bz2"], [".xz"]):
        suffixes.pop()
    return _KINDS.get(suffixes[-1]) if suffixes else None


def refuse_file(path: Path) -> tuple[str, str]:
    """Return message and hint of the error about a file in the place of a data set."""
    name = path.name.lower()
    what = name_data_file(path)
    if what is None and ("idx" in name or "ubyte" in name):
        return f"{path} is one IDX file", f"name the folder that holds it: folder:{path.parent}"
    return f"{path} is {what or 'a file'}, not a folder", what_is_read(path)


def what_is_read(path: Path) -> str:
    """Return the hint of an error about a file of data: what is read instead, and how arrays of NumPy become that."""
    return READ + (FROM_NUMPY if path.suffix.lower() in (".npz", ".npy") else "")
