"use strict";
const { execFileSync } = require("node:child_process");

let calls = 0;

exports.echo = async (event, context) => ({ event, calls: ++calls, remaining: context.getRemainingTimeInMillis() });

exports.environment = async () => ({ ...process.env });

exports.context = async (event, context) => JSON.parse(JSON.stringify(context));

exports.callback = (event, context, callback) => {
  setTimeout(() => callback(null, { event, by: "callback" }), 5);
};

exports.nothing = async () => {};

exports.log = async () => {
  console.log("a %s with %d %j", "line", 3, { x: 1 });
  console.error(new Error("on purpose"));
  console.warn("warned");
  console.debug({ an: "object" });
  process.stdout.write("raw\n");
};

exports.fail = async () => {
  const error = new RangeError("some_error_msg");
  error.code = "E_CODE";
  throw error;
};

exports.failWithText = (event, context, callback) => callback("just text");

exports.reject = async () => {
  Promise.reject(new TypeError("nobody waits for this"));
  await new Promise((resolve) => setTimeout(resolve, 5000));
};

exports.uncaught = async () => {
  setTimeout(() => { throw new SyntaxError("thrown from a timer"); }, 1);
  await new Promise((resolve) => setTimeout(resolve, 5000));
};

exports.exit = async (event) => process.exit(event.status);

exports.large = async (event) => "a".repeat(event.bytes - 2);

exports.who = async () => execFileSync("whoami").toString().trim();
