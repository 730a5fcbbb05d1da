// Turns a picture into images for a network, as `cnn predict` does (pictures/digits.py and whole.py): digits in the
// form of MNIST, or the whole picture in the size of the training images.
//
// A picture is {height, width, channels: 1 or 3, values: Uint8Array}, the colors of a pixel beside each other.

'use strict';

const cnnPrepare = (() => {
  const {findInk, planeOf} = cnnInk;
  const {strokeWidth} = cnnPieces;
  const {findSegments, findAlternatives} = cnnSegment;
  const {scaleToBox, centerByMass, isInMnistForm} = cnnPlace;
  const {resize, turned, roundHalfEven} = cnnResize;
  const {median} = cnnPaper;

  const FAINT = 0.15; // contrast
  const LOW = 12; // pixels

  // Finds the digits of a picture and converts each to the form of MNIST.
  //
  // Returns {digits, alternatives: other ways to read the same ink, warnings}. A digit is {pixels: Uint8Array (28, 28),
  // box, line, cut}. There are none in a blank picture.
  function findDigits(picture, invert) {
    const unchanged = inMnistForm(picture, invert);
    if (unchanged) return {digits: [unchanged], alternatives: [], warnings: []};
    const ink = findInk(picture, invert);
    if (ink === null) return {digits: [], alternatives: [], warnings: []};
    const {height, width} = ink.darkness;
    const segments = findSegments(ink.mask, height, width, Math.max(8, 5 / ink.scale));
    const warnings = [];
    if (segments.length) {
      if (ink.contrast < FAINT) warnings.push('the ink is faint: more light or a darker pen would help');
      const boxes = segments.map((segment) => boxInPicture(segment.box, ink.scale));
      if (boxes.some(([, top, , bottom]) => bottom - top < LOW)) {
        warnings.push(`a digit is less than ${LOW} pixels high: a larger picture would help`);
      }
    }
    const alternatives = segments.length ? findAlternatives(segments) : [];
    return {
      digits: segments.map((segment) => toDigit(segment, ink)),
      alternatives: alternatives.map((other) => ({...other, parts: other.parts.map((part) => toDigit(part, ink))})),
      warnings,
    };
  }

  function toDigit(segment, ink) {
    const placed = centerByMass(scaleToBox(strengthOf(segment, ink.darkness), strokeWidth(segment.ink)));
    return {pixels: placed.values, box: boxInPicture(segment.box, ink.scale), line: segment.line, cut: segment.cut};
  }

  // Returns the ink of one digit, 0 to 1, cut to its box; below 1 only in the steep part of an edge.
  function strengthOf(segment, darkness) {
    const {height, width, values: mask} = segment.ink;
    const [left, top] = segment.box;
    const values = new Float32Array(height * width);
    for (let a = 0; a < height; a++) {
      for (let b = 0; b < width; b++) {
        const n = a * width + b;
        // the gray edge of a stroke is one pixel outside of the mask
        const near =
          mask[n] ||
          (a > 0 && mask[n - width]) || (a < height - 1 && mask[n + width]) ||
          (b > 0 && mask[n - 1]) || (b < width - 1 && mask[n + 1]);
        if (!near) continue;
        const dark = darkness.values[(top + a) * darkness.width + left + b];
        values[n] = Math.min(Math.max((dark - 0.25) * 2, 0), 1);
      }
    }
    return {height, width, values};
  }

  // Converts a box to pixels of the original picture, rounded outwards.
  function boxInPicture([left, top, right, bottom], scale) {
    return [Math.trunc(left * scale), Math.trunc(top * scale), Math.ceil(right * scale), Math.ceil(bottom * scale)];
  }

  // Returns the digit of a picture that is in the form of MNIST already, or null.
  function inMnistForm(picture, invert) {
    if (picture.height !== 28 || picture.width !== 28) return null;
    let pixels = planeOf(picture, 3).values;
    const border = [...pixels.subarray(0, 28), ...pixels.subarray(27 * 28)];
    if (invert === 'yes' || (invert === 'auto' && median(border) > 127)) pixels = pixels.map((v) => 255 - v);
    if (!isInMnistForm(pixels)) return null;
    const columns = [];
    const rows = [];
    pixels.forEach((v, n) => {
      if (v <= 16) return;
      rows.push(Math.floor(n / 28));
      columns.push(n % 28);
    });
    const box = [Math.min(...columns), Math.min(...rows), Math.max(...columns) + 1, Math.max(...rows) + 1];
    return {pixels, box, line: 0, cut: false};
  }

  // Resizes a whole picture as in training, and inverts it if the background of the training images is the other one.
  //
  // model: see `network_document` in export/html/weights.py. asked: 'yes' for dark ink on white paper, which is inverted
  // without a warning if the training images are dark; 'auto' to look at the background.
  // Returns the same as findDigits.
  function takeWhole(picture, model, asked) {
    const [channels, height, width] = model.inputShape;
    const {background, transpose, invert} = model.preparation;
    const planes = (channels === 3 ? [0, 1, 2] : [3]).map((c) => {
      const plane = transpose ? turned(planeOf(picture, c)) : planeOf(picture, c);
      return resize(plane, [height, width], 'bilinear').values;
    });
    let pixels = new Uint8Array(height * width * channels);
    for (let n = 0; n < pixels.length; n++) pixels[n] = planes[n % channels][Math.floor(n / channels)];
    const warnings = [];
    const known = asked === 'yes' && background === 'dark' && channels === 1;
    let inverted = invert || known;
    const [high, wide] = transpose ? [picture.width, picture.height] : [picture.height, picture.width];
    if (!inverted && (high !== height || wide !== width)) {
      const found = clearBackground({height, width, channels, values: pixels});
      if ((found === 'dark' && background === 'bright') || (found === 'bright' && background === 'dark')) {
        const said = `its background is ${found}, and those of the training pictures are ${background}`;
        inverted = channels === 1;
        warnings.push(inverted ? `${said}, so it was inverted` : said);
      }
    }
    if (inverted) pixels = pixels.map((v) => 255 - v);
    const box = [0, 0, picture.width, picture.height];
    return {digits: [{pixels, box, line: 0, cut: false}], alternatives: [], warnings};
  }

  // Returns whether an image has a 'dark' or a 'bright' background; 'mixed' if its border is not uniform.
  function clearBackground({height, width, channels, values}) {
    const depth = Math.max(1, roundHalfEven(0.04 * Math.min(height, width)));
    const border = [];
    for (let a = 0; a < height; a++) {
      for (let b = 0; b < width; b++) {
        if (a >= depth && b >= depth && a < height - depth && b < width - depth) continue;
        let sum = 0;
        for (let c = 0; c < channels; c++) sum += values[(a * width + b) * channels + c];
        border.push(sum / channels);
      }
    }
    const middle = median(border);
    const near = border.filter((v) => Math.abs(v - middle) <= 40).length;
    if (near < 0.9 * border.length) return 'mixed';
    if (middle <= 85) return 'dark';
    return middle >= 170 ? 'bright' : 'mixed';
  }

  return {findDigits, takeWhole};
})();
