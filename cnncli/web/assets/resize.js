// Changes the size of planes of numbers as the package does, because `drawImage` of a browser does it in another way.
//
// A plane is {height, width, values}, row by row. Its values are Float32Array, or Uint8Array for 0 to 255.

'use strict';

const cnnResize = (() => {
  // The weight of a pixel at a distance of x from the middle, and how far a filter reaches: those of Pillow.
  const FILTERS = {
    box: {reach: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)},
    bilinear: {reach: 1, weight: (x) => Math.max(0, 1 - Math.abs(x))},
    hamming: {
      reach: 1,
      weight: (x) => {
        if (x === 0) return 1;
        if (Math.abs(x) >= 1) return 0;
        const angle = Math.PI * x;
        return (Math.sin(angle) / angle) * (0.54 + 0.46 * Math.cos(angle));
      },
    },
    bicubic: {
      reach: 2,
      weight: (x) => {
        const a = -0.5;
        const far = Math.abs(x);
        if (far < 1) return ((a + 2) * far - (a + 3)) * far * far + 1;
        return far < 2 ? (((far - 5) * far + 8) * far - 4) * a : 0;
      },
    },
  };

  const ONE = 1 << 22; // for bytes, Pillow computes with whole numbers: this stands for 1

  // Returns a plane in another size, first its rows and then its columns, as Pillow's `resize`.
  function resize(plane, [height, width], filter) {
    let done = plane;
    if (width !== plane.width) done = resizeRows(done, width, FILTERS[filter]);
    if (height !== plane.height) done = resizeColumns(done, height, FILTERS[filter]);
    return done;
  }

  function resizeRows(plane, width, filter) {
    const bytes = plane.values instanceof Uint8Array;
    const taps = tapsOf(plane.width, width, filter, bytes);
    const values = new plane.values.constructor(plane.height * width);
    const row = new Float64Array(width);
    for (let a = 0; a < plane.height; a++) {
      const before = plane.values.subarray(a * plane.width, (a + 1) * plane.width);
      for (let b = 0; b < width; b++) {
        const {first, weights} = taps[b];
        let sum = 0;
        for (let n = 0; n < weights.length; n++) sum += before[first + n] * weights[n];
        row[b] = sum;
      }
      values.set(bytes ? inBytes(row) : row, a * width);
    }
    return {height: plane.height, width, values};
  }

  function resizeColumns(plane, height, filter) {
    const bytes = plane.values instanceof Uint8Array;
    const {width} = plane;
    const taps = tapsOf(plane.height, height, filter, bytes);
    const values = new plane.values.constructor(height * width);
    const row = new Float64Array(width);
    for (let a = 0; a < height; a++) {
      const {first, weights} = taps[a];
      row.fill(0);
      for (let n = 0; n < weights.length; n++) {
        const before = plane.values.subarray((first + n) * width, (first + n + 1) * width);
        const weight = weights[n];
        for (let b = 0; b < width; b++) row[b] += before[b] * weight;
      }
      values.set(bytes ? inBytes(row) : row, a * width);
    }
    return {height, width, values};
  }

  function inBytes(row) {
    for (let b = 0; b < row.length; b++) row[b] = Math.min(Math.max(Math.floor(row[b] / ONE + 0.5), 0), 255);
    return row;
  }

  // Returns for each pixel of the result the first pixel that it takes, and the weights from there on.
  function tapsOf(before, after, filter, bytes) {
    const scale = before / after;
    const wide = Math.max(scale, 1);
    const reach = filter.reach * wide;
    const taps = [];
    for (let b = 0; b < after; b++) {
      const center = (b + 0.5) * scale;
      const first = Math.max(Math.trunc(center - reach + 0.5), 0);
      const end = Math.min(Math.trunc(center + reach + 0.5), before);
      const weights = new Float64Array(end - first);
      for (let n = first; n < end; n++) weights[n - first] = filter.weight((n - center + 0.5) / wide);
      const sum = weights.reduce((x, y) => x + y, 0);
      for (let n = 0; n < weights.length; n++) {
        weights[n] /= sum;
        if (bytes) weights[n] = Math.trunc(weights[n] * ONE + (weights[n] < 0 ? -0.5 : 0.5));
      }
      taps.push({first, weights});
    }
    return taps;
  }

  // Returns a plane with rows and columns exchanged.
  function turned(plane) {
    const {height, width} = plane;
    const values = new plane.values.constructor(plane.values.length);
    for (let a = 0; a < height; a++) {
      for (let b = 0; b < width; b++) values[b * height + a] = plane.values[a * width + b];
    }
    return {height: width, width: height, values};
  }

  // Shrinks a plane: each pixel of the result is the exact mean of the area that it covers (pictures/average.py).
  function averageAreas(plane, [height, width]) {
    const narrow = averageRows(plane, width);
    return turned(averageRows(turned(narrow), height));
  }

  function averageRows(plane, width) {
    const values = new Float32Array(plane.height * width);
    const size = plane.width / width;
    for (let b = 0; b < width; b++) {
      const start = b * size;
      const end = (b + 1) * size;
      const first = Math.floor(start);
      const last = Math.min(Math.ceil(end), plane.width);
      for (let a = 0; a < plane.height; a++) {
        let sum = 0;
        for (let n = first; n < last; n++) {
          // a pixel that the border of two areas crosses counts in both
          sum += plane.values[a * plane.width + n] * (Math.min(end, n + 1) - Math.max(start, n));
        }
        values[a * width + b] = sum / size;
      }
    }
    return {height: plane.height, width, values};
  }

  // Returns a value of the middle half way between two whole numbers as Python rounds it: to the even one.
  function roundHalfEven(x) {
    const low = Math.floor(x);
    if (x - low !== 0.5) return Math.round(x);
    return low % 2 === 0 ? low : low + 1;
  }

  return {resize, averageAreas, turned, roundHalfEven};
})();
