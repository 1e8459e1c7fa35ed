// Do pools of connections give up one that has been idle for too long? Each pool keeps idle connections for 1 or for 8 units of time.
// One request on each, then `ready`; as soon as time has passed, another, and `reused NAME true|false`.
// Arguments: where grpc-js is, and the unit in seconds.
const http = require('node:http');
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

// A channel that is given up when no call was made for a while: its connection is the client's port in the server's view.
const bytes = (value) => value;
const method = { path: '/any/Method', requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes };
const grpcServer = new grpc.Server();
grpcServer.addService({ method }, { method: (call, answer) => answer(null, Buffer.from(call.getPeer())) });
const grpcPort = new Promise((resolve, reject) => {
  grpcServer.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
});
for (const units of [1, 8]) {
  const options = { 'grpc.client_idle_timeout_ms': units * unit, 'grpc.use_local_subchannel_pool': 1 };
  let client;
  pools[`grpc-js-${units}`] = async () => {
    client ??= new grpc.Client(`127.0.0.1:${await grpcPort}`, grpc.credentials.createInsecure(), options);
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(method.path, bytes, bytes, Buffer.alloc(0), (error, peer) => (error ? reject(error) : resolve(peer.toString())));
    });
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
