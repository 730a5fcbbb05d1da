// Asks the server of `cnn draw` for answers.
//
// Defines window.cnnBackend, as docs/draw.md describes it.

'use strict';

(function () {
  const model = JSON.parse(document.getElementById('model').textContent);

  // The server takes larger bodies for no picture.
  const MAX_BYTES = 64 << 20;

  // Send a file, and return the answer to it.
  async function answer(body, type) {
    if (body.size > MAX_BYTES) {
      throw new Error(`The file is too large: more than ${MAX_BYTES >> 20} MiB.`);
    }
    const start = performance.now();
    const found = await ask('answer', body, type);
    return {...found, milliseconds: performance.now() - start};
  }

  // Send bytes to an address, and return what they are answered with.
  async function ask(address, body, type) {
    let response;
    let content;
    try {
      response = await fetch(address, {method: 'POST', body, headers: {'Content-Type': type}});
      content = await response.arrayBuffer();
    } catch {
      throw new Error('The server does not answer. Start it again in a terminal: cnn draw');
    }
    const isAnswer = response.headers.get('Content-Type') === 'application/octet-stream';
    const found = isAnswer ? unpack(content) : JSON.parse(new TextDecoder().decode(content));
    if (found.error) throw new Error(found.error);
    return found;
  }

  // Read an answer: the length of a JSON text, the text, and then the numbers that it speaks of.
  function unpack(content) {
    const length = new DataView(content).getUint32(0, true);
    const found = JSON.parse(new TextDecoder().decode(new Uint8Array(content, 4, length)));
    let offset = 4 + length;
    const floats = (count) => {
      const values = new Float32Array(content, offset, count);
      offset += values.byteLength;
      return values;
    };
    if (found.blank) return {...found, probabilities: null, maps: []};
    if (found.maps) {
      for (const map of found.maps) map.values = floats(map.channels * map.height * map.width);
      return found;
    }
    found.probabilities = floats(model.classes.length);
    const {height, width, channels} = found.seen;
    found.seen.pixels = new Uint8Array(content, offset, height * width * channels);
    return found;
  }

  window.cnnBackend = {
    model,

    // A drawing is sent as a picture file, dark ink on white paper, in the form that is easiest to write: PGM.
    answerDrawing(coverage, width, height) {
      const head = new TextEncoder().encode(`P5 ${width} ${height} 255\n`);
      const file = new Uint8Array(head.length + coverage.length);
      file.set(head);
      for (let index = 0; index < coverage.length; index++) {
        file[head.length + index] = Math.round(255 * (1 - coverage[index]));
      }
      return answer(file, 'image/x-portable-graymap');
    },

    answerPicture(blob) {
      return answer(blob, 'application/octet-stream');
    },

    async mapsOf(seen) {
      return (await ask('maps', seen.pixels, 'application/octet-stream')).maps;
    },
  };
})();
