// Separates ink from paper in a picture (pictures/ink.py and threshold.py): on plain paper, in even or uneven light.
//
// What the package does beyond that is not done here: cutting out a sheet that lies on a table, and printed rules.
//
// A picture is {height, width, channels: 1 or 3, values: Uint8Array}, the colors of a pixel beside each other.

'use strict';

const cnnInk = (() => {
  const {resize, roundHalfEven} = cnnResize;
  const {darknessOf, deviationsFromPaper, polarityOf, quantile, quantileInPlace} = cnnPaper;

  const LARGE = 1600; // a picture with a longer side than this is shrunk to it, in pixels
  const SMALL = 240; // one with a shorter longer side than this is enlarged by a whole factor
  const WINDOWS = [0.4, 0.2, 0.1]; // of the shorter side: windows in which the brightest pixel is paper
  const SHADOW = 0.03; // of the ink: a shadow has more
  const STEEP = 0.6; // of the contrast: the brightness at the edge of a stroke changes by more
  const KEPT = 0.6; // of the ink of a wider window is ink in a narrower one, too
  const MIN_CONTRAST = 0.05; // relative to the brightness of the paper
  const MIN_CONTRAST_TO_NOISE = 4.5; // contrast divided by the deviation within the paper
  const SAMPLE = 4_000_000; // of more pixels only every second one per row and column is looked at, for medians

  // Returns the ink of a picture, or null if there is only paper.
  //
  // invert: 'yes' for dark ink on light paper, 'no' for bright ink on dark paper, 'auto' to find out. Returns
  // {darkness: plane, 0 for paper to 1 for the mean of the ink; mask: Uint8Array, 1 for ink; contrast; scale: the size
  // of a pixel of the plane in pixels of the picture}.
  function findInk(picture, invert) {
    const {channel, dark} = look(picture, invert);
    const {plane, scale} = workingCopy(planeOf(picture, channel));
    const values = Float32Array.from(dark ? plane.values : plane.values.map((v) => 255 - v));
    return separateFromShadows({height: plane.height, width: plane.width, values}, scale);
  }

  // Returns one channel of a picture as a plane of bytes; 3 is gray.
  function planeOf(picture, channel) {
    const {height, width, channels, values} = picture;
    if (channels === 1) return {height, width, values};
    const plane = new Uint8Array(height * width);
    for (let n = 0; n < plane.length; n++) {
      const [red, green, blue] = [values[3 * n], values[3 * n + 1], values[3 * n + 2]];
      // the weights of ITU-R 601, in whole numbers as Pillow has them
      const grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
      plane[n] = channel === 3 ? grey : values[3 * n + channel];
    }
    return {height, width, values: plane};
  }

  function workingCopy(plane) {
    const longer = Math.max(plane.height, plane.width);
    if (longer > LARGE) {
      const size = [plane.height, plane.width].map((side) => Math.max(1, roundHalfEven((side * LARGE) / longer)));
      return {plane: resize(plane, size, 'hamming'), scale: longer / LARGE};
    }
    if (longer < SMALL) {
      const factor = Math.ceil(SMALL / longer);
      return {plane: resize(plane, [plane.height * factor, plane.width * factor], 'bicubic'), scale: 1 / factor};
    }
    return {plane, scale: 1};
  }

  // Chooses the channel and the polarity (is ink dark?) on a small copy. Pixels that differ from the paper are ink.
  function look(picture, invert) {
    if (picture.channels === 1 && invert !== 'auto') return {channel: 3, dark: invert === 'yes'};
    const longer = Math.max(picture.height, picture.width);
    const factor = Math.min(1, 256 / longer);
    const size = [picture.height, picture.width].map((side) => Math.max(1, roundHalfEven(side * factor)));
    const small = [0, 1, 2].slice(0, picture.channels).map((c) => resize(planeOf(picture, c), size, 'box'));
    if (picture.channels === 3) {
      const values = new Uint8Array(3 * small[0].values.length);
      for (let n = 0; n < values.length; n++) values[n] = small[n % 3].values[Math.floor(n / 3)];
      small.push(planeOf({height: size[0], width: size[1], channels: 3, values}, 3));
    }
    const found = small.map((plane) => deviationsFromPaper({...plane, values: Float32Array.from(plane.values)}));
    const spreads = found.map(([{values}]) => values.reduce((sum, v) => sum + v * v, 0) / values.length);
    spreads[spreads.length - 1] *= 1.5; // gray has the least noise, so a color channel must be clearly better
    const best = spreads.indexOf(Math.max(...spreads));
    const [deviation, other] = found[best];
    const balance = polarityOf(deviation) + (other === null ? 0 : polarityOf(other));
    const dark = invert === 'auto' ? balance <= 0 : invert === 'yes';
    return {channel: picture.channels === 3 ? best : 3, dark};
  }

  // Separates ink from paper, with a smaller window for the brightness of the paper as long as there are shadows.
  //
  // The edges of ink are steep, those of shadows are not.
  function separateFromShadows(grey, scale) {
    let chosen = null;
    let strokes = null;
    for (const share of WINDOWS) {
      const ink = separate(darknessOf(grey, share), scale);
      if (ink === null) break;
      // a window that is narrower than a stroke takes the middle of the stroke for paper
      if (strokes !== null && count(and(strokes, ink.mask)) < KEPT * count(strokes)) break;
      if (strokes === null && !touchesBorder(ink.mask, grey)) return ink; // a shadow does
      const pieces = cnnPieces.find(ink.mask, grey.height, grey.width);
      const {soft, others} = findShadows(ink, pieces);
      if (!soft.some(Boolean)) return ink;
      const shadows = cnnPieces.paint(pieces, soft);
      chosen = {...ink, mask: ink.mask.map((v, n) => v & ~shadows[n] & 1)};
      strokes = cnnPieces.paint(pieces, others);
    }
    return chosen !== null && count(chosen.mask) ? chosen : null;
  }

  function touchesBorder(mask, {height, width}) {
    if (mask.subarray(0, width).includes(1) || mask.subarray((height - 1) * width).includes(1)) return true;
    for (let a = 0; a < height; a++) if (mask[a * width] || mask[(a + 1) * width - 1]) return true;
    return false;
  }

  const count = (mask) => mask.reduce((sum, v) => sum + v, 0);
  const and = (mask, other) => mask.map((v, n) => v & other[n]);

  // Returns which pieces are shadows, and which other ones are large. A shadow touches the border, with soft edges.
  function findShadows(ink, pieces) {
    const {height, width} = ink.darkness;
    const reach = roundHalfEven(Math.max(2, 0.006 * Math.max(height, width), 1.5 / ink.scale));
    const total = pieces.areas.reduce((sum, v) => sum + v, 0);
    const large = pieces.areas.map((area) => area > SHADOW * total);
    const soft = pieces.boxes.map(([left, top, right, bottom], piece) => {
      if (!large[piece] || !(left === 0 || top === 0 || right === width || bottom === height)) return false;
      const all = pieces.runs.filter((run) => run.piece === piece);
      const step = Math.ceil(all.length / 100);
      const runs = all.filter((_, n) => n % step === 0);
      const inside = [];
      const outside = [];
      for (const {row, start, end} of runs) {
        for (const column of [start, end - 1]) {
          if (column <= 0 || column >= width - 1) continue;
          for (let a = row - reach; a <= row + reach; a++) {
            for (let b = column - reach; b <= column + reach; b++) {
              const n = clip(a, height) * width + clip(b, width);
              (ink.mask[n] ? inside : outside).push(ink.darkness.values[n]);
            }
          }
        }
      }
      if (!inside.length || !outside.length) return false;
      return quantile(inside, 0.8) - quantile(outside, 0.2) < STEEP;
    });
    return {soft, others: large.map((each, piece) => each && !soft[piece])};
  }

  const clip = (n, count) => Math.min(Math.max(n, 0), count - 1);

  // Applies a threshold after the blur that separates ink from noise best.
  function separate(darkness, scale) {
    const size = darkness.values.length;
    const step = 1 + Math.floor(size / SAMPLE);
    let best = null;
    for (const radius of [0, 1, 2, 4]) {
      const blurred = blur(darkness, radius);
      const threshold = Math.fround(otsu(blurred.values));
      const {mean, number} = meanAbove(blurred.values, threshold);
      if (number === 0 || number === size) continue;
      const paper = valuesUpTo(blurred, threshold, step);
      const level = quantileInPlace(paper, 0.5);
      for (let n = 0; n < paper.length; n++) paper[n] = Math.abs(paper[n] - level);
      const uneven = 1.4826 * quantileInPlace(paper, 0.5);
      const contrast = mean - level;
      const toNoise = contrast / Math.max(uneven, 1e-3);
      if (best === null || toNoise > 1.3 * best.toNoise) best = {toNoise, blurred, level, contrast};
      if (toNoise > 10) break;
    }
    if (best === null || best.contrast < MIN_CONTRAST || best.toNoise < MIN_CONTRAST_TO_NOISE) return null;
    const {level, contrast} = best;
    const {values} = best.blurred; // nobody needs them as they were
    const mask = new Uint8Array(size);
    for (let n = 0; n < size; n++) {
      values[n] = (values[n] - level) / contrast;
      mask[n] = values[n] > 0.5 ? 1 : 0;
    }
    return {darkness: {...darkness, values}, mask, contrast, scale};
  }

  function meanAbove(values, threshold) {
    let sum = 0;
    let number = 0;
    for (let n = 0; n < values.length; n++) {
      if (values[n] > threshold) {
        sum += values[n];
        number += 1;
      }
    }
    return {mean: sum / number, number};
  }

  // Returns the values up to a threshold, of every step-th pixel of every step-th row.
  function valuesUpTo({height, width, values}, threshold, step) {
    const found = new Float32Array(values.length);
    let count = 0;
    for (let a = 0; a < height; a += step) {
      for (let b = 0; b < width; b += step) {
        const v = values[a * width + b];
        if (v <= threshold) found[count++] = v;
      }
    }
    return found.subarray(0, count);
  }

  // Returns the threshold that splits values in 0..1 into the two classes with the largest variance between them.
  //
  // Source: Otsu: A threshold selection method from gray-level histograms (1979).
  function otsu(values) {
    const counts = new Float64Array(256);
    for (let n = 0; n < values.length; n++) counts[toByte(values[n])] += 1;
    const total = values.length;
    let all = 0;
    counts.forEach((number, level) => { all += number * level; });
    let below = 0;
    let moment = 0;
    const between = Array.from(counts, (number, level) => {
      below += number;
      moment += number * level;
      const above = total - below;
      return below && above ? below * above * (moment / below - (all - moment) / above) ** 2 : 0;
    });
    // if there is a gap between the classes, all thresholds in it are equally good: take the middle
    const least = Math.max(...between) * (1 - 1e-9);
    const equal = between.map((v, level) => (v >= least ? level : -1)).filter((level) => level >= 0);
    return (equal.reduce((a, b) => a + b, 0) / equal.length + 0.5) / 255;
  }

  // Returns a value in 0..1 as a byte; the package computes this in float32.
  const toByte = (v) => Math.trunc(Math.fround(Math.fround(v * 255) + 0.5));

  // Blurs values in 0..1 by three means of a window, which is nearly a Gaussian, in bytes, as Pillow does.
  function blur(plane, radius) {
    if (radius === 0) return plane;
    const values = Uint8Array.from(plane.values, toByte);
    const sigma2 = (radius * radius) / 3;
    const whole = Math.floor((Math.sqrt(12 * sigma2 + 1) - 1) / 2);
    const part = ((2 * whole + 1) * (whole * (whole + 1) - 3 * sigma2)) / (6 * (sigma2 - (whole + 1) ** 2));
    let done = {height: plane.height, width: plane.width, values};
    for (let n = 0; n < 3; n++) done = meanOfWindow(done, whole + part);
    done = cnnResize.turned(done);
    for (let n = 0; n < 3; n++) done = meanOfWindow(done, whole + part);
    done = cnnResize.turned(done);
    return {...plane, values: Float32Array.from(done.values, (v) => v / 255)};
  }

  // The mean of each row over a window of 2 * radius + 1 pixels; of the outermost two only a part counts.
  function meanOfWindow({height, width, values}, radius) {
    const ONE = 1 << 24;
    const reach = Math.trunc(Math.fround(radius));
    const weight = Math.trunc(ONE / (Math.fround(radius) * 2 + 1));
    const edge = Math.trunc((ONE - (reach * 2 + 1) * weight) / 2);
    const mean = new Uint8Array(values.length);
    for (let a = 0; a < height; a++) {
      const row = a * width;
      for (let b = 0; b < width; b++) {
        let sum = 0;
        for (let n = b - reach; n <= b + reach; n++) sum += values[row + clip(n, width)];
        const outer = values[row + clip(b - reach - 1, width)] + values[row + clip(b + reach + 1, width)];
        mean[row + b] = Math.floor((sum * weight + outer * edge + ONE / 2) / ONE);
      }
    }
    return {height, width, values: mean};
  }

  return {findInk, planeOf};
})();
