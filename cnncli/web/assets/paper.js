// Estimates the brightness of the paper in a picture, and whether its ink is darker or brighter (pictures/paper.py).
//
// A plane is {height, width, values: Float32Array}.

'use strict';

const cnnPaper = (() => {
  const {resize, turned, roundHalfEven} = cnnResize;
  const UNEVEN = 0.1; // of the border differs from the paper: there may be shadows on it

  // Returns how much darker each pixel is than the paper around it: 1 - grey / paper, in 0..1.
  //
  // The brightness of the paper is a maximum over windows of a small copy, then a minimum. This fills strokes that are
  // narrower than the window, and keeps shadows that are wider. share: the width of the window, as a part of the
  // shorter side.
  function darknessOf(grey, share) {
    const small = shrink(grey, 96);
    const window = Math.max(3, roundHalfEven(share * Math.min(small.height, small.width))) | 1;
    const closed = slidingMinimum(slidingMaximum(small, window), window);
    const smooth = slidingMean(closed, 5);
    for (let n = 0; n < smooth.values.length; n++) smooth.values[n] = Math.max(smooth.values[n], 16);
    const level = smooth.values[0];
    // a drawing has the same paper everywhere
    const even = smooth.values.every((v) => v === level);
    const paper = even ? null : resize(smooth, [grey.height, grey.width], 'bilinear').values;
    const before = grey.values;
    const values = new Float32Array(before.length);
    for (let n = 0; n < values.length; n++) {
      const darker = 1 - Math.fround(before[n] / (even ? level : paper[n]));
      values[n] = darker < 0 ? 0 : darker; // grey is not below 0
    }
    return {height: grey.height, width: grey.width, values};
  }

  function shrink(plane, longest) {
    const factor = Math.min(1, longest / Math.max(plane.height, plane.width));
    const size = [plane.height, plane.width].map((side) => Math.max(1, roundHalfEven(side * factor)));
    return resize(plane, size, 'box');
  }

  // Returns the maximum in a window around each pixel, first along columns, then along rows.
  //
  // Outside of the plane, the pixels at its edge go on.
  function slidingMaximum(plane, window) {
    return turned(maximumOfRows(turned(maximumOfRows(plane, window)), window));
  }

  // The maximum of 2 pixels is that of 2 single ones, that of 4 is that of 2 pairs, and so on; two such maxima that
  // overlap cover the window. This is 6 comparisons for a pixel instead of 39.
  function maximumOfRows({height, width, values}, window) {
    const reach = window >> 1;
    const found = new Float32Array(values.length);
    const row = new Float32Array(width + 2 * reach);
    for (let a = 0; a < height; a++) {
      for (let n = 0; n < row.length; n++) row[n] = values[a * width + Math.min(Math.max(n - reach, 0), width - 1)];
      let length = 1; // row[n] is the maximum of so many pixels from n on
      for (; 2 * length <= window; length *= 2) {
        for (let n = 0; n + length < row.length; n++) row[n] = Math.max(row[n], row[n + length]);
      }
      for (let b = 0; b < width; b++) found[a * width + b] = Math.max(row[b], row[b + window - length]);
    }
    return {height, width, values: found};
  }

  function slidingMinimum(plane, window) {
    const negative = (each) => ({...each, values: each.values.map((v) => -v)});
    return negative(slidingMaximum(negative(plane), window));
  }

  function slidingMean(plane, window) {
    return turned(meanOfRows(turned(meanOfRows(plane, window)), window));
  }

  function meanOfRows({height, width, values}, window) {
    const reach = window >> 1;
    const found = new Float32Array(values.length);
    for (let a = 0; a < height; a++) {
      for (let b = 0; b < width; b++) {
        let sum = 0;
        for (let n = b - reach; n <= b + reach; n++) sum += values[a * width + Math.min(Math.max(n, 0), width - 1)];
        found[a * width + b] = sum / window;
      }
    }
    return {height, width, values: found};
  }

  // Returns -1 if all that differs from the paper is darker, 1 if all is brighter.
  function polarityOf(deviation) {
    const sizes = deviation.values.map(Math.abs);
    const noise = sizes.length > 4 ? 4 * median(sizes) : 0;
    let signed = 0;
    let all = 0;
    for (const v of deviation.values) {
      if (Math.abs(v) > Math.min(noise, 40)) {
        signed += Math.sign(v) * v * v;
        all += v * v;
      }
    }
    return signed / Math.max(all, 1e-9);
  }

  // Returns how much brighter each pixel is than the paper; if the border is uneven, also by another estimate.
  //
  // The brightness of the paper is that of the border, extrapolated to the inside as a smooth surface. If there are
  // shadows on the border, it is the median nearby. Returns [deviation, other or null].
  function deviationsFromPaper(plane) {
    const {height, width} = plane;
    const depth = Math.max(1, roundHalfEven(0.04 * Math.min(height, width)));
    const inRing = (a, b) => a < depth || b < depth || a >= height - depth || b >= width - depth;
    const deviation = minus(plane, paperOfBorder(plane, inRing));
    const contrast = quantile(deviation.values.map(Math.abs), 0.99);
    const outlying = (n) => Math.abs(deviation.values[n]) > 0.15 * contrast;
    let ring = 0;
    let outliers = 0;
    for (let a = 0; a < height; a++) {
      for (let b = 0; b < width; b++) {
        if (!inRing(a, b)) continue;
        ring += 1;
        outliers += outlying(a * width + b);
      }
    }
    if (outliers <= UNEVEN * ring) return [deviation, null];
    const other = minus(plane, paperOfMedians(plane));
    if (outliers > 0.25 * ring) {
      const jumps = []; // at the edges of what differs
      for (let a = 0; a < height; a++) {
        for (let b = 0; b < width; b++) {
          for (const [down, right] of [[1, 0], [0, 1]]) {
            if (a + down >= height || b + right >= width || !inRing(a, b) || !inRing(a + down, b + right)) continue;
            const n = a * width + b;
            const next = n + down * width + right;
            if (outlying(n) !== outlying(next)) jumps.push(Math.abs(plane.values[n] - plane.values[next]));
          }
        }
      }
      // no sharp edges: there are shadows on the border
      if (jumps.length && sum(jumps) / jumps.length < 0.12 * contrast) return [other, null];
    }
    return [deviation, other];
  }

  const sum = (values) => values.reduce((a, b) => a + b, 0);

  function minus(plane, other) {
    return {...plane, values: plane.values.map((v, n) => v - other.values[n])};
  }

  // Returns the median in a wide window around each pixel, computed on a smaller copy.
  function paperOfMedians(plane) {
    const small = shrink(plane, 64);
    const reach = Math.max(1, roundHalfEven(0.15 * Math.max(small.height, small.width)));
    const mirrored = (n, count) => {
      if (count === 1) return 0;
      const period = 2 * (count - 1);
      const m = ((n % period) + period) % period;
      return m < count ? m : period - m;
    };
    const values = new Float32Array(small.values.length);
    const side = 2 * reach + 1;
    const seen = new Float32Array(side * side);
    for (let a = 0; a < small.height; a++) {
      for (let b = 0; b < small.width; b++) {
        for (let i = 0; i < side; i++) {
          const row = mirrored(a + i - reach, small.height) * small.width;
          for (let j = 0; j < side; j++) seen[i * side + j] = small.values[row + mirrored(b + j - reach, small.width)];
        }
        values[a * small.width + b] = median(seen);
      }
    }
    return resize({...small, values}, [plane.height, plane.width], 'bilinear');
  }

  // Fits a quadratic surface to the border of a plane without its outliers, and returns the surface.
  function paperOfBorder(plane, inRing) {
    const {height, width} = plane;
    const termsAt = (a, b) => {
      const y = height > 1 ? (2 * a) / (height - 1) - 1 : -1;
      const x = width > 1 ? (2 * b) / (width - 1) - 1 : -1;
      return [1, x, y, x * x, x * y, y * y];
    };
    const terms = [];
    const values = [];
    for (let a = 0; a < height; a++) {
      for (let b = 0; b < width; b++) {
        if (!inRing(a, b)) continue;
        terms.push(termsAt(a, b));
        values.push(plane.values[a * width + b]);
      }
    }
    const dot = (one, other) => one.reduce((sum, v, n) => sum + v * other[n], 0);
    const middle = median(Float64Array.from(values));
    let fits = values.map((v) => Math.abs(v - middle) <= 40);
    let weights = null;
    for (let round = 0; round < 4; round++) {
      if (fits.filter(Boolean).length < 24) return {...plane, values: plane.values.map(() => middle)};
      weights = leastSquares(terms.filter((_, n) => fits[n]), values.filter((_, n) => fits[n]));
      const residual = values.map((v, n) => Math.abs(v - dot(terms[n], weights)));
      const usual = median(Float64Array.from(residual.filter((_, n) => fits[n])));
      fits = residual.map((r) => r <= Math.max(3 * 1.4826 * usual, 2));
    }
    const low = plane.values.reduce((x, y) => Math.min(x, y));
    const high = plane.values.reduce((x, y) => Math.max(x, y));
    const surface = plane.values.map((_, n) => {
      const at = dot(termsAt(Math.floor(n / width), n % width), weights);
      return Math.min(Math.max(at, low), high);
    });
    return {...plane, values: surface};
  }

  // Returns the weights w for which |terms * w - values| is smallest: the normal equations, by elimination.
  function leastSquares(terms, values) {
    const size = terms[0].length;
    const rows = Array.from({length: size}, () => new Float64Array(size + 1));
    terms.forEach((term, n) => {
      for (let i = 0; i < size; i++) {
        for (let j = 0; j < size; j++) rows[i][j] += term[i] * term[j];
        rows[i][size] += term[i] * values[n];
      }
    });
    for (let i = 0; i < size; i++) {
      let pivot = i;
      for (let k = i + 1; k < size; k++) if (Math.abs(rows[k][i]) > Math.abs(rows[pivot][i])) pivot = k;
      [rows[i], rows[pivot]] = [rows[pivot], rows[i]];
      if (Math.abs(rows[i][i]) < 1e-9) continue;
      for (let k = 0; k < size; k++) {
        if (k === i) continue;
        const factor = rows[k][i] / rows[i][i];
        for (let j = i; j <= size; j++) rows[k][j] -= factor * rows[i][j];
      }
    }
    return rows.map((row, i) => (Math.abs(row[i]) < 1e-9 ? 0 : row[size] / row[i]));
  }

  // Returns the middle one of numbers, or the mean of the two in the middle.
  function median(values) {
    return quantile(values, 0.5);
  }

  // Returns the number that a share of all are below, linear between two of them.
  function quantile(values, share) {
    return quantileInPlace(ArrayBuffer.isView(values) ? values.slice() : Float64Array.from(values), share);
  }

  // The same without a copy of the numbers, which are in another order afterwards.
  function quantileInPlace(found, share) {
    const place = share * (found.length - 1);
    const low = Math.floor(place);
    select(found, low);
    if (place === low) return found[low];
    const next = found.subarray(low + 1).reduce((a, b) => Math.min(a, b));
    return found[low] + (place - low) * (next - found[low]);
  }

  // Moves the number to its place that is there once all are sorted, with smaller ones before it (quickselect).
  function select(values, place) {
    let low = 0;
    let high = values.length - 1;
    while (low < high) {
      const pivot = values[(low + high) >> 1];
      let i = low;
      let j = high;
      while (i <= j) {
        while (values[i] < pivot) i++;
        while (values[j] > pivot) j--;
        if (i <= j) {
          const kept = values[i];
          values[i++] = values[j];
          values[j--] = kept;
        }
      }
      if (place <= j) high = j;
      else if (place >= i) low = i;
      else return;
    }
  }

  return {darknessOf, deviationsFromPaper, polarityOf, median, quantile, quantileInPlace};
})();
