// What lies where: the story's environments and connections as rows, each with its items in the order of time.

const SIZES = { marks: 20, names: 32, bar: 24, logs: 20, ladder: 62, more: 22, gap: 16 };
const COLOUR = {
  starting: "init", prepared: "idle", initializing: "init", idle: "idle", busy: "busy", freezing: "idle", frozen: "frozen", thawing: "idle",
  resetting: "ends", stopping: "ends",
};
const SEVERITY = { failure: "failed", risk: "risk", cost: "cost" };
const MARK_ROWS = 3; // of findings' numbers and names
const SHOWN = 6; // connections of an environment that are shown without being asked for

class Scene {
  constructor(story) {
    this.story = story;
    this.open = new Set(); // environments of which every connection is shown
    this.invocations = new Map(story.invocations.map((one) => [one.request_id, one]));
    const by = (list) => {
      const groups = new Map();
      for (const one of list) {
        if (!groups.has(one.environment)) groups.set(one.environment, []);
        groups.get(one.environment).push(one);
      }
      return groups;
    };
    const groups = { connections: by(story.connections), logs: by(story.logs), traces: by(story.traces), refused: by(story.refused), findings: by(story.findings) };
    const own = (name, id) => groups[name].get(id) || [];
    this.environments = story.environments.map((life) => ({
      life,
      connections: own("connections", life.id),
      findings: own("findings", life.id),
      items: this.laneItems(life),
      // The thing itself last: of two at one place the later is found first.
      marks: [
        ...own("logs", life.id).map((data) => item("log", data, data.at)),
        ...own("traces", life.id).map((data) => item("trace", data, data.at)),
        ...own("refused", life.id).map((data) => item("refused", data, data.at)),
      ].sort((a, b) => a.begin - b.begin),
    }));
    this.ladders = new Map(story.connections.map((one) => [one.number, ladderItems(one)]));
    this.layout();
  }

  laneItems(life) {
    const freezes = new Map(life.freezes.map((freeze) => [freeze.begin, freeze]));
    return life.phases.map((phase) => {
      const invocation = phase.state === "busy" && this.invocations.get(phase.request_id);
      if (invocation) return item("invocation", invocation, phase.begin, phase.end, invocation.outcome === "failed" ? "failed" : "busy");
      const freeze = phase.state === "frozen" && freezes.get(phase.begin);
      return item(freeze ? "freeze" : "phase", freeze || phase, phase.begin, phase.end, COLOUR[phase.state] || "idle");
    });
  }

  // Rows from top to bottom. A lane's items are what the keyboard walks through.
  layout() {
    this.rows = [];
    let top = 8;
    const add = (row, height) => { this.rows.push({ ...row, top, height }); top += height; };
    for (const environment of this.environments) {
      const { connections, findings, life } = environment;
      const all = this.open.has(life.id) || connections.length <= SHOWN;
      const chosen = all ? connections : connections.filter((one) => one.concern > 0).slice(0, SHOWN);
      const marks = SIZES.marks * Math.min(findings.length, MARK_ROWS);
      const group = this.rows.length;
      add({ type: "lane", environment, bar: marks + SIZES.names, items: environment.items }, marks + SIZES.names + SIZES.bar + SIZES.logs);
      for (const connection of chosen) add({ type: "ladder", environment, connection, items: this.ladders.get(connection.number) }, SIZES.ladder);
      if (chosen.length < connections.length || this.open.has(life.id)) {
        const hidden = connections.length - chosen.length;
        const text = hidden ? `${plural(hidden, chosen.length ? "more connection" : "connection")}: show` : "show fewer connections";
        add({ type: "more", environment, text, items: [] }, SIZES.more);
      }
      this.rows[group].groupEnd = top;
      top += SIZES.gap;
    }
    this.height = top;
  }

  // Every item's places on an axis, once for all frames.
  measure(axis) {
    const set = (one) => { one.p0 = axis.place(one.begin); one.p1 = one.end === one.begin ? one.p0 : axis.place(one.end); };
    for (const environment of this.environments) {
      environment.items.forEach(set);
      environment.marks.forEach(set);
      for (const connection of environment.connections) {
        connection.p0 = axis.place(connection.opened);
        const until = (at) => axis.place(Math.min(at ?? Infinity, environment.life.ended));
        connection.near = until(connection.near_end);
        connection.far = until(connection.far_end);
      }
    }
    for (const items of this.ladders.values()) items.forEach(set);
    for (const finding of this.story.findings) finding.place = axis.place(finding.at);
  }

  rowAt(y) { return this.rows.find((row) => y >= row.top && y < row.top + row.height); }

  rowOf(kind, data) {
    if (kind === "connection") return this.rows.find((row) => row.type === "ladder" && row.connection.number === data.number);
    return this.rows.find((row) => row.type === "lane" && row.environment.life.id === data.environment);
  }
}

function item(kind, data, begin, end = begin, colour = "") {
  return { kind, data, begin, end, colour, p0: 0, p1: 0 };
}

function ladderItems(connection) {
  return [
    item("connection", connection, connection.opened),
    ...connection.traffic.map((burst) => item("burst", burst, burst.begin, burst.end)),
    ...connection.closed.map((close) => item("close", close, close.at)),
    ...connection.first_writes.map((first) => item("first_write", first, first.at)),
    ...(connection.lost ? [item("lost", connection.lost, connection.lost.at)] : []),
    ...(connection.expired ? [item("expired", connection.expired, connection.expired.at)] : []),
  ].sort((a, b) => a.begin - b.begin);
}
