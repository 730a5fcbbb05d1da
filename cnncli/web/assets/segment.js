// Segments ink into digits (pictures/segment.py), and offers other ways to read the same ink
// (pictures/alternatives.py).
//
// A segment is the ink of one digit: {ink: plane of 0 and 1, cut to its box, box, line, cut: whether it was cut from
// ink that holds more digits}.

'use strict';

const cnnSegment = (() => {
  const {find, around, select, cutOut, strokeWidth} = cnnPieces;
  const {joinPieces, joinBars, boxesAround, findRows} = cnnJoin;
  const {median, quantile} = cnnPaper;

  const MOST = 500; // pieces: only the largest are looked at
  const MANY = 8; // so many digits tell the usual height
  const FRAMED = 0.25; // of the size of a frame: what is in it is larger; a dot in a 0 is smaller
  const HOLLOW = 0.08; // of the ink of a frame is inside at most

  const WIDE = 1.15; // times the height: ink that is wider may be two digits
  const WIDE_ALONE = 1.3; // the same for a picture with nothing else
  const CUTS = 2; // ways to cut it
  const NARROW = 1.15; // times the height: two strokes together are not wider if they are one digit
  const CLOSE = 0.12; // of the height: the gap between two strokes of one digit
  const FEW = 5; // so few pieces may be one digit

  const sizeOf = ([left, top, right, bottom]) => Math.max(right - left, bottom - top);
  const heightOf = ([, top, , bottom]) => bottom - top;
  const sum = (values) => values.reduce((a, b) => a + b, 0);

  // Returns the digits of a mask, line by line, each line from left to right.
  //
  // smallest: ink whose height and width are below this is a speck, in pixels.
  function findSegments(mask, height, width, smallest) {
    let pieces = find(mask, height, width);
    let kept = pieces.boxes.map((box) => sizeOf(box) >= smallest / 2);
    kept = kept.map((each, n) => each && !isFrame(pieces, kept, n));
    kept = inside(pieces, kept);
    if (!kept.some(Boolean)) return [];
    pieces = select(pieces, kept);
    if (pieces.areas.length > MOST) {
      const order = pieces.areas.map((_, n) => n).sort((a, b) => pieces.areas[b] - pieces.areas[a]);
      const largest = new Set(order.slice(0, MOST));
      pieces = select(pieces, pieces.areas.map((_, n) => largest.has(n)));
    }
    const whole = cutOut(pieces, pieces.areas.map(() => 0), 0, around(pieces.boxes));
    let groups = joinPieces(pieces.boxes, strokeWidth(whole));
    const areas = boxesAround(pieces.boxes, groups).map(() => 0);
    groups.forEach((group, n) => { areas[group] += pieces.areas[n]; });
    const usual = usualHeight(boxesAround(pieces.boxes, groups), areas);
    groups = joinBars(pieces.boxes, groups, usual);
    const boxes = boxesAround(pieces.boxes, groups);
    const chosen = choose(boxes, usual, smallest);
    const segments = boxes.flatMap((box, group) => {
      if (!chosen[group]) return [];
      return cutWide({ink: cutOut(pieces, groups, group, box), box, line: 0, cut: false}, usual);
    });
    const lines = segments.length ? findRows(segments.map((segment) => segment.box)) : [];
    segments.forEach((segment, n) => { segment.line = lines[n]; });
    return segments.sort((one, other) => one.line - other.line || one.box[0] - other.box[0]);
  }

  // Returns whether a piece is a frame: a box or an ellipse around another piece that is not much smaller.
  function isFrame(pieces, kept, number) {
    if (!kept[number]) return false;
    const [left, top, right, bottom] = pieces.boxes[number];
    const holds = pieces.boxes.some(
      (box, n) =>
        kept[n] && box[0] > left && box[1] > top && box[2] < right && box[3] < bottom &&
        sizeOf(box) >= FRAMED * sizeOf(pieces.boxes[number]),
    );
    return holds && isHollow(pieces, number);
  }

  // Returns whether nearly all ink of a piece is near the sides of its box, or near the ellipse in its box.
  function isHollow(pieces, number) {
    const [left, top, right, bottom] = pieces.boxes[number];
    const runs = pieces.runs.filter((run) => run.piece === number);
    const margin = Math.max(3, cnnResize.roundHalfEven(0.08 * Math.min(right - left, bottom - top)));
    const least = HOLLOW * pieces.areas[number];
    const middle = runs.map(({row, start, end}) => {
      if (row < margin + top || row >= bottom - margin) return 0;
      return Math.max(0, Math.min(end, right - margin) - Math.max(start, left + margin));
    });
    if (sum(middle) <= least) return true;
    // half of the width of the ellipse within the margin, at each row
    const high = (bottom - top) / 2 - margin;
    const wide = (right - left) / 2 - margin;
    const center = (left + right) / 2;
    const within = runs.map(({row, start, end}) => {
      const off = (row + 0.5 - (top + bottom) / 2) / Math.max(high, 1);
      const half = wide * Math.sqrt(Math.max(0, 1 - off * off));
      return Math.max(0, Math.min(end, center + half) - Math.max(start, center - half));
    });
    return sum(within) <= least;
  }

  // Returns the pieces to keep: without those that touch the border of the picture, unless they dominate.
  function inside(pieces, kept) {
    const {height, width, runs, areas, boxes} = pieces;
    const side = Math.min(height, width);
    const margin = Math.max(2, cnnResize.roundHalfEven(0.05 * side));
    const within = areas.map(() => 0);
    const contact = areas.map(() => 0);
    const moments = areas.map(() => [0, 0]);
    for (const {row, start, end, piece} of runs) {
      if (row >= margin && row < height - margin) {
        within[piece] += Math.max(0, Math.min(end, width - margin) - Math.max(start, margin));
      }
      contact[piece] += (row === 0 || row === height - 1 ? end - start : 0) + (start === 0) + (end === width);
      moments[piece][0] += (start + end) * (end - start);
      moments[piece][1] += (2 * row + 1) * (end - start);
    }
    const every = areas.map((_, n) => n);
    const touching = every.map((n) => {
      const [left, top, right, bottom] = boxes[n];
      return kept[n] && (left <= 1 || top <= 1 || right >= width - 1 || bottom >= height - 1);
    });
    // mostly along the border
    let foreign = every.map((n) => touching[n] && (within[n] < 0.5 * areas[n] || contact[n] > 0.4 * (height + width)));
    const outlying = every.map((n) => {
      const [x, y] = moments[n].map((moment) => moment / (2 * areas[n]));
      return Math.min(x, width - x, y, height - y) < 0.15 * side;
    });
    const inner = every.map((n) => kept[n] && !touching[n]);
    const central = every.some((n) => touching[n] && !foreign[n] && !outlying[n]);
    if (central || every.some((n) => inner[n] && sizeOf(boxes[n]) > 0.1 * side)) {
      foreign = every.map((n) => foreign[n] || (touching[n] && outlying[n]));
    }
    const rest = every.map((n) => touching[n] && !foreign[n]);
    const areaOf = (chosen) => sum(areas.filter((_, n) => chosen[n]));
    if (areaOf(rest) > 2 * areaOf(inner)) return every.map((n) => inner[n] || rest[n]);
    return inner.some(Boolean) ? inner : touching;
  }

  // Returns the usual height of the digits among pieces: of many the middle one, of few that with the most ink.
  function usualHeight(boxes, areas) {
    const heights = boxes.map(heightOf);
    const high = heights.filter((height) => height >= 0.4 * quantile(heights, 0.9));
    if (high.length >= MANY) return median(high);
    const order = heights.map((_, n) => n).sort((a, b) => heights[a] - heights[b]);
    const half = sum(areas) / 2;
    let total = 0;
    return heights[order.find((n) => {
      total += areas[n];
      return total >= half;
    })];
  }

  // Returns which groups of pieces are digits: not much smaller than the others, and no dashes.
  function choose(boxes, usual, smallest) {
    const largest = Math.max(...boxes.map(sizeOf));
    const chosen = boxes.map((box) => sizeOf(box) >= Math.max(smallest, 0.3 * Math.min(largest, 1.5 * usual)));
    const only = chosen.filter(Boolean).length === 1;
    return boxes.map((box, n) => {
      const dash = box[2] - box[0] > 2 * heightOf(box) && heightOf(box) < 0.4 * usual;
      return chosen[n] && (!dash || only);
    });
  }

  // Returns how many pixels of ink each column has.
  function columnsOf({height, width, values}) {
    const weight = new Array(width).fill(0);
    for (let a = 0; a < height; a++) for (let b = 0; b < width; b++) weight[b] += values[a * width + b];
    return weight;
  }

  // Cuts ink that is much wider than a digit at columns with little ink.
  function cutWide(segment, usual) {
    const {height, width} = segment.ink;
    const high = Math.max(height, Math.min(usual, 1.5 * height));
    const parts = 1.8 * high < width ? cnnResize.roundHalfEven(width / (0.75 * high)) : 1;
    const weight = columnsOf(segment.ink);
    const columns = [];
    for (let number = 1; number < parts; number++) {
      const middle = (number * width) / parts;
      const reach = (0.3 * width) / parts;
      let best = {score: Infinity, column: 0};
      for (let column = Math.trunc(middle - reach); column < Math.trunc(middle + reach) + 1; column++) {
        const score = weight[column] + (0.05 * height * Math.abs(column - middle)) / reach;
        if (score < best.score) best = {score, column};
      }
      columns.push(best.column);
    }
    return columns.length ? cutAt(segment, columns) : [segment];
  }

  // Returns the parts of a segment between columns of its ink; parts without ink are left out.
  function cutAt(segment, columns) {
    const {height, width, values} = segment.ink;
    const [left, top] = segment.box;
    const edges = [0, ...columns, width];
    return edges.slice(1).flatMap((end, n) => {
      const start = edges[n];
      const has = (a) => values.subarray(a * width + start, a * width + end).some(Boolean);
      let first = 0;
      let last = height;
      while (first < last && !has(first)) first++;
      while (last > first && !has(last - 1)) last--;
      if (first === last) return [];
      const part = new Uint8Array((last - first) * (end - start));
      for (let a = first; a < last; a++) {
        part.set(values.subarray(a * width + start, a * width + end), (a - first) * (end - start));
      }
      const box = [left + start, top + first, left + end, top + last];
      return [{...segment, ink: {height: last - first, width: end - start, values: part}, box, cut: true}];
    });
  }

  // Returns other ways to read segments, [{first, count: of the segments, parts: what the same ink is instead, overlap:
  // whether joined strokes overlap like those of a 4}].
  function findAlternatives(segments) {
    const found = [];
    const usual = median(segments.map((segment) => heightOf(segment.box)));
    for (let number = 0; number < segments.length; ) {
      const end = endOfCut(segments, number);
      if (end === number + 2) {
        found.push({first: number, count: 2, parts: [join(segments.slice(number, end))], overlap: false});
      } else if (end === number + 1 && !segments[number].cut) {
        const wide = segments.length > 1 ? WIDE : WIDE_ALONE;
        const cuts = cutInTwo(segments[number], wide);
        found.push(...cuts.map((parts) => ({first: number, count: 1, parts, overlap: false})));
      }
      number = end;
    }
    for (let number = 0; number + 1 < segments.length; number++) {
      const [one, other] = [segments[number], segments[number + 1]];
      if (!mayBeOne(one, other, usual)) continue;
      found.push({first: number, count: 2, parts: [join([one, other])], overlap: overlaps(one, other)});
    }
    if (segments.length > 2 && segments.length <= FEW && !segments.some((segment) => segment.cut)) {
      const whole = join(segments);
      const sides = [whole.ink.height, whole.ink.width];
      if (Math.max(...sides) < 1.5 * Math.min(...sides)) {
        found.push({first: 0, count: segments.length, parts: [whole], overlap: false});
      }
    }
    return found;
  }

  // Returns the ink of several segments as one, in the place of the first.
  function join(segments) {
    const box = around(segments.map((segment) => segment.box));
    const width = box[2] - box[0];
    const values = new Uint8Array((box[3] - box[1]) * width);
    for (const {ink, box: [left, top]} of segments) {
      for (let a = 0; a < ink.height; a++) {
        for (let b = 0; b < ink.width; b++) {
          if (ink.values[a * ink.width + b]) values[(top - box[1] + a) * width + left - box[0] + b] = 1;
        }
      }
    }
    return {...segments[0], ink: {height: box[3] - box[1], width, values}, box, cut: false};
  }

  // Returns where the parts of ink end that was cut and starts with this segment.
  function endOfCut(segments, first) {
    let end = first + 1;
    while (
      end < segments.length && segments[first].cut && segments[end].cut &&
      segments[end].box[0] === segments[end - 1].box[2] && segments[end].line === segments[first].line
    ) end++;
    return end;
  }

  // Returns a wide segment cut at the columns with the least ink near its middle, at each one alone.
  function cutInTwo(segment, wide) {
    const {height, width} = segment.ink;
    if (width < wide * height) return [];
    const weight = columnsOf(segment.ink).map((ink, b) => ink + 0.1 * height * Math.abs((2 * b) / (width - 1) - 1));
    const margin = Math.trunc(Math.max(0.15 * height, 0.2 * width));
    weight.fill(Infinity, 0, margin).fill(Infinity, width - margin);
    const parts = [];
    for (let n = 0; n < CUTS; n++) {
      const column = weight.indexOf(Math.min(...weight));
      if (weight[column] === Infinity) break;
      const near = Math.trunc(0.12 * height);
      weight.fill(Infinity, Math.max(column - near, 0), column + near + 1);
      parts.push(cutAt(segment, [column]));
    }
    return parts.filter((two) => two.length === 2);
  }

  // Returns whether two segments may be strokes of one digit: close, and not wider than a digit together.
  function mayBeOne(one, other, usual) {
    if (one.line !== other.line || (one.cut && other.cut)) return false;
    const box = around([one.box, other.box]);
    const height = heightOf(box);
    if (box[2] - box[0] > NARROW * height || height > 1.5 * usual) return false;
    return gapBetween(one, other) <= CLOSE * height;
  }

  // Returns the smallest distance from the right edge of one segment to the left edge of the other, in pixels.
  function gapBetween(one, other) {
    const edges = (segment, last) => {
      const {height, width, values} = segment.ink;
      const [left, top] = segment.box;
      const found = [];
      for (let a = 0; a < height; a++) {
        const row = values.subarray(a * width, (a + 1) * width);
        const b = last ? row.lastIndexOf(1) : row.indexOf(1);
        if (b >= 0) found.push([left + b, top + a]);
      }
      return found;
    };
    let gap = Infinity;
    const starts = edges(other, false);
    for (const [right, row] of edges(one, true)) {
      for (const [left, otherRow] of starts) {
        gap = Math.min(gap, Math.hypot(Math.max(left - right - 1, 0), Math.max(Math.abs(otherRow - row) - 1, 0)));
      }
    }
    return gap;
  }

  // Returns whether two segments overlap like the strokes of a 4: side by side at some height, one lower.
  function overlaps(one, other) {
    const box = around([one.box, other.box]);
    if (other.box[3] - one.box[3] < 0.15 * heightOf(box)) return false;
    return one.box[2] > other.box[0] && box[2] - box[0] < 0.7 * heightOf(box);
  }

  return {findSegments, findAlternatives};
})();
