'use strict';
// The Runtime API's client: HTTP/1.1 on one kept connection, written on `net`.
//
// Node's own `http` would do, and costs several times as much for each invocation. Here a request is one write, and the write happens at once:
// a function that calls `process.exit` right after its callback has still answered, as on AWS.

const net = require('net');
const { toReport } = require('./errors.cjs');

const BASE = '/2018-06-01/runtime';
const HEAD_END = Buffer.from('\r\n\r\n');

class Connection {
  constructor(host, port) {
    this.host = `${host}:${port}`;
    this.busy = false;
    this.closed = false;
    this.received = [];
    this.length = 0;
    this.head = null;
    this.socket = net.connect({ host, port, noDelay: true });
    this.socket.on('data', (data) => this.onData(data));
    this.socket.on('error', (error) => this.onClose(error));
    this.socket.on('close', () => this.onClose(new Error('The Runtime API closed the connection.')));
  }

  request(method, path, headers, body) {
    this.busy = true;
    this.socket.ref();
    let head = `${method} ${BASE}${path} HTTP/1.1\r\nHost: ${this.host}\r\n`;
    for (const name in headers) head += `${name}: ${headers[name]}\r\n`;
    if (body !== undefined) head += `Content-Length: ${Buffer.byteLength(body)}\r\n`;
    return new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
      this.socket.write(head + '\r\n' + (body ?? ''));
    });
  }

  onClose(error) {
    this.closed = true;
    if (!this.busy) return;
    this.busy = false;
    this.reject(error);
  }

  onData(data) {
    this.received.push(data);
    this.length += data.length;
    if (this.head === null && !this.readHead()) return;
    const body = this.readBody();
    if (body === undefined) return;
    const answer = { status: this.head.status, headers: this.head.headers, body };
    this.head = null;
    this.busy = false;
    // An idle connection must not keep the process alive: an empty event loop means something to functions (see invocations.cjs).
    this.socket.unref();
    this.resolve(answer);
  }

  take() {
    const all = this.received.length === 1 ? this.received[0] : Buffer.concat(this.received, this.length);
    this.received = [all];
    return all;
  }

  keep(rest) {
    this.received = rest.length ? [rest] : [];
    this.length = rest.length;
  }

  readHead() {
    const all = this.take();
    const end = all.indexOf(HEAD_END);
    if (end < 0) return false;
    const lines = all.toString('utf8', 0, end).split('\r\n');
    const headers = {};
    for (let i = 1; i < lines.length; i++) {
      const colon = lines[i].indexOf(':');
      headers[lines[i].slice(0, colon).toLowerCase()] = lines[i].slice(colon + 1).trim();
    }
    this.head = {
      status: Number(lines[0].split(' ', 2)[1]),
      headers,
      length: Number(headers['content-length'] ?? 0),
      chunked: /chunked/i.test(headers['transfer-encoding'] ?? ''),
    };
    this.keep(all.subarray(end + HEAD_END.length));
    return true;
  }

  // The body, once it is complete.
  readBody() {
    if (this.head.chunked) return this.readChunks();
    if (this.length < this.head.length) return undefined;
    if (this.head.length === 0) return Buffer.alloc(0);
    const all = this.take();
    this.keep(all.subarray(this.head.length));
    return all.subarray(0, this.head.length);
  }

  readChunks() {
    const all = this.take();
    const chunks = [];
    let at = 0;
    for (;;) {
      const lineEnd = all.indexOf('\r\n', at);
      if (lineEnd < 0) return undefined;
      const size = parseInt(all.toString('latin1', at, lineEnd), 16);
      const end = lineEnd + 2 + size;
      if (!(end + 2 <= all.length)) return undefined;
      if (size === 0) {
        this.keep(all.subarray(end + 2));
        return Buffer.concat(chunks);
      }
      chunks.push(all.subarray(lineEnd + 2, end));
      at = end + 2;
    }
  }
}

class Client {
  constructor(address) {
    const colon = address.lastIndexOf(':');
    this.host = address.slice(0, colon);
    this.port = Number(address.slice(colon + 1));
    this.connection = null;
  }

  // One connection is enough for the protocol; only an error that is reported while another request waits needs a second one.
  request(method, path, headers, body) {
    if (this.connection?.busy && !this.connection.closed) {
      return new Connection(this.host, this.port).request(method, path, headers, body);
    }
    if (this.connection === null || this.connection.closed) this.connection = new Connection(this.host, this.port);
    return this.connection.request(method, path, headers, body);
  }

  // Waits as long as it takes: the process may be frozen for hours in here.
  async next() {
    const { status, headers, body } = await this.request('GET', '/invocation/next', {});
    if (status !== 200) throw new Error(`The Runtime API answered ${status} to /next: ${body}`);
    return { headers, body };
  }

  response(requestId, json) {
    return this.request('POST', `/invocation/${encodeURIComponent(requestId)}/response`, { 'Content-Type': 'application/json' }, json);
  }

  invocationError(requestId, error) {
    return this.report(`/invocation/${encodeURIComponent(requestId)}/error`, error);
  }

  initError(error) {
    return this.report('/init/error', error);
  }

  report(path, error) {
    const report = toReport(error);
    // Text that is not valid in a header goes without saying in the body.
    const type = String(report.errorType).replace(/[^\x20-\x7e]/g, '?');
    const headers = { 'Content-Type': 'application/json', 'Lambda-Runtime-Function-Error-Type': type };
    return this.request('POST', path, headers, JSON.stringify(report));
  }
}

module.exports = { BASE, Client };
