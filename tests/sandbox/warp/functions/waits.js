// Each way to wait that Node has, for 1, 2 and 8 units of time, in milliseconds. Prints `fired NAME UNITS AFTER`, and `ready` when all of them wait.
const { Worker } = require('node:worker_threads');

const unit = Number(process.argv[2]) * 1000;
const start = performance.now();
const wall = Date.now();
const fired = (name, units) =>
  console.log(`fired ${name} ${units} ${((performance.now() - start) / unit).toFixed(4)} ${((Date.now() - wall) / unit).toFixed(4)}`);

const inWorker = `
const { workerData: { name, units, unit }, parentPort } = require('node:worker_threads');
const say = () => parentPort.postMessage([name, units]);
parentPort.postMessage('waiting');
if (name === 'Atomics.wait') { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, units * unit); say(); } else setTimeout(say, units * unit);
`;

let waiting = 0;
function worker(name, units) {
  waiting += 1;
  new Worker(inWorker, { eval: true, workerData: { name, units, unit } }).on('message', (said) => {
    if (said !== 'waiting') fired(...said);
    else if (--waiting === 0) setTimeout(() => console.log('ready'), 100);
  });
}

let ticks = 0;
setInterval(() => fired('setInterval', `tick${(ticks += 1)}`), unit);
for (const units of [8, 2, 1]) {
  setTimeout(() => fired('setTimeout', units), units * unit);
  require('node:timers/promises').setTimeout(units * unit).then(() => fired('promise', units));
  AbortSignal.timeout(units * unit).onabort = () => fired('AbortSignal', units);
}
for (const units of [1, 8]) {
  worker('setTimeout-in-worker', units);
  worker('Atomics.wait', units);
}
