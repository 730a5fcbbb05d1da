// Finds the pieces of a mask: pixels that hang together, also at their corners (pictures/components.py).
//
// A mask is a Uint8Array (H, W), row by row, 1 for ink. Each of its rows is a few runs of ink, and a piece is a set of
// runs that touch from row to row. A box is [left, top, right, bottom]; right and bottom are the first pixels outside.

'use strict';

const cnnPieces = (() => {
  // Returns {height, width, runs: [{row, start, end, piece}], areas: [pixels], boxes}, in the order of first pixels.
  function find(mask, height, width) {
    const runs = runsOf(mask, height, width);
    const root = runs.map((_, n) => n); // of each run, the first run of its piece
    const rootOf = (n) => {
      while (root[n] !== n) {
        root[n] = root[root[n]];
        n = root[n];
      }
      return n;
    };
    let above = 0; // the first run of the row above that may touch
    runs.forEach(({row, start, end}, n) => {
      const isPast = (other) => other.row < row - 1 || (other.row === row - 1 && other.end < start);
      while (above < n && isPast(runs[above])) above++;
      for (let k = above; k < n && runs[k].row === row - 1 && runs[k].start <= end; k++) {
        const [one, other] = [rootOf(k), rootOf(n)];
        root[Math.max(one, other)] = Math.min(one, other);
      }
    });
    const numbers = new Map();
    const areas = [];
    const boxes = [];
    runs.forEach((run, n) => {
      const first = rootOf(n);
      if (!numbers.has(first)) {
        numbers.set(first, numbers.size);
        areas.push(0);
        boxes.push([Infinity, Infinity, 0, 0]);
      }
      run.piece = numbers.get(first);
      areas[run.piece] += run.end - run.start;
      boxes[run.piece] = around([boxes[run.piece], [run.start, run.row, run.end, run.row + 1]]);
    });
    return {height, width, runs, areas, boxes};
  }

  function runsOf(mask, height, width) {
    const runs = [];
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        if (!mask[row * width + column]) continue;
        const start = column;
        while (column < width && mask[row * width + column]) column++;
        runs.push({row, start, end: column, piece: -1});
      }
    }
    return runs;
  }

  // Returns the box around boxes.
  function around(boxes) {
    const found = [Infinity, Infinity, 0, 0];
    for (const [left, top, right, bottom] of boxes) {
      found[0] = Math.min(found[0], left);
      found[1] = Math.min(found[1], top);
      found[2] = Math.max(found[2], right);
      found[3] = Math.max(found[3], bottom);
    }
    return found;
  }

  // Returns the mask of the chosen pieces; chosen has true for them.
  function paint(pieces, chosen) {
    const mask = new Uint8Array(pieces.height * pieces.width);
    for (const {row, start, end, piece} of pieces.runs) {
      if (chosen[piece]) mask.fill(1, row * pieces.width + start, row * pieces.width + end);
    }
    return mask;
  }

  // Returns only the chosen pieces.
  function select(pieces, chosen) {
    const kept = pieces.areas.map((_, n) => n).filter((n) => chosen[n]);
    const numbers = new Map(kept.map((old, number) => [old, number]));
    return {
      ...pieces,
      runs: pieces.runs.filter((run) => chosen[run.piece]).map((run) => ({...run, piece: numbers.get(run.piece)})),
      areas: kept.map((n) => pieces.areas[n]),
      boxes: kept.map((n) => pieces.boxes[n]),
    };
  }

  // Returns the ink of the pieces of one group, cut to a box: a plane {height, width, values}.
  function cutOut(pieces, groups, group, [left, top, right, bottom]) {
    const width = right - left;
    const values = new Uint8Array((bottom - top) * width);
    for (const {row, start, end, piece} of pieces.runs) {
      if (groups[piece] !== group) continue;
      values.fill(1, (row - top) * width + start - left, (row - top) * width + end - left);
    }
    return {height: bottom - top, width, values};
  }

  // Returns the mean width of the strokes of a plane: twice the area divided by the length of the outline.
  function strokeWidth({height, width, values}) {
    let area = 0;
    let steps = 0;
    for (let a = 0; a <= height; a++) {
      for (let b = 0; b <= width; b++) {
        const here = a < height && b < width ? values[a * width + b] : 0;
        const above = a > 0 && b < width ? values[(a - 1) * width + b] : 0;
        const left = b > 0 && a < height ? values[a * width + b - 1] : 0;
        area += here;
        steps += (here !== above) + (here !== left);
      }
    }
    return (2 * area) / Math.max((steps * Math.PI) / 4, 1); // pixel steps make diagonals longer
  }

  return {find, around, paint, select, cutOut, strokeWidth};
})();
