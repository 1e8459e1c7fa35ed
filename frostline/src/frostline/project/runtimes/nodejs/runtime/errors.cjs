'use strict';
// What AWS calls the errors of a runtime, and how an error is put into JSON.

const { types } = require('util');

function named(name) {
  return { [name]: class extends Error {
    get name() { return `Runtime.${name}`; }
  } }[name];
}

class UnhandledPromiseRejection extends Error {
  constructor(reason, promise) {
    super(reason);
    this.reason = reason;
    this.promise = promise;
  }
  get name() { return 'Runtime.UnhandledPromiseRejection'; }
}

const looksLikeError = (value) =>
  types.isNativeError(value) || (value && [value.name, value.message, value.stack].every((text) => text && typeof text === 'string'));

// A DEL in a header or a trailer is not valid HTTP.
const clean = (text) => text?.replace(/\x7f/g, '%7F');

// The body of an error report. Never throws, whatever was thrown.
function toReport(error) {
  try {
    if (looksLikeError(error)) {
      return { errorType: clean(error.name), errorMessage: clean(error.message), trace: clean(error.stack).split('\n') };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage: 'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

const asError = (value) => (value instanceof Error ? value : new Error(value));

// An error in a log line: with its own properties, and its stack as an array.
function toLogText(error) {
  try {
    return '\t' + JSON.stringify(error, (_, value) => {
      if (!(value instanceof Error)) return value;
      const shown = { errorType: value.name, errorMessage: value.message, code: value.code, ...value };
      if (typeof value.stack === 'string') shown.stack = value.stack.split('\n');
      return shown;
    });
  } catch {
    return '\t' + JSON.stringify(toReport(error));
  }
}

module.exports = {
  CallbackHandlerDeprecated: named('CallbackHandlerDeprecated'),
  HandlerNotFound: named('HandlerNotFound'),
  ImportModuleError: named('ImportModuleError'),
  InvalidStreamingOperation: named('InvalidStreamingOperation'),
  MalformedHandlerName: named('MalformedHandlerName'),
  MalformedStreamingHandler: named('MalformedStreamingHandler'),
  NodejsExit: named('NodejsExit'),
  UnhandledPromiseRejection,
  UserCodeSyntaxError: named('UserCodeSyntaxError'),
  asError,
  toLogText,
  toReport,
};
