// Do pools of connections give up one that has been idle for too long? Each pool keeps idle connections for 1 or for 8 units of time.
// One request on each, then `ready`; as soon as time has passed, another, and `reused NAME true|false`.
// grpc-js keeps a connection for longer than that; it pings it after 1 or 8 units, and its calls may take so long: `pinged NAME true|false`, `expired ...`.
// Arguments: where grpc-js is, and the unit in seconds.
const http = require('node:http');
const http2 = require('node:http2');
const grpc = require(process.argv[2]);

const unit = Number(process.argv[3]) * 1000;
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
// It answers one request of each channel, and no other.
function answerOnce(stream) {
  stream.on('error', () => {});
  if (stream.session.asked) return;
  stream.session.asked = true;
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
  stream.end(Buffer.alloc(5));
}

const listening = (server) => new Promise((resolve) => { server.listen(0, '127.0.0.1', () => resolve(server.address().port)); });

async function channel(units) {
  const said = { pinged: false, expired: false };
  const peer = http2.createServer().on('stream', answerOnce);
  peer.on('session', (session) => session.on('ping', () => { said.pinged = true; }));
  const options = { 'grpc.keepalive_time_ms': units * unit, 'grpc.keepalive_permit_without_calls': 1 };
  const client = new grpc.Client(`127.0.0.1:${await listening(peer)}`, grpc.credentials.createInsecure(), options);
  const bytes = (value) => value;
  const call = (deadline, done) => client.makeUnaryRequest('/any/Method', bytes, bytes, Buffer.alloc(0), { deadline }, done);
  await new Promise((resolve, reject) => { call(Date.now() + 20 * unit, (error) => (error ? reject(error) : resolve())); });
  call(Date.now() + units * unit, (error) => { said.expired = error.code === grpc.status.DEADLINE_EXCEEDED; });
  return said;
}

async function main() {
  const port = await listening(server);
  const before = {};
  for (const [name, get] of Object.entries(pools)) before[name] = await get(port);
  const channels = { 'grpc-js-1': await channel(1), 'grpc-js-8': await channel(8) };
  const asked = performance.now();
  const watch = setInterval(async () => {
    if (performance.now() - asked < 2.5 * unit) return;
    clearInterval(watch);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    for (const [name, get] of Object.entries(pools)) console.log(`reused ${name} ${(await get(port)) === before[name]}`);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
    for (const [name, said] of Object.entries(channels)) for (const [what, so] of Object.entries(said)) console.log(`${what} ${name} ${so}`);
    process.exit(0);
  }, 20);
  setTimeout(() => console.log('ready'), 60);
}

main();
