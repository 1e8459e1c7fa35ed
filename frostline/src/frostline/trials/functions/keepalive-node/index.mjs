// Looks into a cache over gRPC. Which version of grpc-js it uses is in GRPC_JS, and whether its client sends keep-alive pings in KEEPALIVE.
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const grpc = require(process.env.GRPC_JS);
const { loadSync } = require('@grpc/proto-loader');

const keepalive = {
  // A PING whenever nothing was received for 5 seconds, also while no request is under way; without an answer within a second the connection is dropped.
  on: { 'grpc.keepalive_time_ms': 5000, 'grpc.keepalive_timeout_ms': 1000, 'grpc.keepalive_permit_without_calls': 1 },
  // grpc-js sends none unless it is told to.
  off: {},
};

const { Cache } = grpc.loadPackageDefinition(loadSync(fileURLToPath(new URL('cache.proto', import.meta.url)))).frostline.cache.v1;
const cache = new Cache(process.env.CACHE, grpc.credentials.createInsecure(), keepalive[process.env.KEEPALIVE]);

const get = (key) => new Promise((resolve, reject) => {
  cache.get({ key }, { deadline: Date.now() + 1000 }, (error, answer) => (error ? reject(error) : resolve(answer)));
});

// A black hole is noticed when the first request after it succeeds, over a new connection. After `seconds` nobody waits any longer: then it is null.
async function noticed(key, seconds) {
  const began = Date.now();
  for (;;) {
    try {
      await get(key);
      return { noticed_s: (Date.now() - began) / 1000 };
    } catch (error) {
      if (Date.now() - began >= seconds * 1000) return { noticed_s: null, last: error.message };
    }
  }
}

export async function handler(event) {
  if (event.warmer) return 'warm'; // a scheduled call that keeps an environment from being reclaimed; there is nothing to do
  if (event.watch_s) return noticed('greeting', event.watch_s);
  const { found } = await get('greeting');
  return found ? 'hit' : 'miss';
}
