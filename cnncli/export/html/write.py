"""The format `html` of `cnn export`: a page to draw on, and how it is checked without a browser."""

import re
import shutil
import subprocess
from math import prod
from pathlib import Path

import numpy as np

from cnncli.errors import CnnError
from cnncli.export.folded import fold_model
from cnncli.export.html.weights import network_document, rounded_state
from cnncli.export.images import Images
from cnncli.export.npz import answers_with
from cnncli.export.subject import Subject
from cnncli.types import FloatArray
from cnncli.web.single_file import single_file

PAGE = "draw.html"

SCRIPTS = {
    "backend_server.js": [
        "network.js",
        "resize.js",
        "paper.js",
        "pieces.js",
        "ink.js",
        "join.js",
        "segment.js",
        "place.js",
        "prepare.js",
        "answer.js",
        "backend_page.js",
    ]
}
"""What takes the place of the script that asks a server: the scripts with which the page answers by itself."""

SAME = 1e-5
"""The largest difference of a logit that rounding may make, relative to the largest logit if that is above 1."""

OLDEST = 18
"""The first version of Node.js that has what the scripts need of a browser."""

PATIENCE = 600
"""Seconds that Node.js may take."""


def write(subject: Subject) -> dict[str, bytes]:
    """Return the page.

    Raises:
        UsageError: the network does not take pictures.
    """
    fold_model(subject.model)
    page = single_file(PAGE, {"model": network_document(subject)}, SCRIPTS)
    return {".html": page.encode()}


def node_missing() -> str | None:
    """Return why the scripts of a page cannot be run; None if they can."""
    if shutil.which("node") is None:
        return "node is not on the PATH (Node.js)"
    try:
        done = subprocess.run(["node", "-v"], capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"node cannot be run: {error}"
    found = re.match(r"v(\d+)\.", done.stdout)
    if found is None or int(found[1]) < OLDEST:
        return f"node is older than version {OLDEST}"
    return None


def answers(path: Path, subject: Subject, images: Images) -> FloatArray:
    """Return the logits (N, K) that the network of a page computes in Node.js.

    Raises:
        CnnError: it fails, or with weights in int8 it computes something else than the same weights in NumPy.
    """
    found = run_page(path, images)
    if subject.options.dtype == "int8":
        expected = answers_with(rounded_state(subject.model.network.state()), subject, images)
        difference = float(np.abs(found - expected).max())
        if not difference <= SAME * max(1.0, float(np.abs(expected).max())):
            raise CnnError(
                f"its logits differ by up to {difference:.2g} from those of the same weights in NumPy"
            )
    return found


def run_page(path: Path, images: Images) -> FloatArray:
    """Return the logits (N, K) that the network in a page computes in Node.js."""
    pixels = images.pixels
    check = Path(__file__).with_name("check.js")
    command = ["node", str(check), str(path), str(prod(pixels.shape[1:]))]
    try:
        done = subprocess.run(
            command, input=np.ascontiguousarray(pixels).tobytes(), capture_output=True, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CnnError(f"node cannot be run: {error}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[:8]
        raise CnnError("node ended with an error" + "".join(f"\n  {line}" for line in said))
    return np.frombuffer(done.stdout, np.float32).reshape(len(pixels), -1)
