'use strict';
// The life of a runtime after its init: wait for an invocation, call the handler, answer, and begin again.
//
// Three styles of handlers answer in different ways, as on AWS: with a promise (answered when it settles), with the callback (answered when the
// event loop is empty, unless `callbackWaitsForEmptyEventLoop` is false), with `context.succeed/fail/done` (answered at once). A handler that
// does none of it is answered with null when the event loop is empty.

const logs = require('./logs.cjs');
const { NodejsExit } = require('./errors.cjs');
const { CALLBACKS } = require('./loader.cjs');
const { highWaterMark, isStreaming, openStream } = require('./streaming.cjs');

class Runtime {
  constructor(client, logError, fatal) {
    this.client = client;
    this.logError = logError;
    this.fatal = fatal;
    this.requestId = undefined;
    this.whenEmpty = () => {};
  }

  // Called when the event loop has nothing left to do. A process waiting in /next has.
  onEmptyEventLoop() {
    const act = this.whenEmpty;
    this.whenEmpty = () => {};
    act();
  }

  run(handler) {
    this.handler = handler;
    this.invoke = isStreaming(handler) ? this.invokeStreaming : CALLBACKS ? this.invokeWithCallbacks : this.invokeDirectly;
    this.scheduleNext();
  }

  scheduleNext() {
    // In a turn of its own: whatever the handler scheduled for "right after" runs before the next invocation.
    setImmediate(() => this.once());
  }

  async once() {
    const { headers, body } = await this.client.next();
    this.requestId = headers['lambda-runtime-aws-request-id'];
    logs.setCurrent(this.requestId, headers['lambda-runtime-aws-tenant-id']);
    const trace = headers['lambda-runtime-trace-id'];
    if (trace) process.env._X_AMZN_TRACE_ID = trace;
    else delete process.env._X_AMZN_TRACE_ID;
    await this.invoke(headers, body);
  }

  async succeed(requestId, result) {
    let json;
    try {
      json = JSON.stringify(result === undefined ? null : result) ?? 'null';
    } catch {
      return this.fail(requestId, new Error('Unable to stringify response body'));
    }
    await this.client.response(requestId, json);
    this.scheduleNext();
  }

  async fail(requestId, error) {
    this.logError('Invoke Error', error);
    await this.client.invocationError(requestId, error);
    this.scheduleNext();
  }

  async invokeDirectly(headers, body) {
    const { requestId } = this;
    this.whenEmpty = () => {
      // The handler's promise can never settle: nothing is left that could do it.
      this.fatal(new NodejsExit('The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise '
        + 'that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes'));
    };
    let result;
    try {
      result = await this.handler(JSON.parse(body), contextFrom(headers, {}));
    } catch (error) {
      return this.fail(requestId, error ?? 'handled');
    }
    return this.succeed(requestId, result);
  }

  invokeWithCallbacks(headers, body) {
    const { requestId } = this;
    let waits = true;
    let answered = false;
    // The first answer counts; what comes later comes too late.
    const answer = (act) => {
      if (answered) return;
      answered = true;
      this.whenEmpty = () => {};
      act();
    };
    const done = (error, result) => answer(() => (error == null ? this.succeed(requestId, result) : this.fail(requestId, error)));
    const succeed = (result) => done(null, result);
    const fail = (error) => done(error ?? 'handled');
    const callback = (error, result) => {
      if (error != null || !waits) return done(error, result);
      answer(() => { this.whenEmpty = () => setImmediate(() => this.succeed(requestId, result)); });
    };
    const own = {
      get callbackWaitsForEmptyEventLoop() { return waits; },
      set callbackWaitsForEmptyEventLoop(value) { waits = value; },
      succeed,
      fail,
      done,
    };
    this.whenEmpty = () => succeed(null);
    try {
      const result = this.handler(JSON.parse(body), contextFrom(headers, own), callback);
      if (typeof result?.then === 'function') result.then(succeed, fail);
    } catch (error) {
      done(error ?? 'handled');
    }
  }

  async invokeStreaming(headers, body) {
    let waits = true;
    const own = CALLBACKS ? {
      get callbackWaitsForEmptyEventLoop() { return waits; },
      set callbackWaitsForEmptyEventLoop(value) { waits = value; },
    } : {};
    const next = () => {
      if (waits && CALLBACKS) this.whenEmpty = () => setImmediate(() => this.scheduleNext());
      else this.scheduleNext();
    };
    const opened = openStream(this.client, this.requestId, highWaterMark(this.handler));
    // On AWS a stream that is never ended keeps the process waiting, until the function's timeout: so does an open request.
    this.whenEmpty = () => opened.stream.begin();
    try {
      const result = this.handler(JSON.parse(body), opened.stream, contextFrom(headers, own));
      if (typeof result?.then !== 'function') throw 'Streaming does not support non-async handlers.';
      if (await result !== undefined) console.warn('Streaming handlers ignore return values.');
      if (!opened.stream.writableEnded) opened.stream.begin();
      await opened.answered;
    } catch (error) {
      this.logError('Invoke Error', error);
      await opened.fail(error);
    }
    next();
  }
}

function contextFrom(headers, own) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const json = (name, header) => {
    const text = headers[header];
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Error(`Cannot parse ${name} as json: ${error.toString()}`);
    }
  };
  // Assigned, not spread: a spread would turn the accessor into a value.
  return Object.assign(own, {
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: json('ClientContext', 'lambda-runtime-client-context'),
    identity: json('CognitoIdentity', 'lambda-runtime-cognito-identity'),
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  });
}

module.exports = { Runtime };
