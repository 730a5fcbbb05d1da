"""Finds the connected components of a mask without an image processing library.

Each row of a mask is a few runs of true pixels, and a component is a set of runs that touch from row to row. There
are far fewer runs than pixels. Pixels that share only a corner are connected too (8-connectivity).

Axis letters: H W mask, R runs, K components.
"""

from dataclasses import dataclass

import numpy as np

from cnncli.types import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class Components:
    """The connected components of a mask.

    Args:
        shape: height and width of the mask.
        rows, starts, ends: (R,), row, first column and exclusive last column of each run.
        labels: (R,), the component of each run, from 0 to K − 1.
        areas: (K,), in pixels.
        boxes: (K, 4), left, top, right and bottom; right and bottom are exclusive.
    """

    shape: tuple[int, int]
    rows: IntArray
    starts: IntArray
    ends: IntArray
    labels: IntArray
    areas: IntArray
    boxes: IntArray

    def __len__(self) -> int:
        return len(self.areas)

    def mask(self, chosen: BoolArray) -> BoolArray:
        """Return a mask (H, W) of the chosen components, (K,)."""
        runs = chosen[self.labels]
        return paint_runs(self.shape, self.rows[runs], self.starts[runs], self.ends[runs])

    def select(self, chosen: BoolArray) -> "Components":
        """Return only the chosen components, (K,)."""
        runs = chosen[self.labels]
        numbers = np.cumsum(chosen) - 1
        return Components(
            self.shape,
            self.rows[runs],
            self.starts[runs],
            self.ends[runs],
            numbers[self.labels[runs]],
            self.areas[chosen],
            self.boxes[chosen],
        )

    def split(self, parts: IntArray) -> "Components":
        """Return components that have been divided.

        Args:
            parts: a number for each run, (R,); runs of one component with different numbers come apart.
        """
        _, labels = np.unique(self.labels * (int(parts.max(initial=0)) + 1) + parts, return_inverse=True)
        return _describe(self.shape, self.rows, self.starts, self.ends, labels)

    def cut_out(self, groups: IntArray, boxes: IntArray) -> list[BoolArray]:
        """Return the mask of each group of components, cut to its box.

        Args:
            groups: the group of each component, (K,), from 0; −1 for none.
            boxes: (G, 4), a box around each group.
        """
        of_run = groups[self.labels]
        order = np.argsort(of_run, kind="stable")
        edges = np.searchsorted(of_run[order], np.arange(len(boxes) + 1))
        masks = []
        for (left, top, right, bottom), first, last in zip(
            boxes.tolist(), edges[:-1], edges[1:], strict=True
        ):
            runs = order[first:last]
            shape = bottom - top, right - left
            masks.append(
                paint_runs(shape, self.rows[runs] - top, self.starts[runs] - left, self.ends[runs] - left)
            )
        return masks

    def centers(self) -> FloatArray:
        """Return the center of mass of each component, x and y, (K, 2), in pixel edges."""
        lengths = self.ends - self.starts
        x = self.totals((self.starts + self.ends) * lengths) / (2 * self.areas)
        y = self.totals((2 * self.rows + 1) * lengths) / (2 * self.areas)
        return np.stack([x, y], axis=1)

    def at(self, rows: IntArray, columns: IntArray) -> IntArray:
        """Return the component of each point, (N,); each must be in one."""
        width = self.shape[1] + 1
        runs = np.searchsorted(self.rows * width + self.starts, rows * width + columns, side="right") - 1
        return self.labels[runs]

    def areas_in(self, mask: BoolArray) -> IntArray:
        """Return how many pixels of each component are in a mask (H, W), (K,)."""
        before = np.zeros((self.shape[0], self.shape[1] + 1), np.int32)
        np.cumsum(mask, axis=1, out=before[:, 1:])
        return self.totals(before[self.rows, self.ends] - before[self.rows, self.starts])

    def totals(self, values: IntArray) -> IntArray:
        """Sum a value of each run, (R,), over the runs of each component, (K,)."""
        return np.bincount(self.labels, values, len(self)).astype(np.int64)


def find_components(mask: BoolArray) -> Components:
    """Label the connected components of a mask (H, W) in the order of their first pixels, row by row.

    Example:
        >>> find_components(np.eye(3, dtype=bool)).boxes.tolist()
        [[0, 0, 3, 3]]
    """
    rows, starts, ends = find_runs(mask)
    labels = _connect(rows, starts, ends, mask.shape[1])
    _, labels = np.unique(labels, return_inverse=True)
    height, width = mask.shape
    return _describe((height, width), rows, starts, ends, labels)


def find_runs(mask: BoolArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return row, first column and exclusive last column of every run of a mask, each (R,), row by row."""
    height, width = mask.shape
    padded = np.zeros((height, width + 1), bool)  # the last column ends the runs of each row
    padded[:, :-1] = mask
    flat = padded.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    if height and width and mask[0, 0]:
        edges = np.concatenate([[0], edges])
    rows, starts = np.divmod(edges[::2], width + 1)
    return rows, starts, edges[1::2] - rows * (width + 1)


def paint_runs(shape: tuple[int, int], rows: IntArray, starts: IntArray, ends: IntArray) -> BoolArray:
    """Return the mask (H, W) of runs, which may overlap."""
    height, width = shape
    changes = np.zeros(height * (width + 1), np.int32)  # one more column, for runs that end at the edge
    np.add.at(changes, rows * (width + 1) + starts, 1)
    np.add.at(changes, rows * (width + 1) + ends, -1)
    inside = np.cumsum(changes, dtype=np.int32).reshape(height, width + 1)
    return inside[:, :width] > 0


def _describe(
    shape: tuple[int, int], rows: IntArray, starts: IntArray, ends: IntArray, labels: IntArray
) -> Components:
    """Return the components of runs with their areas and boxes."""
    count = int(labels.max(initial=-1)) + 1
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int64).max, 0
    for column, values in enumerate((starts, rows)):
        np.minimum.at(boxes[:, column], labels, values)
    for column, values in enumerate((ends, rows + 1), start=2):
        np.maximum.at(boxes[:, column], labels, values)
    areas = np.bincount(labels, ends - starts, count).astype(np.int64)
    return Components(shape, rows, starts, ends, labels, areas, boxes)


def _connect(rows: IntArray, starts: IntArray, ends: IntArray, width: int) -> IntArray:
    """Return for each run the index of the first run of its component, (R,)."""
    count = len(rows)
    line = width + 3  # wide enough that a run never extends into the next row
    # the runs of the next row that touch run i, also at corners: end >= its start and start <= its end
    below = (rows + 1) * line
    first = np.searchsorted(rows * line + ends, below + starts)
    last = np.searchsorted(rows * line + starts, below + ends, side="right")
    touching = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(count), touching)
    lower = np.arange(touching.sum()) - np.repeat(np.cumsum(touching) - touching, touching)
    lower += np.repeat(first, touching)
    root = np.arange(count)
    while True:
        a, b = root[upper], root[lower]
        if np.array_equal(a, b):
            return root
        # union: attach the larger root of every edge to the smaller one; then let every run point to its root
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(root, root[root]):
            root = root[root]
