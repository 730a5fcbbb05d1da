"""Chooses the frame of an animation that shows the whole drawing."""

import numpy as np
from PIL import Image

from cnncli.types import BoolArray

MAX_FRAME_PIXELS = 100_000_000
"""An animation with more pixels in all its frames is not searched: its first frame is taken."""

_VISIBLE = 40  # ink differs from the background by more, in 0..255
_LOST = 0.01  # the share of the ink that may vanish from one frame to the next, for example by compression


def choose_frame(opened: Image.Image) -> tuple[int, bool]:
    """Return the frame to read, and whether it shows all that the others show.

    A drawing that grows is complete in its last frame: there the ink of each frame contains that of the frame before.
    Of any other animation the first frame is taken.

    Args:
        opened: an animation, opened by Pillow; it is left at any frame.
    """
    frames: int = getattr(opened, "n_frames", 1)
    if frames * opened.width * opened.height > MAX_FRAME_PIXELS:
        return 0, False
    opened.seek(frames - 1)
    background = float(np.median(_grey(opened)))
    before: BoolArray | None = None
    changed = False
    for frame in range(frames):
        opened.seek(frame)
        ink: BoolArray = np.abs(_grey(opened) - background) > _VISIBLE
        if before is not None:
            if (before & ~ink).sum() > _LOST * before.sum():
                return 0, False
            changed |= bool((ink & ~before).any())
        before = ink
    return (frames - 1 if changed else 0), True


def _grey(opened: Image.Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """Return the current frame on middle gray, where black ink and white ink are visible."""
    picture = opened.convert("RGBA")
    background = Image.new("RGBA", picture.size, (128, 128, 128, 255))
    return np.asarray(Image.alpha_composite(background, picture).convert("L"), np.float32)
