// Turns strokes into ink in a buffer of our own, so that a drawing is the same however it came about.
//
// A canvas adds up the soft edges of a line that is drawn piece by piece, so its pixels depend on how often the pointer
// reported. Here ink is the maximum over all pieces of a stroke: drawing a piece twice changes nothing, and a line drawn
// live equals the same line drawn at once.
//
// Defines window.cnnPen = {Drawing}.

'use strict';

(function () {
  // Bytes that the history keeps at most; the oldest steps are forgotten first.
  const HISTORY_BYTES = 32 << 20;

  // The longest piece of a curve, in pixels of the drawing.
  const PIECE = 3;

  // Points nearer than this to the last one are left out: they say nothing new.
  const NEAR = 0.75;

  // A square drawing: ink from 0 to 255, row by row, and the steps that led to it.
  class Drawing {
    // size: pixels of a side.
    constructor(size) {
      this.size = size;
      this.ink = new Uint8Array(size * size);
      // whatever stands in place of the ink, such as an opened picture; null for a drawing
      this.picture = null;
      this.stroke = null;
      this.done = [];
      this.undone = [];
      this.dirty = this.everything();
      // null if it is not known since the last change
      this.hasInk = null;
    }

    get isBlank() {
      if (this.hasInk === null) {
        let index = 0;
        while (index < this.ink.length && this.ink[index] === 0) index++;
        this.hasInk = index < this.ink.length;
      }
      return this.picture === null && !this.hasInk;
    }

    get canUndo() {
      return this.done.length > 0;
    }

    get canRedo() {
      return this.undone.length > 0;
    }

    // Return the ink as numbers from 0 to 1, whole multiples of 1/255.
    coverage() {
      const coverage = new Float32Array(this.ink.length);
      for (let index = 0; index < coverage.length; index++) coverage[index] = this.ink[index] / 255;
      return coverage;
    }

    // Return the rectangle that has changed since the last call, {left, top, right, bottom}, or null.
    takeDirty() {
      const dirty = this.dirty;
      this.dirty = null;
      return dirty;
    }

    // Start a stroke at a point. Ink is added, or with `erases` taken away.
    begin(x, y, radius, erases) {
      this.end();
      const step = this.openStep();
      this.stroke = {step, erases, points: [{x, y, radius}], middle: {x, y, radius}, tail: null};
      if (this.picture !== null) this.replace(new Uint8Array(this.ink.length), null);
      this.stamp(this.stroke.middle, this.stroke.middle);
    }

    // Continue the stroke to a point. Corners between reported points are rounded.
    extend(x, y, radius) {
      const stroke = this.stroke;
      if (stroke === null) return;
      const last = stroke.points[stroke.points.length - 1];
      if (Math.hypot(x - last.x, y - last.y) < NEAR) return;
      const point = {x, y, radius};
      const middle = between(last, point, 0.5);
      this.takeBackTail();
      this.stampCurve(stroke.middle, last, middle);
      stroke.middle = middle;
      stroke.points = [point];
      this.stampTail(point);
    }

    // End the stroke; what was shown so far stays.
    end() {
      if (this.stroke === null) return;
      const step = this.stroke.step;
      this.stroke = null;
      this.closeStep(step);
    }

    // Take all ink away, and a picture.
    clear() {
      this.end();
      if (this.isBlank) return;
      this.change(new Uint8Array(this.ink.length), null);
    }

    // Put a picture in place of the drawing.
    open(picture) {
      this.end();
      this.change(new Uint8Array(this.ink.length), picture);
    }

    undo() {
      this.end();
      const step = this.done.pop();
      if (step === undefined) return;
      this.put(step.box, step.before);
      this.picture = step.pictureBefore;
      this.undone.push(step);
    }

    redo() {
      this.end();
      const step = this.undone.pop();
      if (step === undefined) return;
      this.put(step.box, step.after);
      this.picture = step.pictureAfter;
      this.done.push(step);
    }

    change(ink, picture) {
      const step = this.openStep();
      this.replace(ink, picture);
      this.closeStep(step);
    }

    replace(ink, picture) {
      this.ink = ink;
      this.picture = picture;
      this.touch(this.everything());
    }

    openStep() {
      return {ink: this.ink.slice(), picture: this.picture};
    }

    // Keep of a step what it changed: the rectangle before and after.
    closeStep({ink, picture}) {
      const box = boxOfChange(ink, this.ink, this.size);
      if (box === null && picture === this.picture) return;
      const size = this.size;
      this.done.push({
        box,
        before: box && cut(ink, size, box),
        after: box && cut(this.ink, size, box),
        pictureBefore: picture,
        pictureAfter: this.picture,
      });
      this.undone = [];
      let bytes = 0;
      let kept = this.done.length;
      while (kept > 0 && bytes <= HISTORY_BYTES) bytes += 2 * (this.done[--kept].before || []).length;
      this.done.splice(0, kept);
    }

    // Draw a curve from `start` to `end` that leaves and arrives in the direction of `control`.
    stampCurve(start, control, end) {
      const length =
        Math.hypot(control.x - start.x, control.y - start.y) + Math.hypot(end.x - control.x, end.y - control.y);
      const count = Math.max(1, Math.ceil(length / PIECE));
      let from = start;
      for (let piece = 1; piece <= count; piece++) {
        const share = piece / count;
        const to = between(between(start, control, share), between(control, end, share), share);
        this.stamp(from, to);
        from = to;
      }
    }

    // Draw the straight end of the stroke, which the next point may bend.
    stampTail(point) {
      const box = this.boxOf(this.stroke.middle, point);
      this.stroke.tail = {box, before: cut(this.ink, this.size, box)};
      this.stamp(this.stroke.middle, point);
    }

    takeBackTail() {
      const tail = this.stroke.tail;
      if (tail !== null) this.put(tail.box, tail.before);
      this.stroke.tail = null;
    }

    // Draw a line with round ends and soft edges: each pixel takes ink by the distance of its center from the edge.
    stamp(start, end) {
      const box = this.boxOf(start, end);
      const {ink, size} = this;
      const erases = this.stroke.erases;
      const alongX = end.x - start.x;
      const alongY = end.y - start.y;
      const squared = alongX * alongX + alongY * alongY;
      for (let row = box.top; row < box.bottom; row++) {
        const y = row + 0.5 - start.y;
        for (let column = box.left; column < box.right; column++) {
          const x = column + 0.5 - start.x;
          const share = squared === 0 ? 0 : Math.min(1, Math.max(0, (x * alongX + y * alongY) / squared));
          const distance = Math.hypot(x - share * alongX, y - share * alongY);
          const covered = start.radius + share * (end.radius - start.radius) - distance + 0.5;
          if (covered <= 0) continue;
          const value = covered >= 1 ? 255 : Math.round(255 * covered);
          const index = row * size + column;
          if (erases) ink[index] = Math.min(ink[index], 255 - value);
          else ink[index] = Math.max(ink[index], value);
        }
      }
      this.touch(box);
    }

    put(box, values) {
      if (box === null) {
        this.touch(this.everything());
        return;
      }
      const width = box.right - box.left;
      for (let row = box.top; row < box.bottom; row++) {
        const start = (row - box.top) * width;
        this.ink.set(values.subarray(start, start + width), row * this.size + box.left);
      }
      this.touch(box);
    }

    touch(box) {
      const now = this.dirty;
      this.hasInk = null;
      this.dirty = now === null ? {...box} : {
        left: Math.min(now.left, box.left),
        top: Math.min(now.top, box.top),
        right: Math.max(now.right, box.right),
        bottom: Math.max(now.bottom, box.bottom),
      };
    }

    everything() {
      return {left: 0, top: 0, right: this.size, bottom: this.size};
    }

    // Return the pixels that a line may touch, within the drawing; empty outside of it.
    boxOf(start, end) {
      const within = (value) => Math.min(this.size, Math.max(0, value));
      return {
        left: within(Math.floor(Math.min(start.x - start.radius, end.x - end.radius)) - 1),
        top: within(Math.floor(Math.min(start.y - start.radius, end.y - end.radius)) - 1),
        right: within(Math.ceil(Math.max(start.x + start.radius, end.x + end.radius)) + 1),
        bottom: within(Math.ceil(Math.max(start.y + start.radius, end.y + end.radius)) + 1),
      };
    }
  }

  // Return the point at a share of the way from one point to another, with the radius there.
  function between(a, b, share) {
    return {
      x: a.x + share * (b.x - a.x),
      y: a.y + share * (b.y - a.y),
      radius: a.radius + share * (b.radius - a.radius),
    };
  }

  // Return a copy of a rectangle of a plane, row by row.
  function cut(plane, size, box) {
    const width = Math.max(0, box.right - box.left);
    const height = Math.max(0, box.bottom - box.top);
    const values = new Uint8Array(width * height);
    for (let row = 0; row < height; row++) {
      const start = (box.top + row) * size + box.left;
      values.set(plane.subarray(start, start + width), row * width);
    }
    return values;
  }

  // Return the smallest rectangle that holds all differences of two planes, or null if they are equal.
  function boxOfChange(before, after, size) {
    const box = {left: size, top: size, right: 0, bottom: 0};
    for (let index = 0; index < before.length; index++) {
      if (before[index] === after[index]) continue;
      const row = Math.floor(index / size);
      const column = index - row * size;
      box.left = Math.min(box.left, column);
      box.right = Math.max(box.right, column + 1);
      box.top = Math.min(box.top, row);
      box.bottom = row + 1;
    }
    return box.right === 0 ? null : box;
  }

  window.cnnPen = {Drawing};
})();
