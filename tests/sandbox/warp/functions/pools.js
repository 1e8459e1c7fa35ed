// Do pools of connections give up one that has been idle for too long? Each pool keeps idle connections for 1 or for 8 units of time.
// One request on each, then `ready`; as soon as time has passed, another, and `reused NAME true|false`.
const http = require('node:http');

const unit = Number(process.argv[2]) * 1000;
const dispatcher = globalThis[Symbol.for('undici.globalDispatcher.1')] ?? (fetch('data:,'), globalThis[Symbol.for('undici.globalDispatcher.1')]);
const Undici = dispatcher.constructor;
const pools = {};
for (const units of [1, 8]) {
  const agent = new http.Agent({ keepAlive: true, timeout: units * unit });
  pools[`http.Agent-${units}`] = (port) =>
    new Promise((resolve, reject) => {
      http.get({ port, agent, host: '127.0.0.1' }, (answer) => answer.resume().on('end', () => resolve(answer.headers.connection_number))).on('error', reject);
    });
  const undici = new Undici({ keepAliveTimeout: units * unit, keepAliveMaxTimeout: 20 * unit });
  pools[`undici-${units}`] = async (port) => {
    const answer = await fetch(`http://127.0.0.1:${port}`, { dispatcher: undici });
    await answer.text();
    return answer.headers.get('connection_number');
  };
}

let connections = 0;
const server = http.createServer((request, answer) => {
  answer.setHeader('connection_number', request.socket.number);
  answer.end('ok');
});
server.keepAliveTimeout = 0;
server.on('connection', (socket) => { socket.number = connections += 1; });
server.listen(0, '127.0.0.1', async () => {
  const { port } = server.address();
  const before = {};
  for (const [name, get] of Object.entries(pools)) before[name] = await get(port);
  let last = performance.now();
  const watch = setInterval(async () => {
    const now = performance.now();
    if (now - last > unit / 2) {
      clearInterval(watch);
      await new Promise((resolve) => { setTimeout(resolve, 20); });
      for (const [name, get] of Object.entries(pools)) console.log(`reused ${name} ${(await get(port)) === before[name]}`);
      console.log('done');
      process.exit(0);
    }
    last = now;
  }, 20);
  setTimeout(() => console.log('ready'), 60);
});
