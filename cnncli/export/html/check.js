/* Runs images through the network of a page: node check.js PAGE IMAGE_BYTES < pixels > logits

Takes the network and the script that runs it from the page, as a browser does. Pixels are bytes, image by image.
Logits are float32. */
'use strict';

const fs = require('fs');
const vm = require('vm');

const [, , path, imageBytes] = process.argv;
const page = fs.readFileSync(path, 'utf-8');
const model = JSON.parse(page.match(/<script type="application\/json" id="model">([^<]*)<\/script>/)[1]);
const script = page.match(/<script>([^]*?)<\/script>/g).find((each) => each.includes('const cnnNetwork ='));
vm.runInThisContext(script.slice('<script>'.length, -'</script>'.length), {filename: 'network.js'});

const {build, classify} = vm.runInThisContext('cnnNetwork');
const pixels = fs.readFileSync(0);
const size = Number(imageBytes);
build(model).then((network) => {
  const logits = [];
  for (let start = 0; start < pixels.length; start += size) {
    const found = classify(network, pixels.subarray(start, start + size)).logits;
    logits.push(Buffer.from(found.buffer, found.byteOffset, found.byteLength));
  }
  fs.writeFileSync(1, Buffer.concat(logits));
});
