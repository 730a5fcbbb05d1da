"""The format `c` of `cnn export`: its files, how they are checked, and how much memory they need."""

import re
from collections.abc import Mapping
from pathlib import Path

from cnncli.errors import CnnError, UsageError
from cnncli.export.c.compile import run_program
from cnncli.export.c.plan import Plan, make_plan
from cnncli.export.c.quantize import CALIBRATION_IMAGES, BytePlan, quantize
from cnncli.export.c.run_bytes import run_bytes
from cnncli.export.c.source import program
from cnncli.export.images import Images
from cnncli.export.subject import Subject
from cnncli.types import FloatArray

SAME = 1e-5
"""The largest difference of a logit that rounding may make, relative to the largest logit if that is above 1."""

PLANS = "c"
"""Under this name a subject keeps its operations, since the check needs them again."""


def write(subject: Subject) -> dict[str, bytes]:
    """Return the C file and its header.

    Raises:
        UsageError: a layer cannot be written, or the files cannot be called like this.
    """
    if re.search(r'["\\\x00-\x1f]', subject.name):
        raise UsageError(f"{subject.name!r} cannot be the name of a C file", "name another one: `-o net.c`")
    floats = make_plan(subject.folded)
    plan: Plan | BytePlan = floats
    title = f"The network of {subject.model.name} in float32."
    if subject.options.dtype == "int8":
        images = subject.find_images(CALIBRATION_IMAGES, "train")
        plan = quantize(floats, images.pixels)
        title = (
            f"The network of {subject.model.name} in int8. The ranges between its layers are those of "
            f"{len(images.pixels)} {images.origin}."
        )
    subject.kept[PLANS] = plan
    source, header = program(plan, subject.folded, subject.name, title)
    return {".c": source.encode(), ".h": header.encode()}


def answers(path: Path, subject: Subject, images: Images) -> FloatArray:
    """Return the logits of the compiled program.

    Raises:
        CnnError: it cannot be compiled, or in int8 it computes something else than the same operations in NumPy.
    """
    found = run_program(path, images.pixels, len(subject.folded.classes))
    plan = subject.kept.get(PLANS)
    if isinstance(plan, BytePlan):
        expected = run_bytes(plan, images.pixels)
        difference = float(abs(found - expected).max())
        if not difference <= SAME * max(1.0, float(abs(expected).max())):
            raise CnnError(
                f"its logits differ by up to {difference:.2g} from those of the same bytes in NumPy"
            )
    return found


def memory_needed(contents: Mapping[str, bytes]) -> dict[str, int]:
    """Return the bytes of flash for the constants and of RAM that the header names."""
    header = contents[".h"].decode()
    found = re.findall(r"^#define \w+_(FLASH|RAM)_BYTES (\d+)$", header, re.M)
    return {f"{name.lower()}_bytes": int(size) for name, size in found}
