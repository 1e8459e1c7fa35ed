'use strict';
// Starts a Node.js function: `node /var/runtime/index.cjs [gate]` inside an execution environment.
//
// With `gate` everything of the runtime is loaded, and then one byte is awaited at file descriptor 3. Nothing of the function is read before that.
// Behaviour follows AWS's own client (npm `aws-lambda-ric`); the code does not.

const fs = require('fs');
const { Client } = require('./client.cjs');
const { UnhandledPromiseRejection } = require('./errors.cjs');
const { Runtime } = require('./invocations.cjs');
const { loadHandler } = require('./loader.cjs');
const logs = require('./logs.cjs');

// AWS: exit statuses of a process whose function failed outside of its handler.
const EXIT_UNHANDLED_REJECTION = 128;
const EXIT_UNCAUGHT_EXCEPTION = 129;
const EXIT_UNSETTLED = 13; // Node's own status for a promise that can never settle

function waitAtGate() {
  const opened = fs.readSync(3, Buffer.alloc(1), 0, 1, null);
  fs.closeSync(3);
  if (opened === 0) process.exit(0); // whoever held the gate is gone
}

function start() {
  const logError = logs.patchConsole();
  const client = new Client(process.env.AWS_LAMBDA_RUNTIME_API);
  const runtime = new Runtime(client, logError, (error) => fail('Fatal Error', error, EXIT_UNSETTLED));

  // During init an error belongs to the init; afterwards to the invocation that is running, or ran last.
  const fail = (title, error, status) => {
    logError(title, error);
    const told = runtime.requestId === undefined ? client.initError(error) : client.invocationError(runtime.requestId, error);
    told.catch(() => {}).finally(() => process.exit(status));
  };
  process.on('uncaughtException', (error) => fail('Uncaught Exception', error, EXIT_UNCAUGHT_EXCEPTION));
  process.on('unhandledRejection', (reason, promise) =>
    fail('Unhandled Promise Rejection', new UnhandledPromiseRejection(reason, promise), EXIT_UNHANDLED_REJECTION));
  process.on('beforeExit', () => runtime.onEmptyEventLoop());

  loadHandler(process.env.LAMBDA_TASK_ROOT, process.env._HANDLER)
    .then((handler) => runtime.run(handler))
    .catch((error) => fail('Uncaught Exception', error, EXIT_UNCAUGHT_EXCEPTION));
}

const gated = process.argv[2] === 'gate';
process.argv.splice(2);
if (gated) waitAtGate();
start();
