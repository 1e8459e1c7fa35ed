'use strict';
// Response streaming: `awslambda.streamifyResponse(handler)` and `awslambda.HttpResponseStream.from(stream, prelude)`.
//
// A response stream is an ordinary Writable in front of a chunked request to the Runtime API; an error after the first byte travels in trailers.

const { Writable } = require('stream');
const { BASE } = require('./client.cjs');
const { InvalidStreamingOperation, MalformedStreamingHandler, toReport } = require('./errors.cjs');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const HTTP_INTEGRATION = 'application/vnd.awslambda.http-integration-response';
const ERROR_TYPE = 'Lambda-Runtime-Function-Error-Type';
const ERROR_BODY = 'Lambda-Runtime-Function-Error-Body';

let agent;

function streamifyResponse(handler, options) {
  handler[STREAMING] = 'response';
  if (typeof options?.highWaterMark === 'number') handler[HIGH_WATER_MARK] = Math.trunc(options.highWaterMark);
  return handler;
}

function isStreaming(handler) {
  const style = handler[STREAMING];
  if (style == null || style === false) return false;
  if (style !== 'response') throw new MalformedStreamingHandler('Only response streaming is supported.');
  return true;
}

const highWaterMark = (handler) => (Number.isNaN(parseInt(handler[HIGH_WATER_MARK])) ? undefined : parseInt(handler[HIGH_WATER_MARK]));

const HttpResponseStream = class {
  static from(stream, prelude) {
    stream.setContentType(HTTP_INTEGRATION);
    // The prelude goes out with the body's first byte, so that a handler that fails before can still fail properly.
    stream._onBeforeFirstWrite = (write) => {
      write(JSON.stringify(prelude));
      write(new Uint8Array(8));
    };
    return stream;
  }
};

class ResponseStream extends Writable {
  constructor(client, requestId, mark) {
    super(mark === undefined ? {} : { highWaterMark: mark });
    this.address = { host: client.host, port: client.port };
    this.path = `${BASE}/invocation/${encodeURIComponent(requestId)}/response`;
    this.contentType = 'application/octet-stream';
    this.request = null;
    this.error = null;
    this.answered = new Promise((resolve, reject) => {
      this.resolveAnswered = resolve;
      this.rejectAnswered = reject;
    });
    // Whoever waits for the answer hears of a failure; a stream that nobody listens to must not end the process.
    this.answered.catch(() => {});
    this.on('error', this.rejectAnswered);
  }

  setContentType(contentType) {
    if (this.request) throw new InvalidStreamingOperation('Cannot set content-type, too late.');
    this.contentType = contentType;
  }

  write(chunk, ...rest) {
    const bytes = typeof chunk === 'string' || Buffer.isBuffer(chunk) || chunk instanceof Uint8Array;
    return super.write(bytes ? chunk : JSON.stringify(chunk), ...rest);
  }

  begin(beforeFirstWrite) {
    if (this.request) return;
    const http = require('http'); // only functions that stream pay for it
    agent ??= new http.Agent({ keepAlive: true, maxSockets: 1 });
    this.request = http.request({
      ...this.address,
      path: this.path,
      method: 'POST',
      agent,
      headers: {
        'Content-Type': this.contentType,
        'Lambda-Runtime-Function-Response-Mode': 'streaming',
        'Transfer-Encoding': 'chunked',
        Trailer: `${ERROR_TYPE}, ${ERROR_BODY}`,
      },
    });
    this.request.on('response', (response) => response.on('end', this.resolveAnswered).resume());
    this.request.on('error', (error) => this.destroy(error));
    if (beforeFirstWrite) beforeFirstWrite((chunk) => this.request.write(chunk));
    else this.request.flushHeaders();
  }

  _write(chunk, encoding, done) {
    this.begin(this._onBeforeFirstWrite);
    if (this.request.write(chunk)) done();
    else this.request.once('drain', done);
  }

  _final(done) {
    this.begin(this.error ? undefined : this._onBeforeFirstWrite);
    if (this.error) {
      const report = toReport(this.error);
      this.request.addTrailers({
        [ERROR_TYPE]: String(report.errorType).replace(/[^\x20-\x7e]/g, '?'),
        [ERROR_BODY]: Buffer.from(JSON.stringify(report)).toString('base64'),
      });
    }
    this.request.end();
    this.answered.then(() => done(), done);
  }

  _destroy(error, done) {
    if (error) this.request?.destroy();
    done(error);
  }
}

// A stream for one invocation's response; `answered` settles when the Runtime API has taken all of it.
function openStream(client, requestId, mark) {
  const stream = new ResponseStream(client, requestId, mark);
  return {
    stream,
    answered: stream.answered,
    async fail(error) {
      if (stream.writableEnded || stream.destroyed) return;
      stream.error = error;
      stream.end();
      await stream.answered.catch(() => {});
    },
  };
}

module.exports = { HttpResponseStream, highWaterMark, isStreaming, openStream, streamifyResponse };
