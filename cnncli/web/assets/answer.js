// Says what a network sees in a picture: prepares it, classifies what was found, and chooses between the ways to read
// it (training/predict.py, readings.py and lines.py).

'use strict';

const cnnAnswer = (() => {
  const {findDigits, takeWhole} = cnnPrepare;

  const MORE = 3; // the logarithm by which one digit must be less sure than two: 20 times
  const WHOLE = 0.5; // the same for parts that the width alone has cut, if the whole is surer
  const SURER = 0.1; // by this probability two strokes must be surer together than each alone
  const ONE = 0.6; // and have this probability at least
  const OVERLAPPING = 0.95; // is enough for strokes that overlap like those of a 4
  const ALL_SURER = 0.3; // by this probability all pieces of a picture must be surer as one digit
  const LEAST = 1e-6;
  const SURELY = Math.log(4); // for a network that knows what is no digit: the other reading must be surer by it

  const EDGE = 0.01; // what is nearer to the edge than this part of the longer side is at the edge
  const MANY = 3;
  const MOSTLY = 0.6; // if this share of at least MANY pieces belong to no class, none does
  const DOUBTFUL = 0.4; // with this part of the evidence that is asked for, its neighbors decide
  const UNSURE = 0.5; // below this probability an answer is unsure
  const WIDE = 1.2; // what is wider than its height by this factor may be two digits

  const MOST = 30; // digits that are read

  // Returns all that was read in a picture: {digits, warnings}, line by line. A digit has pixels, box, label (the index
  // of a class), probability, unknown, and found: what `cnnNetwork.classify` returns.
  //
  // network: from `cnnNetwork.build`. invert: 'yes', 'no' or 'auto'.
  function read(network, picture, invert) {
    const whole = network.preparation.form !== 'digits';
    const prepared = whole ? takeWhole(picture, network, invert) : findDigits(picture, invert);
    const {digits: few, alternatives, warnings} = prepared;
    const classify = (digit) => classified(network, digit);
    if (few.length > MOST) warnings.push(`only the first ${MOST} of ${few.length} digits are read on this page`);
    const readings = few.slice(0, MOST).map(classify);
    const others = alternatives
      .filter(({first, count}) => first + count <= readings.length)
      .map((other) => ({...other, parts: other.parts.map(classify)}));
    let digits = chooseReadings(readings, others, network.knowsNone);
    const cut = digits.some((digit) => digit.cut);
    if (!whole) digits = leaveOutAtEdge(digits, picture);
    digits = flagAllOrSome(digits);
    if (cut) warnings.push('digits that touch were cut apart; leave room between them');
    if (digits.length === 1) warnings.push(...doubtsAbout(digits[0], network, whole));
    return {digits, warnings};
  }

  function classified(network, digit) {
    const found = cnnNetwork.classify(network, digit.pixels);
    const label = found.probabilities.indexOf(Math.max(...found.probabilities));
    const {evidence} = found;
    return {
      ...digit, found, label, probability: found.probabilities[label],
      unknown: evidence < 1, doubtful: evidence < 1 && evidence >= DOUBTFUL,
    };
  }

  // Returns the digits, with those replaced of which another way to read their ink is better.
  function chooseReadings(digits, alternatives, knowsNone) {
    const rated = alternatives.map((other) => ({...other, gain: gainOf(digits, other, knowsNone)}));
    const replaced = new Map(); // by the first digit of what is replaced
    const taken = new Set();
    for (const other of rated.sort((a, b) => b.gain - a.gain)) {
      const span = Array.from({length: other.count}, (_, n) => other.first + n);
      if (!(other.gain > 0) || span.some((n) => taken.has(n))) continue;
      replaced.set(other.first, other.parts);
      span.forEach((n) => taken.add(n));
    }
    return digits.flatMap((digit, n) => replaced.get(n) ?? (taken.has(n) ? [] : [digit]));
  }

  // Returns how much better an alternative is; it is taken if this is above 0.
  function gainOf(digits, {first, count, parts, overlap}, knowsNone) {
    const least = (some) => Math.min(...some.map((digit) => digit.probability));
    const now = least(digits.slice(first, first + count));
    const then = least(parts);
    const surer = Math.log(Math.max(1 - now, LEAST)) - Math.log(Math.max(1 - then, LEAST));
    if (knowsNone && !digits[first].cut) return then > ONE ? surer - SURELY : 0;
    if (parts.length > count) return surer - MORE;
    if (digits[first].cut) return surer - WHOLE;
    if (count > 2) return then - now - ALL_SURER;
    if (overlap && then > OVERLAPPING) return Math.max(surer, SURER);
    return then > ONE ? then - now - SURER : 0;
  }

  // Returns the digits without what is unknown at the edge of a picture that has something known.
  function leaveOutAtEdge(digits, {height, width}) {
    if (digits.every((digit) => digit.unknown)) return digits;
    const near = EDGE * Math.max(height, width);
    return digits.filter(({unknown, box: [left, top, right, bottom]}) => {
      return !unknown || Math.min(left, top, width - right, height - bottom) > near;
    });
  }

  // If most of at least MANY are unknown, all are. If most are known, a doubtful one is known too.
  function flagAllOrSome(digits) {
    const strange = digits.filter((digit) => digit.unknown).length;
    if (digits.length < MANY) return digits;
    if (digits.length - strange >= MOSTLY * digits.length) {
      return digits.map((digit) => ({...digit, unknown: digit.unknown && !digit.doubtful}));
    }
    return strange >= MOSTLY * digits.length ? digits.map((digit) => ({...digit, unknown: true})) : digits;
  }

  function doubtsAbout({unknown, probability, found, box}, {classes}, whole) {
    const doubts = [];
    if (unknown) {
      doubts.push('this is like none of the classes');
    } else if (probability < UNSURE) {
      const likely = topOf(found.probabilities, 3).map(([k, p]) => `${classes[k]} ${Math.round(100 * p)} %`);
      doubts.push(`unsure what this is (${likely.join(', ')})`);
    }
    const [left, top, right, bottom] = box;
    if (!whole && !unknown && right - left > WIDE * (bottom - top)) doubts.push('this may be two digits that touch');
    return doubts;
  }

  // Returns the most probable classes with their probabilities, [[k, p], ...], the most probable first.
  function topOf(probabilities, count) {
    const order = Array.from(probabilities, (p, k) => [k, p]);
    return order.sort((one, other) => other[1] - one[1] || one[0] - other[0]).slice(0, count);
  }

  return {read, topOf};
})();
