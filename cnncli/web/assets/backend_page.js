// Answers without a server: the page itself runs the network on drawings and pictures.
//
// Defines window.cnnBackend, as docs/draw.md describes it.

'use strict';

window.cnnBackend = (() => {
  const MAX_PIXELS = 40_000_000; // of a picture file; a digit needs no more than a few hundred pixels a side

  const written = JSON.parse(document.getElementById('model').textContent);
  const network = cnnNetwork.build(written); // a promise
  const [channels, height, width] = written.inputShape;
  const {classes} = written;

  const parameters = written.layers
    .flatMap((layer) => Object.entries(layer.arrays))
    .filter(([name]) => !name.startsWith('running_'))
    .reduce((sum, [, array]) => sum + array.shape.reduce((a, b) => a * b), 0);

  const model = {
    name: written.name, classes, size: [height, width], channels, unknown: written.unknownThreshold > 0, parameters,
  };

  async function answerDrawing(coverage, drawnWidth, drawnHeight) {
    // a drawing is dark ink on white paper
    const values = new Uint8Array(coverage.length);
    for (let n = 0; n < values.length; n++) values[n] = 255 - Math.round(255 * coverage[n]);
    return answer({height: drawnHeight, width: drawnWidth, channels: 1, values}, 'yes');
  }

  async function answerPicture(blob) {
    const found = await answer(await decode(blob), 'auto');
    if (found.blank) throw new Error('there is nothing to read in the picture');
    return found;
  }

  async function answer(picture, invert) {
    const built = await network;
    const began = performance.now();
    const {digits, warnings} = cnnAnswer.read(built, picture, invert);
    // of several digits, the largest is shown
    const areaOf = ({box: [left, top, right, bottom]}) => (right - left) * (bottom - top);
    const shown = digits.reduce((one, other) => (one && areaOf(one) >= areaOf(other) ? one : other), null);
    const facts = {
      blank: shown === null,
      text: textOf(digits),
      warnings: shown ? warnings : ['there is nothing to read in the picture'],
      digits: digits.map(({label, probability, unknown, box}) => ({label: classes[label], probability, unknown, box})),
      size: [picture.width, picture.height],
    };
    if (shown === null) return {...facts, probabilities: null, top: [], unknown: false, seen: null, maps: []};
    const {probabilities, outputs} = shown.found;
    return {
      ...facts,
      probabilities,
      top: cnnAnswer.topOf(probabilities, classes.length),
      unknown: shown.unknown,
      seen: {height, width, channels, pixels: shown.pixels},
      maps: mapsOf(outputs),
      milliseconds: performance.now() - began,
    };
  }

  // Returns the labels line by line, without gaps; those of more than one letter are separated by spaces.
  function textOf(digits) {
    const gap = digits.every(({label}) => classes[label].length === 1) ? '' : ' ';
    const lines = [];
    for (const {line, unknown, label} of digits) (lines[line] ??= []).push(unknown ? '?' : classes[label]);
    return lines.filter(Boolean).map((line) => line.join(gap)).join('\n');
  }

  // Returns the outputs of the layers that compute something; a vector is as many channels of one pixel.
  function mapsOf(outputs) {
    return outputs
      .filter(({kind}) => kind !== 'flatten' && kind !== 'dropout')
      .map(({name, kind, shape, values}) => {
        const [C, H = 1, W = 1] = shape;
        return {name, kind, channels: C, height: H, width: W, values};
      });
  }

  // Decodes a picture file in the formats that the browser knows: upright, on white, gray if all its pixels are.
  async function decode(blob) {
    let bitmap;
    try {
      bitmap = await createImageBitmap(blob, {colorSpaceConversion: 'none', premultiplyAlpha: 'none'});
    } catch {
      throw new Error('the browser cannot read this as a picture: PNG, JPEG, WebP, GIF, BMP and AVIF are possible');
    }
    const [wide, high] = [bitmap.width, bitmap.height];
    if (wide * high > MAX_PIXELS) {
      throw new Error(`the picture is too large: ${wide} x ${high} pixels, more than ${MAX_PIXELS / 1e6} million`);
    }
    const canvas = new OffscreenCanvas(wide, high);
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.drawImage(bitmap, 0, 0); // in its own size: a browser scales in another way than `cnn predict`
    bitmap.close();
    return onPaper(context.getImageData(0, 0, wide, high));
  }

  // Puts transparent pixels on white, or on black if the ink is bright (pictures/plain.py).
  function onPaper(image) {
    const {data, width: wide, height: high} = image;
    const paper = hasBrightInk(image) ? 0 : 255;
    let isGrey = true;
    for (let n = 0; n < data.length && isGrey; n += 4) {
      isGrey = data[n + 3] === 0 || (data[n] === data[n + 1] && data[n] === data[n + 2]);
    }
    const channels = isGrey ? 1 : 3;
    const values = new Uint8Array(wide * high * channels);
    for (let n = 0; n < wide * high; n++) {
      const alpha = data[4 * n + 3] / 255;
      for (let c = 0; c < channels; c++) {
        values[n * channels + c] = Math.round(data[4 * n + c] * alpha + paper * (1 - alpha));
      }
    }
    return {height: high, width: wide, channels, values};
  }

  // Returns whether the visible part is bright strokes, and not a bright sheet with dark writing.
  //
  // A sheet is bright up to its edge and has dark pixels inside. Bright strokes have none, or they are dark along their
  // edge, because a program has made a black background transparent.
  function hasBrightInk({data, width: wide, height: high}) {
    const isVisible = (n) => data[4 * n + 3] > 127;
    // nearly all pictures are opaque, and large ones are many pixels
    if (isOpaque(data)) return false;
    const visible = [];
    for (let n = 0; n < wide * high; n++) if (isVisible(n)) visible.push(n);
    if (visible.length === 0 || visible.length === wide * high) return false;
    const {values: grey} = cnnInk.planeOf({height: high, width: wide, channels: 3, values: withoutAlpha(data)}, 3);
    const isAtEdge = (n) => {
      for (let a = Math.max(Math.floor(n / wide) - 1, 0); a <= Math.min(Math.floor(n / wide) + 1, high - 1); a++) {
        for (let b = Math.max((n % wide) - 1, 0); b <= Math.min((n % wide) + 1, wide - 1); b++) {
          if (!isVisible(a * wide + b)) return true;
        }
      }
      return false;
    };
    const greyOf = (some) => Uint8Array.from(some, (n) => grey[n]);
    if (cnnPaper.median(greyOf(visible)) <= 127) return false;
    if (cnnPaper.median(greyOf(visible.filter(isAtEdge))) <= 127) return true;
    return visible.filter((n) => grey[n] < 128).length <= 0.005 * visible.length;
  }

  function isOpaque(data) {
    for (let n = 3; n < data.length; n += 4) if (data[n] < 255) return false;
    return true;
  }

  function withoutAlpha(data) {
    const values = new Uint8Array((3 * data.length) / 4);
    for (let n = 0; n < values.length; n++) values[n] = data[4 * Math.floor(n / 3) + (n % 3)];
    return values;
  }

  return {model, answerDrawing, answerPicture};
})();
