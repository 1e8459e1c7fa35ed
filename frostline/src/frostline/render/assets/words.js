// Words and numbers as render/words.py writes them, and what is said of each thing in the picture.

function duration(seconds) {
  if (seconds < 0.9995e-3) return `${(seconds * 1e3).toFixed(1)} ms`;
  if (seconds < 0.00995) return `${(seconds * 1e3).toFixed(1).replace(".0", "")} ms`;
  if (seconds < 0.9995) return `${Math.round(seconds * 1e3)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(2).replace(/0$/, "")} s`;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (count) => String(count).padStart(2, "0");
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${two(whole % 60)} s` : `${Math.floor(whole / 3600)} h ${two(Math.floor(whole / 60) % 60)} min`;
}

function size(count) {
  if (count < 1000) return `${count} B`;
  const [unit, factor] = count < 999.5e3 ? ["KB", 1e3] : count < 999.5e6 ? ["MB", 1e6] : ["GB", 1e9];
  return `${(count / factor).toFixed(count < factor * 9.95 ? 1 : 0)} ${unit}`;
}

const short = (id) => (id || "").slice(0, 8);
const plural = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

// One line of text without characters that would draw something else than themselves.
const visible = (text) => text.replace(/[\u0000-\u001f\u007f]/g, (c) => String.fromCharCode(c === "\u007f" ? 0x2421 : 0x2400 + c.charCodeAt(0)))
  .replace(/[\u0080-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");

// Without its middle: an error's cause is at its end, its kind at its beginning.
function endsKept(text, most) {
  const begin = Math.floor(most / 3);
  return text.length <= most ? text : `${text.slice(0, begin)}…${text.slice(text.length - (most - begin - 1))}`;
}

// What a thing is: a title, and pairs of a name and what it is. `since` writes a moment.
const describe = {
  invocation(one, since) {
    const took = one.finished === null ? "unfinished" : duration(one.finished - (one.started ?? one.arrived));
    const error = [one.error_type, one.error_message].filter(Boolean).join(": ");
    return [`request ${one.number} ${one.outcome}`, [
      ["request id", one.request_id], ["took", took], ["began", since(one.started ?? one.arrived)], ["error", error],
      ["environment", one.environment], ["function", one.function],
    ]];
  },
  phase(one, since) {
    const name = { frozen: "frozen", initializing: "init", starting: "environment is built", stopping: "shutdown" }[one.state] || one.state;
    return [`${name} ${duration(one.end - one.begin)}`, [["from", since(one.begin)], ["until", since(one.end)]]];
  },
  freeze(one, since) {
    return [`frozen ${duration(one.end - one.begin)}`, [
      ["from", since(one.begin)], ["until", one.thawed ? since(one.end) : `${since(one.end)}, never thawed`],
      ["after request", one.before], ["thawed for", one.after],
      ["network", one.network ? `${plural(one.network.connections, "connection")}; ${one.network.lost} lost, ${one.network.black_holed} black-holed, ${one.network.waiting} had data waiting` : "not frozen, or not recorded"],
    ]];
  },
  connection(one, since) {
    return [`connection ${one.number} to ${one.name}`, [
      ["became", one.became], ["opened", `${since(one.opened)}${one.opened_in ? ` in ${one.opened_in}` : ""}`],
      ["bytes", `${size(one.sent)} sent, ${size(one.received)} received`],
      ["fate", one.fate], ["address", `${one.address}:${one.port} from port ${one.local_port}`], ["path", one.middlebox],
    ]];
  },
  burst(one, since) {
    const what = { ping: "PING", ping_ack: "PONG", data: "data" }[one.kind];
    const title = one.while_frozen ? `${what} waited ${duration(one.end - one.begin)}` : what;
    return [title, [
      ["sent", one.sent ? size(one.sent) : ""], ["received", one.received ? size(one.received) : ""],
      [one.while_frozen ? "came" : "from", since(one.begin)], [one.while_frozen ? "delivered" : "until", since(one.end)], ["in request", one.request_id],
    ]];
  },
  close(one, since) {
    const reached = { at_once: "at once", after_thaw: "after the thaw", never: "never" }[one.reached];
    return [`${one.how.toUpperCase()} from the ${one.by}`, [["at", since(one.at)], ["while frozen", one.frozen ? "yes" : ""], ["other side told", reached]]];
  },
  first_write(one, since) {
    const answer = { rst: "RST", fin: "FIN", nothing: "nothing", data: "data" }[one.answer];
    return [`first write after the thaw: ${answer}`, [
      ["at", since(one.at)], ["taken by nobody", one.sent ? size(one.sent) : ""], ["answered after", one.after_s === null ? "" : duration(one.after_s)],
      ["idle before", one.idle_s === null ? "" : duration(one.idle_s)], ["in request", one.request_id],
    ]];
  },
  lost(one, since) {
    const title = one.fate === "blackhole" ? "black hole from here on" : "lost in the freeze";
    return [title, [["at", since(one.at)], ["ended by", one.by], ["ended", one.ended_at === null ? "" : since(one.ended_at)]]];
  },
  expired(one, since) {
    return [`${one.middlebox} forgot the connection`, [["at", since(one.at)], ["idle for", duration(one.idle_s)], ["then", one.then]]];
  },
  log(one, since) {
    return [one.type === "function" ? "log line" : one.type, [["text", one.text], ["at", since(one.at)], ["request", one.request_id]]];
  },
  trace(one, since) {
    return [`${one.library}: ${one.what.replaceAll("_", " ")}`, [["text", one.text], ["subject", one.subject], ["at", since(one.at)], ["request", one.request_id]]];
  },
  refused(one, since) {
    return [`connection to ${one.name} refused`, [["reason", one.reason], ["at", since(one.at)], ["in request", one.request_id]]];
  },
};
