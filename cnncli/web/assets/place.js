// Scales and places digits as the authors of MNIST did: 20x20 pixels, with the center of mass at the center of 28x28
// (pictures/place.py).
//
// A plane is {height, width, values}; that of a digit is Uint8Array, bright on black.

'use strict';

const cnnPlace = (() => {
  const {resize, averageAreas} = cnnResize;

  const SIZE = 28; // height and width of an image of a digit, in pixels
  const BOX = 20; // the longer side of the digit in it
  const THIN = 1.8; // a stroke width in pixels of the scaled digit; strokes of MNIST are about 2.6 wide
  const THICKENED = 2.4;

  // Scales the ink of a digit to 20x20 pixels by averaging areas, with its aspect ratio kept.
  //
  // A stroke that would become thinner than any stroke in MNIST is thickened first. Otherwise a line of one pixel in a
  // large picture would vanish in the average.
  //
  // ink: 0 for paper to 1 for ink, cut to the box of the digit. stroke: the mean stroke width, in pixels.
  function scaleToBox(ink, stroke) {
    let longer = Math.max(ink.height, ink.width);
    if ((stroke * BOX) / longer < THIN) {
      const factor = Math.max(1, Math.floor(longer / 100)); // 100 to 200 pixels are enough for thickening
      const thin = Math.max(stroke / factor, 1);
      ink = dilate(shrinkByMaximum(ink, factor), ((THICKENED * longer) / factor / BOX - thin) / 2);
    }
    longer = Math.max(ink.height, ink.width);
    const square = {height: longer, width: longer, values: new Float32Array(longer * longer)};
    const top = Math.floor((longer - ink.height) / 2);
    const left = Math.floor((longer - ink.width) / 2);
    for (let a = 0; a < ink.height; a++) {
      square.values.set(ink.values.subarray(a * ink.width, (a + 1) * ink.width), (top + a) * longer + left);
    }
    const small = longer >= BOX ? averageAreas(square, [BOX, BOX]) : resize(square, [BOX, BOX], 'bilinear');
    const largest = Math.max(1e-6, ...small.values);
    const values = Uint8Array.from(small.values, (v) => 255 * Math.min(Math.max(v / largest, 0), 1) + 0.5);
    return {height: BOX, width: BOX, values};
  }

  function shrinkByMaximum(ink, factor) {
    const height = Math.ceil(ink.height / factor);
    const width = Math.ceil(ink.width / factor);
    const values = new Float32Array(height * width);
    for (let a = 0; a < ink.height; a++) {
      for (let b = 0; b < ink.width; b++) {
        const n = Math.floor(a / factor) * width + Math.floor(b / factor);
        values[n] = Math.max(values[n], ink.values[a * ink.width + b]);
      }
    }
    return {height, width, values};
  }

  // Returns the maximum over a disc around each pixel; the result is larger by the radius, rounded up, on each side.
  function dilate(ink, radius) {
    const reach = Math.ceil(radius);
    if (reach < 1) return ink;
    const height = ink.height + 2 * reach;
    const width = ink.width + 2 * reach;
    const values = new Float32Array(height * width);
    for (let down = -reach; down <= reach; down++) {
      for (let right = -reach; right <= reach; right++) {
        // the edge of the disc is soft, so that a fraction of a pixel in the radius has an effect
        const weight = Math.min(1, radius + 0.5 - Math.hypot(down, right));
        if (weight <= 0) continue;
        for (let a = 0; a < ink.height; a++) {
          const from = a * ink.width;
          const to = (a + reach + down) * width + reach + right;
          for (let b = 0; b < ink.width; b++) {
            const v = weight * ink.values[from + b];
            if (v > values[to + b]) values[to + b] = v;
          }
        }
      }
    }
    return {height, width, values};
  }

  // Moves a digit by whole pixels so that its center of mass is at the center of 28x28 pixels.
  //
  // In pixel indices, the center of mass moves to (13.5, 14.5]. A digit that would extend beyond the image is moved
  // inside.
  function centerByMass({height, width, values}) {
    let total = 0;
    let downwards = 0;
    let rightwards = 0;
    for (let a = 0; a < height; a++) {
      for (let b = 0; b < width; b++) {
        const mass = values[a * width + b];
        total += mass;
        downwards += mass * a;
        rightwards += mass * b;
      }
    }
    total = Math.max(total, 1);
    const offset = (moment, length) =>
      Math.min(Math.max(Math.floor((29 * total - 2 * moment) / (2 * total)), 0), SIZE - length);
    const top = offset(downwards, height);
    const left = offset(rightwards, width);
    const placed = new Uint8Array(SIZE * SIZE);
    for (let a = 0; a < height; a++) {
      placed.set(values.subarray(a * width, (a + 1) * width), (top + a) * SIZE + left);
    }
    return {height: SIZE, width: SIZE, values: placed};
  }

  // Returns whether an image of 28x28 bytes looks as those of MNIST: bright on black, 20 pixels high or wide, centered.
  function isInMnistForm(pixels) {
    const border = [];
    let [low, high, total, downwards, rightwards] = [[SIZE, SIZE], [-1, -1], 0, 0, 0];
    pixels.forEach((v, n) => {
      const [a, b] = [Math.floor(n / SIZE), n % SIZE];
      if (a === 0 || a === SIZE - 1) border.push(v);
      if (b === 0 || b === SIZE - 1) border.push(v); // a corner counts twice
      if (v > 16) {
        low = [Math.min(low[0], a), Math.min(low[1], b)];
        high = [Math.max(high[0], a), Math.max(high[1], b)];
      }
      total += v;
      downwards += v * a;
      rightwards += v * b;
    });
    if (border.filter((v) => v > 16).length > 0.12 * border.length || !pixels.some((v) => v >= 160)) return false;
    const extent = Math.max(high[0] - low[0], high[1] - low[1]) + 1;
    if (extent < 17 || extent > 22) return false;
    return Math.max(Math.abs(downwards / total - 14), Math.abs(rightwards / total - 14)) <= 1;
  }

  return {scaleToBox, centerByMass, isInMnistForm};
})();
