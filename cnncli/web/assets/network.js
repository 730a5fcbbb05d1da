// Runs a trained network on one image: every kind of layer that the package `cnncli.nn` has, in inference.
//
// An array is a Float32Array with a shape. An image (C, H, W) lies channel by channel, each row by row, so the value of
// channel c at row a and column b is values[(c * H + a) * W + b]. A vector has the shape (features).
//
// Axis letters: C channels in, F filters, H W image, KH KW window, SH SW stride, OH OW output, K classes.

'use strict';

const cnnNetwork = (() => {
  // ---- layers: each takes x, {shape, values}, and returns y of the same form

  // y[f, a, b] = bias[f] + sum over c, i, j of weight[f, c, i, j] * x[c, a*SH + i*DH - top, b*SW + j*DW - left]
  //
  // With G groups, c counts the channels of the group of filter f.
  //
  // As in nn/layers/conv.py, the pixels of each window are copied into one row first (im2col). Then every output is the
  // product of a row of pixels and a row of weights.
  function conv(x, layer) {
    const [F, C, KH, KW] = layer.weight.shape;
    const [, OH, OW] = layer.outputShape;
    const G = layer.groups;
    const length = C * KH * KW;
    const padded = pad(x, layer.pads, 0);
    const [, H, W] = padded.shape;
    const y = new Float32Array(F * OH * OW);
    for (let g = 0; g < G; g++) {
      const part = {shape: [C, H, W], values: padded.values.subarray(g * C * H * W, (g + 1) * C * H * W)};
      const rows = im2col(part, layer.outputShape, [KH, KW], layer.stride, layer.dilation); // (OH*OW, C*KH*KW)
      const weight = layer.weight.values.subarray((g * F * length) / G, ((g + 1) * F * length) / G);
      y.set(products(rows, length, weight, F / G, OH * OW), (g * F * OH * OW) / G);
    }
    if (layer.bias) addToChannels(y, layer.bias.values, OH * OW);
    return {shape: [F, OH, OW], values: y};
  }

  // y[k] = bias[k] + sum over i of weight[k, i] * x[i]
  function linear(x, layer) {
    const [outputs, inputs] = layer.weight.shape;
    const y = products(x.values, inputs, layer.weight.values, outputs, 1);
    if (layer.bias) addToChannels(y, layer.bias.values, 1);
    return {shape: [outputs], values: y};
  }

  // y = gamma * (x - mean) / sqrt(variance + eps) + beta, for each channel or feature
  function batchnorm(x, layer) {
    const {gamma, beta, running_mean: mean, running_var: variance} = layer;
    const area = x.values.length / x.shape[0];
    const y = new Float32Array(x.values.length);
    for (let c = 0; c < x.shape[0]; c++) {
      const scale = gamma.values[c] / Math.sqrt(variance.values[c] + layer.eps);
      for (let n = c * area; n < (c + 1) * area; n++) {
        y[n] = (x.values[n] - mean.values[c]) * scale + beta.values[c];
      }
    }
    return {shape: x.shape, values: y};
  }

  const relu = (x) => each(x, (v) => (v > 0 ? v : 0));
  const leakyRelu = (x, layer) => each(x, (v) => (v > 0 ? v : layer.slope * v));
  const tanh = (x) => each(x, Math.tanh);
  const sigmoid = (x) => each(x, (v) => 1 / (1 + Math.exp(-v)));
  const silu = (x) => each(x, (v) => v / (1 + Math.exp(-v)));

  // y = x where x > 0, else weight[c] * x; one weight may serve all channels
  function prelu(x, layer) {
    const weight = layer.weight.values;
    const area = x.values.length / x.shape[0];
    const y = x.values.map((v, n) => (v > 0 ? v : v * weight[weight.length > 1 ? Math.floor(n / area) : 0]));
    return {shape: x.shape, values: y};
  }

  // y = x * (the share of a normal distribution below x)
  function gelu(x, layer) {
    if (layer.approximate === 'none') return each(x, (v) => v * normalShare(v));
    return each(x, (v) => v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))) / 2);
  }

  // Abramowitz and Stegun, Handbook of Mathematical Functions (1964), formula 7.1.26, right to 8 digits
  function normalShare(v) {
    const z = Math.abs(v) / Math.SQRT2;
    const t = 1 / (1 + 0.3275911 * z);
    const sum = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    const beyond = (sum * Math.exp(-z * z)) / 2;
    return v < 0 ? beyond : 1 - beyond;
  }

  // y[c, a, b] = max over i, j of x[c, a*SH + i - top, b*SW + j - left]; outside of the image is -infinity
  function maxpool(x, layer) {
    return pool(x, layer, -Infinity, Math.max, (largest) => largest);
  }

  // y[c, a, b] = mean over i, j of the same; outside of the image is 0, and counts tells how many pixels count
  function avgpool(x, layer) {
    const {counts} = layer;
    const all = layer.size[0] * layer.size[1];
    return pool(x, layer, 0, (sum, v) => sum + v, (sum, n) => sum / (counts ? counts[n % counts.length] : all));
  }

  // y[c] = mean over a, b of x[c, a, b]
  function globalavgpool(x) {
    const [C, H, W] = x.shape;
    const y = new Float32Array(C);
    for (let c = 0; c < C; c++) {
      let sum = 0;
      for (let n = c * H * W; n < (c + 1) * H * W; n++) sum += x.values[n];
      y[c] = sum / (H * W);
    }
    return {shape: [C], values: y};
  }

  const flatten = (x) => ({shape: [x.values.length], values: x.values});
  const dropout = (x) => x; // it drops nothing in inference

  // y = body(x) + shortcut(x), each a list of layers; an empty one returns x
  function residual(x, layer) {
    const [body, shortcut] = [layer.body, layer.shortcut]
      .map((layers) => layers.reduce((values, inner) => LAYERS[inner.kind](values, inner), x));
    return {shape: body.shape, values: body.values.map((v, n) => v + shortcut.values[n])};
  }

  const LAYERS = {
    conv, linear, batchnorm, relu, leaky_relu: leakyRelu, prelu, silu, gelu, tanh, sigmoid,
    maxpool, avgpool, globalavgpool, flatten, dropout, residual,
  };

  // ---- what the layers are made of

  // Returns an image with a border of one value; pads is [[top, bottom], [left, right]].
  function pad(x, pads, fill) {
    const [[top, bottom], [left, right]] = pads;
    if (!(top || bottom || left || right)) return x;
    const [C, H, W] = x.shape;
    const height = H + top + bottom;
    const width = W + left + right;
    const values = new Float32Array(C * height * width).fill(fill);
    for (let c = 0; c < C; c++) {
      for (let a = 0; a < H; a++) {
        const row = x.values.subarray((c * H + a) * W, (c * H + a + 1) * W);
        values.set(row, (c * height + top + a) * width + left);
      }
    }
    return {shape: [C, height, width], values};
  }

  // Copies the pixels of each window into one row: (C, H, W) -> (OH*OW, C*KH*KW).
  function im2col(x, outputShape, [KH, KW], [SH, SW], [DH, DW]) {
    const [C, H, W] = x.shape;
    const [, OH, OW] = outputShape;
    const rows = new Float32Array(OH * OW * C * KH * KW);
    let n = 0;
    for (let a = 0; a < OH; a++) {
      for (let b = 0; b < OW; b++) {
        for (let c = 0; c < C; c++) {
          for (let i = 0; i < KH; i++) {
            const start = (c * H + a * SH + i * DH) * W + b * SW;
            for (let j = 0; j < KW; j++) rows[n++] = x.values[start + j * DW];
          }
        }
      }
    }
    return rows;
  }

  // Returns y[f, p] = sum over n of weight[f, n] * rows[p, n], (F, count).
  function products(rows, length, weight, F, count) {
    const y = new Float32Array(F * count);
    for (let f = 0; f < F; f += 4) {
      for (let p = 0; p < count; p += 2) {
        if (f + 4 <= F && p + 2 <= count) {
          eightProducts(y, rows, length, weight, count, f, p);
          continue;
        }
        for (let k = f; k < Math.min(f + 4, F); k++) {
          for (let q = p; q < Math.min(p + 2, count); q++) {
            let sum = 0;
            for (let n = 0; n < length; n++) sum += weight[k * length + n] * rows[q * length + n];
            y[k * count + q] = sum;
          }
        }
      }
    }
    return y;
  }

  // The same for four filters and two rows at once. Each number that is read is used two or four times, which takes half
  // the time.
  function eightProducts(y, rows, length, weight, count, f, p) {
    const w0 = f * length, w1 = w0 + length, w2 = w1 + length, w3 = w2 + length;
    const r0 = p * length, r1 = r0 + length;
    let y00 = 0, y10 = 0, y20 = 0, y30 = 0;
    let y01 = 0, y11 = 0, y21 = 0, y31 = 0;
    for (let n = 0; n < length; n++) {
      const x0 = rows[r0 + n], x1 = rows[r1 + n];
      const v0 = weight[w0 + n], v1 = weight[w1 + n], v2 = weight[w2 + n], v3 = weight[w3 + n];
      y00 += v0 * x0;
      y10 += v1 * x0;
      y20 += v2 * x0;
      y30 += v3 * x0;
      y01 += v0 * x1;
      y11 += v1 * x1;
      y21 += v2 * x1;
      y31 += v3 * x1;
    }
    const at = f * count + p;
    y[at] = y00;
    y[at + 1] = y01;
    y[at + count] = y10;
    y[at + count + 1] = y11;
    y[at + 2 * count] = y20;
    y[at + 2 * count + 1] = y21;
    y[at + 3 * count] = y30;
    y[at + 3 * count + 1] = y31;
  }

  function addToChannels(y, bias, area) {
    for (let n = 0; n < y.length; n++) y[n] += bias[Math.floor(n / area)];
  }

  function each(x, formula) {
    const y = new Float32Array(x.values.length);
    for (let n = 0; n < y.length; n++) y[n] = formula(x.values[n]);
    return {shape: x.shape, values: y};
  }

  function pool(x, layer, outside, combine, finish) {
    const [KH, KW] = layer.size;
    const [SH, SW] = layer.stride;
    const [C, OH, OW] = layer.outputShape;
    const padded = pad(x, layer.pads, outside);
    const [, H, W] = padded.shape;
    const y = new Float32Array(C * OH * OW);
    let n = 0;
    for (let c = 0; c < C; c++) {
      for (let a = 0; a < OH; a++) {
        for (let b = 0; b < OW; b++) {
          let found = outside;
          for (let i = 0; i < KH; i++) {
            for (let j = 0; j < KW; j++) {
              found = combine(found, padded.values[(c * H + a * SH + i) * W + b * SW + j]);
            }
          }
          y[n] = finish(found, n);
          n++;
        }
      }
    }
    return {shape: [C, OH, OW], values: y};
  }

  // ---- the network

  // Returns a promise of a network that can run, from the JSON that `cnn export --to html` writes.
  //
  // model.weights has the bytes of all arrays, compressed as in a ZIP file and as base64. An array begins at a byte of
  // them: float32, or int8 with one float32 scale for each filter or output.
  async function build(model) {
    const packed = new Blob([bytesOf(model.weights)]).stream();
    const bytes = await new Response(packed.pipeThrough(new DecompressionStream('deflate'))).arrayBuffer();
    return {...model, layers: model.layers.map((layer) => builtLayer(bytes, layer))};
  }

  function builtLayer(bytes, layer) {
    const built = {...layer};
    for (const [name, array] of Object.entries(layer.arrays)) built[name] = arrayIn(bytes, array);
    for (const branch of ['body', 'shortcut']) {
      if (layer[branch]) built[branch] = layer[branch].map((inner) => builtLayer(bytes, inner));
    }
    return built;
  }

  function arrayIn(bytes, {shape, dtype, start, scaleStart}) {
    const size = shape.reduce((a, b) => a * b, 1);
    if (dtype === 'float32') return {shape, values: new Float32Array(bytes, start, size)};
    const whole = new Int8Array(bytes, start, size);
    const scales = new Float32Array(bytes, scaleStart, shape[0]); // (F,)
    const values = new Float32Array(size);
    for (let n = 0; n < size; n++) values[n] = whole[n] * scales[Math.floor((n * shape[0]) / size)];
    return {shape, values};
  }

  function bytesOf(base64) {
    const text = atob(base64);
    const bytes = new Uint8Array(text.length);
    for (let n = 0; n < text.length; n++) bytes[n] = text.charCodeAt(n);
    return bytes;
  }

  // Converts bytes to the input of a network: (pixel / 255 - mean) / std.
  //
  // pixels: Uint8Array (H, W, C), row by row, the colors of a pixel beside each other. Returns (C, H, W).
  function toInput(network, pixels) {
    const [C, H, W] = network.inputShape;
    const {mean, std} = network;
    const values = new Float32Array(C * H * W);
    for (let n = 0; n < H * W; n++) {
      for (let c = 0; c < C; c++) {
        const v = pixels[n * C + c] / 255;
        values[c * H * W + n] = mean === null ? v : (v - mean) / std;
      }
    }
    return {shape: [C, H, W], values};
  }

  // Returns the output of every layer, [{name, kind, shape, values}]; the last one has the K logits.
  function forward(network, pixels) {
    const outputs = [];
    let x = toInput(network, pixels);
    for (const layer of network.layers) {
      x = LAYERS[layer.kind](x, layer);
      outputs.push({name: layer.name, kind: layer.kind, ...x});
    }
    return outputs;
  }

  // Returns the probabilities of logits divided by a temperature: exp(z[k]) / sum over j of exp(z[j]).
  function softmax(logits, temperature) {
    const largest = logits.reduce((a, b) => Math.max(a, b));
    const exponentials = Array.from(logits, (z) => Math.exp((z - largest) / temperature));
    const sum = exponentials.reduce((a, b) => a + b);
    return Float32Array.from(exponentials, (v) => v / sum);
  }

  // Returns how far the largest logit is above the mean of all, in units of the threshold that the training chose.
  //
  // Below 1, an image belongs to no class. It is infinite for a network without a threshold.
  function evidenceOf(logits, threshold) {
    if (!(threshold > 0)) return Infinity;
    const largest = logits.reduce((a, b) => Math.max(a, b));
    const mean = logits.reduce((a, b) => a + b, 0) / logits.length;
    return (largest - mean) / threshold;
  }

  // Returns what the network says about one image.
  //
  // pixels: Uint8Array (H, W, C).
  // Returns {outputs: of every layer, logits, probabilities: Float32Array (K), evidence: below 1 for no class}.
  function classify(network, pixels) {
    const outputs = forward(network, pixels);
    const logits = outputs.length ? outputs[outputs.length - 1].values : toInput(network, pixels).values;
    const probabilities = softmax(logits, network.temperature);
    return {outputs, logits, probabilities, evidence: evidenceOf(logits, network.unknownThreshold)};
  }

  return {build, forward, softmax, classify};
})();
