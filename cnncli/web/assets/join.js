// Joins the strokes that belong to one digit (pictures/join.py), and puts digits in reading order (pictures/rows.py).
//
// A box is [left, top, right, bottom]. A group is a number from 0; groups[n] is that of box n.

'use strict';

const cnnJoin = (() => {
  const {around} = cnnPieces;
  const {median} = cnnPaper;

  // Returns the group of each piece. Three kinds of pieces are joined: a piece inside the box of another one, a
  // fragment close to a larger piece or above or below it, and pieces that are almost dots and close to each other.
  //
  // stroke: the mean stroke width, in pixels.
  function joinPieces(boxes, stroke) {
    let groups = boxes.map((_, n) => n);
    const highest = highestOf(boxes);
    for (;;) {
      const current = boxesAround(boxes, groups);
      const pairs = nearPairs(current).filter(([a, b]) => belongTogether(current[a], current[b], stroke, highest));
      if (!pairs.length) return groups;
      const target = targetsOf(current, pairs);
      groups = numbered(groups.map((group) => target[group]));
    }
  }

  // Returns the box around each group of boxes.
  function boxesAround(boxes, groups) {
    const members = [];
    groups.forEach((group, n) => (members[group] ??= []).push(boxes[n]));
    return members.map(around);
  }

  // Returns the same groups with the numbers 0, 1, 2 and so on, in the same order.
  function numbered(groups) {
    const order = [...new Set(groups)].sort((a, b) => a - b);
    const number = new Map(order.map((group, n) => [group, n]));
    return groups.map((group) => number.get(group));
  }

  const sizeOf = ([left, top, right, bottom]) => Math.max(right - left, bottom - top);

  // Returns the group that each group goes to: a smaller one to the nearest of the larger ones that it fits. So a
  // fragment between two digits joins one of them, and not one with the other.
  function targetsOf(boxes, pairs) {
    const nearest = new Map(); // of a small group: [distance, large group]
    for (const [first, second] of pairs) {
      const swap = sizeOf(boxes[first]) > sizeOf(boxes[second]);
      const [small, large] = swap ? [second, first] : [first, second];
      const [one, other] = [boxes[small], boxes[large]];
      const beside = [0, 1].map((k) => Math.max(0, Math.max(one[k], other[k]) - Math.min(one[k + 2], other[k + 2])));
      const centers = [0, 1].map((k) => (one[k] + one[k + 2] - other[k] - other[k + 2]) / 2);
      const distance = Math.hypot(...beside) + 0.01 * Math.hypot(...centers);
      if (!nearest.has(small) || distance < nearest.get(small)[0]) nearest.set(small, [distance, large]);
    }
    const target = boxes.map((_, n) => (nearest.has(n) ? nearest.get(n)[1] : n));
    return target.map((_, n) => {
      while (target[n] !== n) n = target[n];
      return n;
    });
  }

  // Returns all pairs of boxes that overlap or nearly do, the smaller number first.
  function nearPairs(boxes) {
    const reach = 0.5 * Math.max(0, ...boxes.map(sizeOf));
    const pairs = [];
    for (let a = 0; a < boxes.length; a++) {
      for (let b = a + 1; b < boxes.length; b++) {
        const [one, other] = [boxes[a], boxes[b]];
        const apart = [0, 1].map((k) => Math.max(one[k], other[k]) - Math.min(one[k + 2], other[k + 2]));
        if (apart[0] <= reach && apart[1] <= reach) pairs.push([a, b]);
      }
    }
    return pairs;
  }

  // Returns a height that no digit of the picture has: where there are many pieces, well above the usual one.
  function highestOf(boxes) {
    const heights = boxes.map(([, top, , bottom]) => bottom - top);
    const high = heights.filter((height) => height >= 0.3 * Math.max(...heights));
    return high.length >= 6 ? 1.6 * median(high) : Infinity;
  }

  function belongTogether(one, other, stroke, highest) {
    const extent = [one[2] - one[0], one[3] - one[1]];
    const otherExtent = [other[2] - other[0], other[3] - other[1]];
    const overlap = [0, 1].map((k) => Math.min(one[k + 2], other[k + 2]) - Math.max(one[k], other[k]));
    const gap = Math.hypot(Math.max(-overlap[0], 0), Math.max(-overlap[1], 0));
    const shared = [0, 1].map((k) => Math.max(overlap[k], 0) / Math.min(extent[k], otherExtent[k]));
    const within = shared[0] * shared[1] >= 0.6;
    const sizes = [Math.max(...extent), Math.max(...otherExtent)];
    const larger = Math.max(...sizes);
    const fragment = Math.min(...sizes) < 0.6 * larger;
    const height = Math.max(extent[1], otherExtent[1]);
    const near = gap <= 1.5 * stroke && (fragment || larger < 4 * stroke);
    const stacked =
      shared[0] >= 0.5 &&
      -overlap[1] <= (fragment ? 0.3 : 0.1) * height &&
      Math.max(one[3], other[3]) - Math.min(one[1], other[1]) <= highest;
    return within || stacked || near;
  }

  // Joins each bar that stands apart with the digit below or on the left, as in a 5; returns the groups.
  //
  // usual: the usual height of a digit, in pixels.
  function joinBars(boxes, groups, usual) {
    const all = boxesAround(boxes, groups);
    const isBar = all.map(([left, top, right, bottom]) => {
      const [width, height] = [right - left, bottom - top];
      return height < 0.55 * usual && width > 1.5 * height && width > 0.2 * usual;
    });
    const digits = all.map((_, n) => n).filter((n) => !isBar[n] && all[n][3] - all[n][1] >= 0.5 * usual);
    const target = all.map(([left, top, right, bottom], bar) => {
      if (!isBar[bar]) return bar;
      let best = {apart: Infinity, digit: bar};
      for (const digit of digits) {
        const body = all[digit];
        const apart = Math.hypot(Math.max(left - body[2], body[0] - right, 0), Math.max(body[1] - bottom, 0));
        const near =
          (top + bottom) / 2 <= body[1] + 0.35 * (body[3] - body[1]) &&
          left >= body[0] - 0.3 * usual &&
          apart <= 0.4 * usual &&
          bottom > body[1] - 0.4 * usual;
        if (near && apart < best.apart) best = {apart, digit};
      }
      return best.digit;
    });
    return numbered(groups.map((group) => target[group]));
  }

  // Returns the row of each digit, from 0 at the top.
  function findRows(boxes) {
    const slope = slopeOf(boxes);
    const level = boxes.map(([left, top, right, bottom]) => {
      const shift = (slope * (left + right)) / 2;
      return [left, top - shift, right, bottom - shift];
    });
    const rows = boxes.map((_, n) => n);
    // join each digit with the next one on its right, the nearest first
    for (const [a, b] of neighborsOf(level)) {
      const [first, second] = [rows[a], rows[b]];
      const members = (row) => level.filter((_, n) => rows[n] === row);
      if (first === second || !beside(members(first), members(second))) continue;
      rows.forEach((row, n) => { if (row === second) rows[n] = first; });
    }
    const middleOf = (row) => {
      const middles = level.filter((_, n) => rows[n] === row).map((box) => (box[1] + box[3]) / 2);
      return middles.reduce((x, y) => x + y) / middles.length;
    };
    const order = [...new Set(rows)].sort((a, b) => a - b).sort((a, b) => middleOf(a) - middleOf(b));
    return rows.map((row) => order.indexOf(row));
  }

  // Returns by how much the rows fall per pixel to the right: the slope at which they are most distinct.
  function slopeOf(boxes) {
    const height = median(boxes.map(([, top, , bottom]) => bottom - top));
    const unit = Math.max(height / 8, 1);
    let best = {score: -Infinity, slope: 0};
    for (let n = 0; n < 57; n++) {
      // 8 degrees to both sides, less for a few digits
      const slope = (-0.14 + (0.28 * n) / 56) * Math.min(1, (boxes.length - 1) / 6);
      const edges = boxes.map(([left, top, right, bottom]) => {
        const x = (left + right) / 2;
        const inner = [top + 0.2 * (bottom - top), bottom - 0.2 * (bottom - top)];
        return inner.map((edge) => (edge - slope * x) / unit);
      });
      const lowest = Math.min(...edges.map(([first]) => first));
      const changes = new Float64Array(Math.trunc(Math.max(...edges.map(([, last]) => last - lowest))) + 3);
      for (const [first, last] of edges) {
        changes[Math.trunc(first - lowest)] += 1;
        changes[Math.trunc(last - lowest) + 1] -= 1;
      }
      let depth = 0;
      let squares = 0;
      for (const change of changes) {
        depth += change;
        squares += depth * depth;
      }
      // a page is upright unless another slope is clearly better
      const score = squares * (1 - 0.5 * Math.abs(slope));
      if (score > best.score) best = {score, slope};
    }
    return best.slope;
  }

  // Returns pairs of digits that may be beside each other in a row, the nearest first.
  function neighborsOf(boxes) {
    const pairs = [];
    boxes.forEach((one, a) => {
      const candidates = [];
      boxes.forEach((other, b) => {
        const overlap = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
        const high = Math.min(one[3] - one[1], other[3] - other[1]);
        if (a !== b && overlap >= 0.4 * high && other[0] + other[2] > one[0] + one[2]) candidates.push(b);
      });
      candidates.sort((b, c) => boxes[b][0] - boxes[c][0]);
      for (const b of candidates.slice(0, 3)) pairs.push([Math.max(boxes[b][0] - one[2], 0), a, b]);
    });
    pairs.sort((one, other) => one[0] - other[0] || one[1] - other[1] || one[2] - other[2]);
    return pairs.map(([, a, b]) => [a, b]);
  }

  // Returns whether two parts of rows can be one row: no digit of one is above a digit of the other.
  function beside(ones, others) {
    return !ones.some((one) => others.some((other) => {
      const x = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
      const y = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
      const width = Math.min(one[2] - one[0], other[2] - other[0]);
      const height = Math.min(one[3] - one[1], other[3] - other[1]);
      return x > 0.5 * width && y < 0.2 * height;
    }));
  }

  return {joinPieces, joinBars, boxesAround, findRows};
})();
