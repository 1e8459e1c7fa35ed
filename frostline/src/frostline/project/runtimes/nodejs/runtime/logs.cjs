'use strict';
// The console as functions see it on AWS: each call one log line, with the time, the request id and the level.

const fs = require('fs');
const { format } = require('util');
const { asError, toLogText } = require('./errors.cjs');

// Where AWS's own client keeps them, and where log libraries look for them.
const REQUEST_ID = Symbol.for('aws.lambda.runtime.requestId');
const TENANT_ID = Symbol.for('aws.lambda.runtime.tenantId');

// Priority, and the bits that mark the level in a framed message.
const LEVELS = { TRACE: [1, 0x04], DEBUG: [2, 0x08], INFO: [3, 0x0c], WARN: [4, 0x10], ERROR: [5, 0x14], FATAL: [6, 0x18] };
const METHODS = { trace: 'TRACE', debug: 'DEBUG', info: 'INFO', log: 'INFO', warn: 'WARN', error: 'ERROR', fatal: 'FATAL' };

const FRAME_TEXT = 0xa55a0003;
const FRAME_JSON = 0xa55a0002;

function setCurrent(requestId, tenantId) {
  globalThis[REQUEST_ID] = requestId;
  globalThis[TENANT_ID] = tenantId;
}

const textLine = (date, level, params) => `${date.toISOString()}\t${globalThis[REQUEST_ID]}\t${level}\t${format(...params)}`;

const described = (error) => ({
  errorType: error?.constructor?.name ?? 'UnknownError',
  errorMessage: error.message,
  stackTrace: typeof error.stack === 'string' ? error.stack.split('\n') : [],
});

function jsonLine(date, level, params) {
  const line = { timestamp: date.toISOString(), level, requestId: globalThis[REQUEST_ID] };
  if (globalThis[TENANT_ID] != null) line.tenantId = globalThis[TENANT_ID];
  if (params.length === 1) {
    line.message = params[0];
    try {
      return JSON.stringify(line, (_, value) => (value instanceof Error ? { ...described(value), ...value } : value));
    } catch {
      return JSON.stringify({ ...line, message: format(params[0]) });
    }
  }
  line.message = format(...params);
  const error = params.find((param) => param instanceof Error);
  return JSON.stringify(error ? { ...line, ...described(error) } : line);
}

// A message for the platform's own pipe: 4 bytes type, 4 bytes length, 8 bytes microseconds, text. Newlines survive in it.
function framed(fd, type, makeLine) {
  return (level, params) => {
    const date = new Date();
    const text = Buffer.from(makeLine(date, level, params) + '\n');
    const frame = Buffer.alloc(16 + text.length);
    frame.writeUInt32BE((type | LEVELS[level][1]) >>> 0, 0);
    frame.writeUInt32BE(text.length, 4);
    frame.writeBigInt64BE(BigInt(date.getTime()) * 1000n, 8);
    text.copy(frame, 16);
    for (let at = 0; at < frame.length;) at += fs.writeSync(fd, frame, at);
  };
}

// On stdout a newline ends a log line, so newlines inside of a message become carriage returns.
const printed = (makeLine) => (level, params) => {
  process.stdout.write(makeLine(new Date(), level, params).replace(/\n/g, '\r') + '\n');
};

// Replaces the console's methods; returns a function that logs an error of the runtime's.
function patchConsole() {
  const json = process.env.AWS_LAMBDA_LOG_FORMAT?.toUpperCase() === 'JSON';
  const makeLine = json ? jsonLine : textLine;
  const fd = process.env._LAMBDA_TELEMETRY_LOG_FD;
  delete process.env._LAMBDA_TELEMETRY_LOG_FD;
  const write = fd === undefined ? printed(makeLine) : framed(Number(fd), json ? FRAME_JSON : FRAME_TEXT, makeLine);
  const lowest = (LEVELS[process.env.AWS_LAMBDA_LOG_LEVEL?.toUpperCase()] ?? LEVELS.TRACE)[0];
  for (const [method, level] of Object.entries(METHODS)) {
    console[method] = LEVELS[level][0] >= lowest ? (...params) => write(level, params) : () => {};
  }
  return json ? (_, error) => console.error(asError(error)) : (title, error) => console.error(title, toLogText(asError(error)));
}

module.exports = { patchConsole, setCurrent };
