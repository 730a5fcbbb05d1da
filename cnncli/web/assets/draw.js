// Wires the page: pointer, keyboard, tools and pictures change the drawing, and each change asks for an answer.
//
// The network is behind window.cnnBackend: a server for `cnn draw`, the page itself for `cnn export --to html`. See
// docs/draw.md for what a backend is.

'use strict';

(function () {
  // Pixels of a side of the drawing.
  const SIZE = 336;

  // Pixels of the drawing that an arrow key moves the cursor by, without and with Shift.
  const STEP = 12;
  const SMALL_STEP = 3;

  // By how much a key changes the thickness.
  const THICKER = 4;

  // Milliseconds after which maps are asked for while somebody draws.
  const MAPS_LATE = 150;

  // Milliseconds for which a touch after the pen is taken for the palm of the hand.
  const PALM = 500;

  const byId = (id) => document.getElementById(id);
  const backend = window.cnnBackend;
  const drawing = new window.cnnPen.Drawing(SIZE);
  const answers = new window.cnnShow.Answers(backend.model);

  const paper = byId('paper');
  const picture = document.createElement('img');
  const thickness = byId('thickness');
  const context = paper.getContext('2d', {willReadFrequently: true});
  picture.id = 'picture';
  picture.alt = 'The opened picture';
  picture.hidden = true;
  byId('sheet').insertBefore(picture, byId('picture-name'));
  paper.width = SIZE;
  paper.height = SIZE;

  let tool = 'pen';
  // the pointer that draws, or null
  let pointer = null;
  let penSeen = -Infinity;
  let isPainting = false;
  // counts the changes, so that an answer to an older state can be told
  let state = 0;
  let isAsking = false;
  // when maps were shown last
  let mapsShown = 0;
  // the address of the opened picture in the page
  let pictureUrl = null;
  const cursor = {x: SIZE / 2, y: SIZE / 2, isDown: false};

  // ---- from the drawing to the screen

  // Show the drawing as it is now, and ask for an answer to it.
  function changed() {
    state += 1;
    showTools();
    if (!isPainting) {
      isPainting = true;
      window.requestAnimationFrame(paint);
    }
    ask();
  }

  function paint() {
    isPainting = false;
    const dirty = drawing.takeDirty();
    if (dirty === null || dirty.right <= dirty.left || dirty.bottom <= dirty.top) return;
    const width = dirty.right - dirty.left;
    const image = context.createImageData(width, dirty.bottom - dirty.top);
    const [red, green, blue] = inkColor();
    let to = 0;
    for (let row = dirty.top; row < dirty.bottom; row++) {
      for (let column = dirty.left; column < dirty.right; column++) {
        image.data[to] = red;
        image.data[to + 1] = green;
        image.data[to + 2] = blue;
        image.data[to + 3] = drawing.ink[row * SIZE + column];
        to += 4;
      }
    }
    context.putImageData(image, dirty.left, dirty.top);
  }

  function inkColor() {
    const hex = window.getComputedStyle(document.documentElement).getPropertyValue('--ink').trim();
    return [1, 3, 5].map((start) => Number.parseInt(hex.slice(start, start + 2), 16));
  }

  function showTools() {
    byId('undo').disabled = !drawing.canUndo;
    byId('redo').disabled = !drawing.canRedo;
    byId('clear').disabled = drawing.isBlank;
    byId('save').disabled = drawing.isBlank || drawing.picture !== null;
    byId('pen').setAttribute('aria-pressed', String(tool === 'pen'));
    byId('eraser').setAttribute('aria-pressed', String(tool === 'eraser'));
    byId('invitation').hidden = !drawing.isBlank || drawing.stroke !== null;
    showPicture();
  }

  function showPicture() {
    const shown = drawing.picture;
    if (shown === showPicture.last) return;
    showPicture.last = shown;
    if (pictureUrl !== null) URL.revokeObjectURL(pictureUrl);
    pictureUrl = shown === null ? null : URL.createObjectURL(shown);
    byId('picture-name').hidden = true;
    picture.hidden = shown === null;
    if (shown === null) picture.removeAttribute('src');
    else picture.src = pictureUrl;
  }
  showPicture.last = null;

  picture.addEventListener('error', () => {
    if (drawing.picture === null) return;
    picture.hidden = true;
    byId('picture-name').textContent = `${drawing.picture.name || 'This picture'} cannot be shown here.`;
    byId('picture-name').hidden = false;
  });

  function showThickness() {
    const side = (thickness.value * paper.clientWidth) / SIZE;
    const dot = byId('dot');
    dot.style.width = `${Math.min(34, side)}px`;
    dot.style.height = `${Math.min(34, side)}px`;
  }

  // Draw a box around each thing that was read, on a picture and on a drawing of several digits.
  function showBoxes(answer) {
    const svg = byId('boxes');
    const pieces = (answer && answer.digits) || [];
    const isUseful = pieces.length > 1 || (drawing.picture !== null && pieces.length > 0);
    svg.replaceChildren();
    if (!isUseful) return;
    const [width, height] = answer.size;
    const font = Math.max(width, height) / 22;
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    for (const piece of pieces) {
      const [left, top, right, bottom] = piece.box;
      const group = svgElement('g', {class: piece.unknown ? 'unknown' : ''});
      group.append(svgElement('rect', {x: left, y: top, width: right - left, height: bottom - top, rx: font / 6,
        'vector-effect': 'non-scaling-stroke'}));
      const label = svgElement('text', {x: left, y: top > font ? top - font / 4 : bottom + font,
        'font-size': font, 'stroke-width': font / 5, 'paint-order': 'stroke'});
      label.textContent = piece.unknown ? '?' : piece.label;
      group.append(label);
      svg.append(group);
    }
  }

  function svgElement(name, attributes) {
    const made = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
    return made;
  }

  // ---- from the drawing to an answer

  // Ask for an answer to the drawing as it is; while one is on its way, wait, and then ask for the newest state only.
  async function ask() {
    if (isAsking) return;
    isAsking = true;
    let asked = -1;
    while (asked !== state) {
      asked = state;
      await answerNow(asked);
    }
    isAsking = false;
  }

  async function answerNow(asked) {
    if (drawing.isBlank) {
      answers.showNothing();
      showBoxes(null);
      return;
    }
    const shown = drawing.picture;
    const start = performance.now();
    document.body.setAttribute('aria-busy', 'true');
    try {
      const answer = shown === null
        ? await backend.answerDrawing(drawing.coverage(), SIZE, SIZE)
        : await backend.answerPicture(shown);
      if (drawing.picture !== shown || drawing.isBlank) return;
      answers.show(answer);
      showBoxes(answer);
      // for the tools of the browser, and for benchmarks/draw.py
      performance.clearMeasures('answer');
      performance.measure('answer', {start});
      await showMaps(answer, asked, start);
    } catch (error) {
      answers.showFailure(error.message);
      showBoxes(null);
    } finally {
      document.body.removeAttribute('aria-busy');
    }
  }

  // Show the maps that an answer comes with, or ask for them. While the drawing changes, a new answer goes before maps
  // that are to be computed, but not for long.
  async function showMaps(answer, asked, start) {
    if (answer.blank || answer.maps) {
      answers.showMaps(answer.maps || []);
      return;
    }
    if (asked !== state && performance.now() - mapsShown < MAPS_LATE) return;
    const maps = await backend.mapsOf(answer.seen);
    if (drawing.isBlank) return;
    mapsShown = performance.now();
    answers.showMaps(maps);
    performance.clearMeasures('maps');
    performance.measure('maps', {start});
  }

  // ---- pointer

  paper.addEventListener('pointerdown', (event) => {
    const isPalm = event.pointerType === 'touch' && event.timeStamp - penSeen < PALM;
    if (pointer !== null || isPalm || (event.button !== 0 && event.button !== 5)) return;
    event.preventDefault();
    paper.focus({preventScroll: true});
    byId('sheet').classList.remove('by-keyboard');
    liftPen();
    byId('cursor').hidden = true;
    pointer = event.pointerId;
    paper.setPointerCapture(pointer);
    const {x, y, radius} = pointOf(event);
    // button 5 is the other end of a pen
    drawing.begin(x, y, radius, tool === 'eraser' || event.button === 5);
    changed();
  });

  paper.addEventListener('pointermove', (event) => {
    if (event.pointerType === 'pen') penSeen = event.timeStamp;
    if (event.pointerId !== pointer) return;
    const events = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
    for (const each of events.length > 0 ? events : [event]) {
      const {x, y, radius} = pointOf(each);
      drawing.extend(x, y, radius);
    }
    changed();
  });

  for (const kind of ['pointerup', 'pointercancel']) {
    paper.addEventListener(kind, (event) => {
      if (event.pointerId !== pointer) return;
      pointer = null;
      drawing.end();
      changed();
    });
  }

  // Return where an event is in the drawing, and the radius there: a pen that is pressed harder draws thicker.
  function pointOf(event) {
    const rect = paper.getBoundingClientRect();
    const hasPressure = event.pointerType === 'pen' && event.pressure > 0;
    return {
      x: ((event.clientX - rect.left) * SIZE) / rect.width,
      y: ((event.clientY - rect.top) * SIZE) / rect.height,
      radius: (thickness.value / 2) * (hasPressure ? 0.5 + event.pressure : 1),
    };
  }

  // ---- keyboard

  const MOVES = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

  // On the drawing area single keys are shortcuts.
  const KEYS = {
    p: () => chooseTool('pen'),
    e: () => chooseTool('eraser'),
    '[': () => changeThickness(-THICKER),
    ']': () => changeThickness(THICKER),
    delete: clear,
    backspace: clear,
    o: () => byId('file').click(),
    s: save,
    ' ': () => (cursor.isDown ? liftPen() : putPenDown()),
    enter: () => (cursor.isDown ? liftPen() : putPenDown()),
    escape: liftPen,
  };

  paper.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    const action = KEYS[event.key.toLowerCase()];
    if (!move && !action) return;
    event.preventDefault();
    if (move) moveCursor(move, event.shiftKey ? SMALL_STEP : STEP);
    else if (!event.repeat) action();
  });

  document.addEventListener('keydown', (event) => {
    byId('sheet').classList.add('by-keyboard');
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const key = event.key.toLowerCase();
    const isUndo = key === 'z' && !event.shiftKey;
    const isRedo = (key === 'z' && event.shiftKey) || key === 'y';
    if (!isUndo && !isRedo) return;
    event.preventDefault();
    if (isUndo) undo();
    else redo();
  });

  function moveCursor([right, down], step) {
    const within = (value) => Math.min(SIZE, Math.max(0, value));
    cursor.x = within(cursor.x + right * step);
    cursor.y = within(cursor.y + down * step);
    if (cursor.isDown) {
      drawing.extend(cursor.x, cursor.y, thickness.value / 2);
      changed();
    }
    showCursor();
  }

  function putPenDown() {
    if (pointer !== null) return;
    cursor.isDown = true;
    drawing.begin(cursor.x, cursor.y, thickness.value / 2, tool === 'eraser');
    showCursor();
    changed();
  }

  function liftPen() {
    if (!cursor.isDown) return;
    cursor.isDown = false;
    drawing.end();
    showCursor();
    changed();
  }

  function showCursor() {
    const mark = byId('cursor');
    mark.hidden = false;
    mark.classList.toggle('down', cursor.isDown);
    mark.style.left = `${(100 * cursor.x) / SIZE}%`;
    mark.style.top = `${(100 * cursor.y) / SIZE}%`;
  }

  paper.addEventListener('blur', () => {
    liftPen();
    byId('cursor').hidden = true;
  });

  // ---- tools

  function chooseTool(name) {
    tool = name;
    showTools();
  }

  function changeThickness(by) {
    thickness.value = String(Number(thickness.value) + by);
    showThickness();
  }

  function undo() {
    endStroke();
    drawing.undo();
    changed();
  }

  function redo() {
    endStroke();
    drawing.redo();
    changed();
  }

  function clear() {
    endStroke();
    drawing.clear();
    changed();
  }

  function endStroke() {
    pointer = null;
    cursor.isDown = false;
    byId('cursor').classList.remove('down');
  }

  byId('pen').addEventListener('click', () => chooseTool('pen'));
  byId('eraser').addEventListener('click', () => chooseTool('eraser'));
  byId('undo').addEventListener('click', undo);
  byId('redo').addEventListener('click', redo);
  byId('clear').addEventListener('click', clear);
  byId('save').addEventListener('click', save);
  byId('open').addEventListener('click', () => byId('file').click());
  thickness.addEventListener('input', showThickness);
  window.addEventListener('resize', showThickness);

  // Save the drawing as dark ink on white paper, with exactly the numbers that are asked about.
  function save() {
    if (drawing.isBlank || drawing.picture !== null) return;
    const canvas = document.createElement('canvas');
    canvas.width = SIZE;
    canvas.height = SIZE;
    const copy = canvas.getContext('2d');
    const image = copy.createImageData(SIZE, SIZE);
    drawing.ink.forEach((value, index) => image.data.fill(255 - value, 4 * index, 4 * index + 3));
    drawing.ink.forEach((value, index) => image.data.fill(255, 4 * index + 3, 4 * index + 4));
    copy.putImageData(image, 0, 0);
    canvas.toBlob((blob) => {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(blob);
      link.download = 'drawing.png';
      link.click();
      window.setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    });
  }

  // ---- pictures

  function openPicture(file) {
    if (!file) return;
    endStroke();
    drawing.open(file);
    changed();
  }

  byId('file').addEventListener('change', () => {
    openPicture(byId('file').files[0]);
    // the same file may be chosen again
    byId('file').value = '';
  });

  document.addEventListener('paste', (event) => {
    const file = [...event.clipboardData.files][0];
    if (!file) return;
    event.preventDefault();
    openPicture(file);
  });

  const holdsFiles = (event) => [...event.dataTransfer.types].includes('Files');

  document.addEventListener('dragover', (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
    byId('sheet').classList.add('dropping');
  });

  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) byId('sheet').classList.remove('dropping');
  });

  document.addEventListener('drop', (event) => {
    byId('sheet').classList.remove('dropping');
    if (!holdsFiles(event)) return;
    event.preventDefault();
    openPicture(event.dataTransfer.files[0]);
  });

  // ---- start

  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    drawing.touch(drawing.everything());
    window.requestAnimationFrame(paint);
  });

  showTools();
  showThickness();
  answers.showNothing();

  // for the console of the browser, and for tests
  window.cnnPage = {drawing, answers, isAsking: () => isAsking, isPainting: () => isPainting};
})();
