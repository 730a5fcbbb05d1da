// Shows an answer: the reading, the classes as bars, the image that the network saw, and the maps of each layer.
//
// Defines window.cnnShow = {Answers}.

'use strict';

(function () {
  // More classes than this are not all listed: only the most probable ones.
  const LISTED = 12;

  // More channels of a layer than this are not drawn.
  const CHANNELS = 64;

  // CSS pixels: about the side of a map, also on a small screen, of a cell of a vector, and of a short vector; the
  // width of a small screen; and the gap between two maps.
  const MAP_SIDE = 48;
  const SMALL_MAP_SIDE = 34;
  const CELL_SIDE = 14;
  const LARGE_CELL_SIDE = 26;
  const SHORT_VECTOR = 16;
  const SMALL_SCREEN = 600;
  const GAP = 4;

  // The canvases are written pixel by pixel, which is faster where they are in the memory of the processor.
  const CANVAS = {willReadFrequently: true};

  // Kinds of layers that change no number of an answer.
  const UNCHANGED = new Set(['dropout', 'flatten']);

  // What each kind of layer does, in one line.
  const MEANINGS = {
    conv: 'how well each filter fits at each place',
    batchnorm: 'shifted and scaled, channel by channel',
    relu: 'what is below zero becomes zero',
    leaky_relu: 'what is below zero becomes small',
    prelu: 'what is below zero is multiplied by a learned slope',
    silu: 'what is below zero fades out',
    gelu: 'what is below zero fades out',
    tanh: 'squeezed between −1 and 1',
    sigmoid: 'squeezed between 0 and 1',
    maxpool: 'the largest number of each window',
    avgpool: 'the mean of each window',
    globalavgpool: 'the mean of each map',
    residual: 'what its layers add to what came in',
    linear: 'weighted sums of all numbers before',
  };

  // Milliseconds that an answer must last before a screen reader says it.
  const LASTING = 700;

  const byId = (id) => document.getElementById(id);

  // Shows the answers of one model.
  class Answers {
    constructor(model) {
      this.model = model;
      const digits = '0123456789'.split('');
      this.isDigits = model.classes.length === 10 && digits.every((digit, index) => digit === model.classes[index]);
      this.rows = [];
      this.layers = [];
      this.nextMaps = null;
      this.colors = readColors();
      this.announced = '';
      this.timer = 0;
      byId('title').textContent = this.isDigits ? 'Draw a digit' : 'Draw a picture';
      document.title = `${byId('title').textContent} · ${model.name}`;
      byId('about').textContent = `for the network ${model.name}` +
        (model.parameters ? `, ${model.parameters.toLocaleString('en')} parameters` : '');
      if (model.classes.length > LISTED) byId('classes-title').textContent = 'Most probable classes';
      this.showClasses(null, []);
      this.showSeen(null);
      this.observer = new IntersectionObserver((entries) => this.onScroll(entries), {rootMargin: '100px'});
      // asking for the width while the page changes would make the browser lay it out again and again
      this.room = byId('layers').clientWidth;
      new ResizeObserver(([entry]) => {
        this.room = entry.contentRect.width;
        this.repaintLayers();
      }).observe(byId('layers'));
      window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
        this.colors = readColors();
        this.repaintLayers();
      });
    }

    // Show that there is nothing to answer.
    showNothing() {
      this.showReading('–', 'Nothing drawn yet.', true);
      this.showWarnings([]);
      this.showClasses(null, []);
      this.showSeen(null);
      this.showMaps([]);
      byId('time').textContent = '';
      document.body.classList.remove('unknown-answer');
      this.announce('');
    }

    // Show why there is no answer.
    showFailure(message) {
      this.showNothing();
      this.showReading('–', sentence(message), true);
      this.announce(message);
    }

    // Show an answer, as docs/draw.md describes it.
    show(answer) {
      if (answer.blank) {
        this.showNothing();
        const message = answer.warnings[0] || 'there is nothing to read';
        this.showReading('–', sentence(message), true);
        this.announce(message);
        return;
      }
      const [best, probability] = answer.top[0];
      const name = this.model.classes[best];
      const pieces = answer.digits || [];
      const text = answer.text || (answer.unknown ? '?' : name);
      const none = this.isDigits ? 'No digit' : 'None of its classes';
      let said = `${percent(probability)} sure`;
      if (answer.unknown) said = `${none}. The nearest class is ${name}, ${percent(probability)}.`;
      if (pieces.length > 1) {
        const things = this.isDigits && pieces.some((piece) => !piece.unknown) ? 'digits' : 'pieces';
        const which = answer.unknown ? `is ${none.toLowerCase()}` : `is ${name}, ${percent(probability)} sure`;
        said = `${pieces.length} ${things}. Below is the largest, which ${which}.`;
      }
      this.showReading(text, said, answer.unknown && pieces.length < 2);
      this.showWarnings(answer.warnings);
      document.body.classList.toggle('unknown-answer', answer.unknown);
      this.showClasses(answer.probabilities, answer.top);
      this.showSeen(answer.seen);
      byId('time').textContent = `answered in ${answer.milliseconds.toFixed(0)} ms`;
      this.announce(answer.unknown && pieces.length < 2 ? none : `${text.replaceAll('?', 'unknown ')}. ${said}`);
    }

    showReading(text, said, isNone) {
      const reading = byId('reading');
      write(reading, text);
      reading.classList.toggle('none', isNone);
      reading.classList.toggle('word', text.length > 2 && text.length <= 9);
      reading.classList.toggle('long', text.length > 9);
      write(byId('said'), said);
    }

    showWarnings(warnings) {
      byId('warnings').replaceChildren(...warnings.map((warning) => element('li', '', sentence(warning))));
    }

    // Show the classes as bars: all in their order, or of many the most probable ones.
    showClasses(probabilities, top) {
      const {classes} = this.model;
      const all = classes.length <= LISTED;
      const listed = all || top.length === 0 ? classes.map((_, index) => index) : top.map(([index]) => index);
      const best = top.length > 0 ? top[0][0] : -1;
      listed.slice(0, LISTED).forEach((index, place) => {
        const row = this.rows[place] || this.addRow();
        const share = probabilities === null ? 0 : probabilities[index];
        write(row.name, classes[index]);
        row.bar.style.transform = `scaleX(${share})`;
        write(row.share, probabilities === null ? '' : percent(share));
        row.item.classList.toggle('best', index === best);
      });
    }

    addRow() {
      const item = element('li');
      const row = {item, name: element('span', 'name'), bar: element('span'), share: element('span', 'share')};
      const track = element('span', 'bar');
      track.setAttribute('aria-hidden', 'true');
      track.append(row.bar);
      item.append(row.name, track, row.share);
      byId('classes').append(item);
      this.rows.push(row);
      return row;
    }

    // Show the image that went into the network, pixel by pixel.
    showSeen(seen) {
      const canvas = byId('seen');
      const [height, width] = seen ? [seen.height, seen.width] : this.model.size;
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
      }
      const context = canvas.getContext('2d', CANVAS);
      context.clearRect(0, 0, width, height);
      canvas.setAttribute('aria-label',
        seen ? `What the network saw: an image of ${height} by ${width} pixels` : 'What the network saw: nothing yet');
      if (!seen) return;
      const image = context.createImageData(width, height);
      const step = seen.channels === 1 ? 0 : 1;
      for (let pixel = 0; pixel < width * height; pixel++) {
        const from = pixel * seen.channels;
        image.data[4 * pixel] = seen.pixels[from];
        image.data[4 * pixel + 1] = seen.pixels[from + step];
        image.data[4 * pixel + 2] = seen.pixels[from + 2 * step];
        image.data[4 * pixel + 3] = 255;
      }
      context.putImageData(image, 0, 0);
    }

    // Show the maps of each layer with the next picture of the screen: the answer does not wait for them.
    showMaps(maps) {
      if (this.nextMaps === null) window.requestAnimationFrame(() => this.showNextMaps());
      this.nextMaps = maps;
    }

    // The elements of the last answer are used again if the layers are the same.
    showNextMaps() {
      const maps = this.nextMaps;
      this.nextMaps = null;
      const shown = maps.filter((map) => !UNCHANGED.has(map.kind));
      byId('layers-empty').hidden = shown.length > 0;
      const same = shown.length === this.layers.length &&
        shown.every((map, index) => this.layers[index].takes(map));
      if (!same) {
        this.observer.disconnect();
        this.layers = shown.map((map) => new Layer(map));
        byId('layers').replaceChildren(...this.layers.map((layer) => layer.section));
        for (const layer of this.layers) this.observer.observe(layer.section);
      }
      shown.forEach((map, index) => this.layers[index].show(map, this.room, this.colors));
    }

    onScroll(entries) {
      for (const entry of entries) {
        const layer = this.layers.find((each) => each.section === entry.target);
        if (layer) layer.setVisible(entry.isIntersecting, this.room, this.colors);
      }
    }

    repaintLayers() {
      for (const layer of this.layers) layer.repaint(this.room, this.colors);
    }

    // Let a screen reader say a text if it is still true after a moment.
    announce(text) {
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(() => {
        if (text === this.announced) return;
        this.announced = text;
        byId('announcement').textContent = text;
      }, LASTING);
    }
  }

  // One layer: a heading, and a picture of all its channels side by side.
  class Layer {
    constructor(map) {
      this.map = map;
      this.isVisible = false;
      this.isStale = true;
      this.section = element('section', 'layer');
      this.range = element('span');
      this.value = element('span', 'value');
      this.canvas = element('canvas');
      const facts = element('p', 'facts');
      const {channels} = map;
      const [height, width] = map.full || [map.height, map.width];
      const total = map.total || channels;
      const isVector = height === 1 && width === 1;
      const what = isVector ? `${total} ${total === 1 ? 'number' : 'numbers'}`
        : `${total} ${total === 1 ? 'map' : 'maps'} of ${height} × ${width}`;
      const drawn = Math.min(channels, CHANNELS);
      const notes = [what, ...(drawn < total ? [`the first ${drawn}`] : []), ...(map.full ? ['shrunk'] : [])];
      facts.append(element('span', '', notes.join(', ')), this.range);
      if (MEANINGS[map.kind]) facts.append(element('span', '', MEANINGS[map.kind]));
      facts.append(this.value);
      this.canvas.setAttribute('role', 'img');
      this.canvas.setAttribute('aria-label', `${map.name}: ${what}`);
      this.canvas.addEventListener('pointermove', (event) => this.readOut(event));
      this.canvas.addEventListener('pointerleave', () => {
        this.value.textContent = '';
      });
      const header = element('header');
      header.append(element('h3', '', map.name), facts);
      this.section.append(header, this.canvas);
    }

    takes(map) {
      const mine = this.map;
      return mine.name === map.name && mine.channels === map.channels && mine.height === map.height &&
        mine.width === map.width;
    }

    // room: the width of the page for it, in CSS pixels. colors: from readColors.
    show(map, room, colors) {
      this.map = map;
      this.repaint(room, colors);
    }

    setVisible(isVisible, room, colors) {
      this.isVisible = isVisible;
      if (isVisible && this.isStale) this.repaint(room, colors);
    }

    // Draw the channels. A layer that is not on the screen is drawn when it comes there.
    repaint(room, colors) {
      const {map, canvas} = this;
      const {height, width} = map;
      const count = Math.min(map.channels, CHANNELS);
      const grid = this.layOut(count, room);
      this.isStale = !this.isVisible;
      if (this.isStale) return;
      const used = map.values.subarray(0, count * height * width);
      const [lowest, highest] = extremes(used);
      const largest = Math.max(-lowest, highest) || 1;
      write(this.range, `${number(lowest)} to ${number(highest)}`);
      const context = canvas.getContext('2d', CANVAS);
      const image = context.createImageData(grid.width, grid.height);
      const pixels = new Uint32Array(image.data.buffer);
      for (let channel = 0; channel < count; channel++) {
        const left = (channel % grid.columns) * grid.stepX;
        const top = Math.floor(channel / grid.columns) * grid.stepY;
        for (let row = 0; row < height; row++) {
          const start = (top + row * grid.scale) * grid.width + left;
          for (let column = 0; column < width; column++) {
            const value = used[(channel * height + row) * width + column];
            const color = colors[MIDDLE + (Math.round((MIDDLE * value) / largest) || 0)];
            const from = start + column * grid.scale;
            pixels.fill(color, from, from + grid.scale);
          }
          // the other lines of these pixels are copies
          for (let line = 1; line < grid.scale; line++) {
            pixels.copyWithin(start + line * grid.width, start, start + width * grid.scale);
          }
        }
      }
      context.putImageData(image, 0, 0);
    }

    // Choose how large a number is drawn and how many maps stand in a row, in pixels of the screen.
    layOut(count, pageWidth) {
      const {height, width} = this.map;
      const ratio = window.devicePixelRatio || 1;
      const isVector = height === 1 && width === 1;
      const mapSide = pageWidth < SMALL_SCREEN ? SMALL_MAP_SIDE : MAP_SIDE;
      const cellSide = count <= SHORT_VECTOR ? LARGE_CELL_SIDE : CELL_SIDE;
      const side = isVector ? cellSide : mapSide;
      const room = Math.max(1, Math.floor(pageWidth * ratio));
      const largest = Math.max(1, Math.floor(room / width));
      const scale = Math.min(largest, Math.max(1, Math.round((side * ratio) / Math.max(height, width))));
      const gap = Math.round((isVector ? GAP / 2 : GAP) * ratio);
      const stepX = width * scale + gap;
      const stepY = height * scale + gap;
      const columns = Math.max(1, Math.min(count, Math.floor((room + gap) / stepX)));
      const rows = Math.ceil(count / columns);
      const grid = {scale, columns, stepX, stepY, width: columns * stepX - gap, height: rows * stepY - gap};
      const {canvas} = this;
      if (canvas.width !== grid.width || canvas.height !== grid.height) {
        canvas.width = grid.width;
        canvas.height = grid.height;
        canvas.style.width = `${grid.width / ratio}px`;
        canvas.style.height = `${grid.height / ratio}px`;
      }
      this.grid = grid;
      return grid;
    }

    // Say the number under the pointer, and where it is.
    readOut(event) {
      const {grid, map} = this;
      if (!grid) return;
      const rect = this.canvas.getBoundingClientRect();
      const x = ((event.clientX - rect.left) * grid.width) / rect.width;
      const y = ((event.clientY - rect.top) * grid.height) / rect.height;
      const channel = Math.floor(x / grid.stepX) + grid.columns * Math.floor(y / grid.stepY);
      const column = Math.floor((x % grid.stepX) / grid.scale);
      const row = Math.floor((y % grid.stepY) / grid.scale);
      const isInside = channel < Math.min(map.channels, CHANNELS) && row < map.height && column < map.width;
      const isVector = map.height === 1 && map.width === 1;
      // in a map that was shrunk the places are others
      const place = map.full ? `${map.name}[${channel}]` : isVector ? `${map.name}[${channel}]` : `${map.name}[${channel},${row},${column}]`;
      const value = map.values[(channel * map.height + row) * map.width + column];
      this.value.textContent = isInside ? `${place} = ${number(value)}` : '';
    }
  }

  // Shades on each side of zero.
  const MIDDLE = 255;

  // Return the scale of the maps as pixels, from the lowest value over zero to the highest, in the colors of the page.
  function readColors() {
    const style = window.getComputedStyle(document.documentElement);
    const [below, zero, above] = ['--below', '--zero', '--above'].map((name) => {
      const hex = style.getPropertyValue(name).trim();
      return [1, 3, 5].map((start) => Number.parseInt(hex.slice(start, start + 2), 16));
    });
    const colors = new Uint32Array(2 * MIDDLE + 1);
    const bytes = new Uint8Array(colors.buffer);
    for (let index = 0; index < colors.length; index++) {
      const share = Math.abs(index - MIDDLE) / MIDDLE;
      const end = index < MIDDLE ? below : above;
      for (let part = 0; part < 3; part++) {
        bytes[4 * index + part] = Math.round(zero[part] + share * (end[part] - zero[part]));
      }
      bytes[4 * index + 3] = 255;
    }
    return colors;
  }

  function extremes(values) {
    let lowest = Infinity;
    let highest = -Infinity;
    for (const value of values) {
      if (value < lowest) lowest = value;
      if (value > highest) highest = value;
    }
    return lowest <= highest ? [lowest, highest] : [0, 0];
  }

  function element(name, className = '', text = '') {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text) made.textContent = text;
    return made;
  }

  // Change a text on the page only if it is another one.
  function write(where, text) {
    if (where.textContent !== text) where.textContent = text;
  }

  function number(value) {
    return value.toPrecision(3).replace('-', '−');
  }

  function percent(share) {
    return `${(100 * share).toFixed(1)}\u00a0%`;
  }

  function sentence(text) {
    const ended = /[.!?]$/.test(text) ? text : `${text}.`;
    return ended.charAt(0).toUpperCase() + ended.slice(1);
  }

  window.cnnShow = {Answers};
})();
