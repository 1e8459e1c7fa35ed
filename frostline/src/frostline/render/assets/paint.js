// Draws a scene on a canvas: only what can be seen, and of what lies in one pixel only the first.

const GUTTER = 190;
const MARGIN = 18;
const HEADER = 30;
const NEAR = 12;
const MIDDLE = 28;
const FAR = 44;

const TOLD = { ping_timed_out: "ping timed out", failing: "failing", disconnected: "disconnected", resolution_delayed: "name resolution held back" };

// A row of labels that do not run into each other.
class Room {
  constructor(low, high) { this.low = low; this.high = high; this.taken = []; }

  // The left end for words about a centre, moved into the picture, and aside where others are in the way; null where that is not enough.
  place(centre, width, gap = 8, aside = true) {
    for (const part of aside ? [0, 0.17, -0.17, 0.33, -0.33, 0.5, -0.5] : [0]) {
      const left = Math.min(Math.max(centre + width * (part - 0.5), this.low), this.high - width);
      if (left < this.low || this.taken.some(([begin, end]) => left < end + gap && begin < left + width + gap)) continue;
      this.taken.push([left, left + width]);
      return left;
    }
    return null;
  }
}

class Painter {
  constructor(context, scene, palette) { this.c = context; this.scene = scene; this.palette = palette; }

  // view: {from, to} in places, width, height in pixels, scroll: the first row's pixel that is seen, axis, focus: an item or null.
  paint(view) {
    const { c } = this;
    this.view = view;
    this.plot = view.width - GUTTER - MARGIN;
    c.clearRect(0, 0, view.width, view.height);
    c.save();
    c.translate(0, HEADER - view.scroll);
    for (const row of this.scene.rows) {
      if (row.top + row.height < view.scroll - 400 || row.top > view.scroll + view.height) continue;
      if (row.type === "lane") this.cold(row);
    }
    for (const row of this.scene.rows) {
      if (row.type === "lane" && row.groupEnd >= view.scroll) this.findings(row);
      if (row.top + row.height < view.scroll || row.top > view.scroll + view.height) continue;
      if (row.type === "lane") this.lane(row);
      if (row.type === "ladder") this.ladder(row);
      if (row.type === "more") this.text(row.text, 16, row.top + 14, "cold", 12);
    }
    if (view.focus) this.ring(view.focus);
    c.restore();
    this.header();
  }

  x(place) { return GUTTER + (place - this.view.from) / (this.view.to - this.view.from) * this.plot; }

  seen(one) { return one.p1 >= this.view.from && one.p0 <= this.view.to; }

  // Words; with a rim of paper around them where lines may cross.
  text(words, x, y, colour, points = 12, weight = "", rim = false) {
    this.c.font = `${weight} ${points}px ${this.palette.font}`;
    if (rim) {
      this.c.strokeStyle = this.palette.paper;
      this.c.lineWidth = 3;
      this.c.lineJoin = "round";
      this.c.strokeText(words, x, y);
    }
    this.c.fillStyle = this.palette[colour];
    this.c.fillText(words, x, y);
  }

  measure(words, points = 12, weight = "") {
    this.c.font = `${weight} ${points}px ${this.palette.font}`;
    return this.c.measureText(words).width;
  }

  fitted(words, width, points, weight = "") {
    let cut = words;
    while (cut.length > 3 && this.measure(cut, points, weight) > width) cut = `${cut.slice(0, Math.max(2, Math.floor(cut.length * 0.85) - 1))}…`;
    return cut;
  }

  // `host:port` within a width: the port stays.
  peer(name, width) {
    const at = name.lastIndexOf(":");
    const port = name.slice(at);
    return this.fitted(name.slice(0, at), width - this.measure(port, 12, "600"), 12, "600") + port;
  }

  line(x1, y1, x2, y2, colour, width = 1.5, dash = []) {
    const { c } = this;
    c.strokeStyle = this.palette[colour];
    c.lineWidth = width;
    c.setLineDash(dash);
    c.beginPath();
    c.moveTo(x1, y1);
    c.lineTo(x2, y2);
    c.stroke();
    c.setLineDash([]);
  }

  // Draw inside the plot only.
  clipped(top, height, draw) {
    this.c.save();
    this.c.beginPath();
    this.c.rect(GUTTER - 10, top, this.plot + MARGIN + 10, height);
    this.c.clip();
    draw();
    this.c.restore();
  }

  // Above all rows -----------------------------------------------------------------------------------------------------------------------

  header() {
    const { c, view } = this;
    c.fillStyle = this.palette.paper;
    c.fillRect(0, 0, view.width, HEADER);
    this.line(GUTTER, HEADER - 0.5, view.width - MARGIN, HEADER - 0.5, "line", 1);
    const room = new Room(GUTTER - 24, view.width);
    for (const tick of view.axis.ticks(view.from, view.to, Math.max(2, Math.floor(this.plot / 100)))) {
      const x = this.x(tick.place);
      const left = room.place(x, this.measure(tick.text, 11));
      if (left === null) continue;
      this.text(tick.text, left, 16, "dim", 11);
      this.line(x, HEADER - 5, x, HEADER, "dim", 1);
    }
    for (const [begin, end] of this.view.axis.quiet) {
      const low = this.x(this.view.axis.place(begin));
      const high = this.x(this.view.axis.place(end));
      const middle = (low + high) / 2;
      if (high - low > 16 && middle < view.width && middle > GUTTER) this.cut(middle, HEADER - 1);
    }
  }

  // The mark of a stretch that was shortened.
  cut(x, y) {
    const { c } = this;
    c.fillStyle = this.palette.paper;
    c.fillRect(x - 2, y - 3, 5, 6);
    this.line(x - 5, y + 5, x, y - 5, "dim", 1.2);
    this.line(x, y + 5, x + 5, y - 5, "dim", 1.2);
  }

  findings(row) {
    const { findings } = row.environment;
    const rooms = findings.slice(0, MARK_ROWS).map(() => new Room(GUTTER - 9, this.view.width - 4));
    const marks = [];
    for (const finding of findings) {
      const x = this.x(finding.place);
      if (x < GUTTER - 4 || x > this.view.width) continue;
      const colour = SEVERITY[finding.severity];
      const width = this.measure(finding.rule, 11, "600") + 24;
      const side = x - 9 + width < this.view.width - 4 ? 1 : -1;
      const free = rooms.findIndex((room) => room.place(x + side * (width / 2 - 9), width, 8, false) !== null);
      const y = row.top + 10 + SIZES.marks * (free < 0 ? rooms.length - 1 : free);
      this.line(x, y + 8, x, row.groupEnd, colour, 1.3, [2, 3]);
      marks.push([finding, x, y, colour, free < 0 ? 0 : side, width - 24]);
    }
    for (const [finding, x, y, colour, side, width] of marks) {
      this.badge(x, y, this.scene.story.findings.indexOf(finding) + 1, colour);
      if (side) this.text(finding.rule, side > 0 ? x + 13 : x - 13 - width, y + 4, colour, 11, "600", true);
    }
  }

  badge(x, y, number, colour) {
    const { c } = this;
    c.fillStyle = this.palette[colour];
    c.beginPath();
    c.arc(x, y, 8.5, 0, 7);
    c.fill();
    const width = this.measure(String(number), 11, "600");
    this.text(String(number), x - width / 2, y + 4, "paper", 11, "600");
  }

  ring(focus) {
    const { row, one } = focus;
    const { c } = this;
    const low = Math.max(this.x(one.p0), GUTTER - 6);
    const high = Math.min(this.x(one.p1), this.view.width);
    const [top, height] = row.type === "lane" ? [row.top + row.bar, SIZES.bar] : [row.top + NEAR, FAR - NEAR];
    if (high < GUTTER - 6 || low > this.view.width) return;
    c.strokeStyle = this.palette.ink;
    c.lineWidth = 2;
    c.strokeRect(low - 3, top - 3, Math.max(high - low, 2) + 6, height + 6);
  }

  // Lanes --------------------------------------------------------------------------------------------------------------------------------

  // Freezes go down through the connections: the network stood still, too.
  cold(row) {
    const top = row.top + row.bar + SIZES.bar;
    const height = row.groupEnd - top - (row.groupEnd > row.top + row.height ? 0 : SIZES.logs);
    if (height <= 0) return;
    const { c } = this;
    c.globalAlpha = 0.38;
    c.fillStyle = this.palette.frozen;
    this.clipped(top, height, () => {
      for (const one of row.items) {
        const width = one.colour === "frozen" && this.seen(one) ? this.x(one.p1) - this.x(one.p0) : 0;
        if (width > 1) c.fillRect(this.x(one.p0), top, width, height);
      }
    });
    c.globalAlpha = 1;
  }

  lane(row) {
    const { life } = row.environment;
    const top = row.top + row.bar;
    this.line(12, row.top, this.view.width - 12, row.top, "line", 0.6);
    this.text(life.id.slice(0, 6), 16, top + 11, "ink", 13, "600");
    this.text(this.fitted(life.function, GUTTER - 30, 12), 16, top + 26, "dim", 12);
    this.clipped(row.top, row.height, () => {
      this.bars(row, top);
      this.names(row, top);
      this.marks(row, top + SIZES.bar + 3);
    });
  }

  bars(row, top) {
    const { c } = this;
    const drawn = {}; // the pixel that each colour reached: what adds nothing to it is not drawn
    const draw = (one, strong) => {
      if (!this.seen(one) || strong !== (one.colour === "busy" || one.colour === "failed")) return;
      const x = this.x(one.p0);
      const width = Math.max(this.x(one.p1) - x, one.colour === "failed" ? 3 : strong ? 1.5 : 0.4);
      if (x + width < (drawn[one.colour] || 0) + 0.5 && one.colour !== "failed") return;
      drawn[one.colour] = x + width;
      c.fillStyle = this.palette[one.colour];
      const low = Math.max(x, GUTTER - 10);
      const shown = Math.min(x + width, this.view.width) - low;
      if (one.colour === "idle") { c.fillRect(low, top + SIZES.bar / 2 - 3, shown, 6); return; }
      if (strong && shown > 6) { c.beginPath(); c.roundRect(low, top, shown, SIZES.bar, 2); c.fill(); } else c.fillRect(low, top, shown, SIZES.bar);
      this.inside(one, low, shown, top);
    };
    row.items.forEach((one) => draw(one, false));
    row.items.forEach((one) => draw(one, true));
  }

  inside(one, low, width, top) {
    if (width < 34 || (one.colour !== "frozen" && one.data.state !== "initializing")) return;
    const long = `${one.colour === "frozen" ? "frozen" : "init"} ${duration(one.end - one.begin)}`;
    const words = [long, duration(one.end - one.begin)].find((each) => this.measure(each, 11) + 8 < width);
    if (words) this.text(words, low + (width - this.measure(words, 11)) / 2, top + SIZES.bar / 2 + 4, one.colour === "frozen" ? "cold" : "paper", 11);
  }

  names(row, top) {
    const room = new Room(GUTTER - 8, this.view.width - 2);
    const named = new Set(row.environment.findings.flatMap((finding) => finding.requests));
    const rank = (one) => (one.data.outcome === "failed" ? 0 : named.has(one.data.request_id) ? 1 : 2);
    const shown = row.items.filter((one) => one.kind === "invocation" && this.seen(one));
    const crowded = shown.length > this.plot / 8;
    const listed = crowded ? shown.filter((one) => rank(one) < 2).slice(0, 200) : shown;
    for (const one of [...listed].sort((a, b) => rank(a) - rank(b))) {
      const { data } = one;
      const failed = data.outcome === "failed";
      const upper = `request ${data.number}${failed ? " failed" : ""}`;
      const took = `${short(data.request_id)}, ${data.finished === null ? "unfinished" : duration(one.end - one.begin)}`;
      const reason = data.error_message || data.error_type || "";
      const lower = failed && reason ? `${took}: ${endsKept(visible(reason), 46)}` : took;
      const centre = (Math.max(this.x(one.p0), GUTTER) + Math.min(this.x(one.p1), this.view.width)) / 2;
      const left = room.place(centre, Math.max(this.measure(upper, 12.5, "600"), this.measure(lower, 11)));
      if (left !== null) {
        this.text(upper, left, top - 18, failed ? "failed" : "ink", 12.5, "600", true);
        this.text(lower, left, top - 5, failed ? "failed" : "dim", 11, "", true);
      } else {
        const at = room.place(centre, this.measure(String(data.number), 11), 3);
        if (at !== null) this.text(String(data.number), at, top - 5, failed ? "failed" : "dim", 11);
      }
    }
  }

  marks(row, top) {
    const { c } = this;
    const room = new Room(GUTTER, this.view.width - 4);
    let last = -10;
    for (const one of row.environment.marks) {
      if (!this.seen(one)) continue;
      const x = this.x(one.p0);
      const told = one.kind === "trace" ? TOLD[one.data.what] : one.kind === "refused" ? "connection refused" : "";
      if (!told && x - last < 2) continue;
      last = x;
      if (one.kind === "log") { c.fillStyle = this.palette.dim; c.fillRect(x - 0.75, top, 1.5, 8); continue; }
      this.diamond(x, top + 4, told ? "failed" : "ping");
      const left = told ? room.place(x + 7 + this.measure(told, 10.5) / 2, this.measure(told, 10.5), 4) : null;
      if (left !== null) this.text(told, left, top + 8, "failed", 10.5, "", true);
    }
  }

  diamond(x, y, colour) {
    const { c } = this;
    c.fillStyle = this.palette[colour];
    c.beginPath();
    c.moveTo(x, y - 4.5);
    c.lineTo(x + 4, y);
    c.lineTo(x, y + 4.5);
    c.lineTo(x - 4, y);
    c.fill();
  }

  // Connections: above, the environment's end; below, its peer's ---------------------------------------------------------------------------

  ladder(row) {
    const { connection } = row;
    this.text(this.peer(visible(connection.name), GUTTER - 26), 16, row.top + 17, "ink", 12, "600");
    const words = `${connection.number}: ${connection.became}`.split(" ");
    const lines = [""];
    for (const word of words) {
      if (this.measure(`${lines[lines.length - 1]} ${word}`, 10.5) > GUTTER - 34) lines.push("");
      lines[lines.length - 1] = `${lines[lines.length - 1]} ${word}`.trim();
    }
    lines.slice(0, 3).forEach((said, i) => this.text(said, 16, row.top + 31 + i * 12.5, connection.concern > 1 ? "failed" : "dim", 10.5));
    this.clipped(row.top, row.height, () => this.rungs(row));
  }

  rungs(row) {
    const { connection, top } = row;
    const { c } = this;
    this.line(this.x(connection.p0), top + NEAR, this.x(connection.near), top + NEAR, "dim");
    this.line(this.x(connection.p0), top + FAR, this.x(connection.far), top + FAR, "dim");
    const said = [];
    let last = -10;
    for (const one of row.items) {
      if (!this.seen(one)) continue;
      if (one.kind === "first_write" && one.begin > (connection.near_end ?? Infinity)) continue; // the answer to its own end
      const x = this.x(one.p0);
      if (one.kind === "burst" && one.data.kind === "data" && !one.data.while_frozen) {
        if (x - last < 4) continue;
        last = x;
      }
      this.rung(one, x, top, said);
    }
    const room = new Room(GUTTER - 8, this.view.width - 2);
    for (const [rank, x, words, colour] of said.sort((a, b) => a[0] - b[0])) {
      const left = room.place(x, this.measure(words, 10.5), 4);
      if (left !== null) this.text(words, left, top + FAR + 13, colour, 10.5);
      if (rank > 2 && room.taken.length > 150) break;
    }
    c.setLineDash([]);
  }

  rung(one, x, top, said) {
    const { data } = one;
    if (one.kind === "connection") {
      this.line(x, top + NEAR, x, top + FAR, "dim");
      this.circle(x, top + NEAR);
      this.circle(x, top + FAR);
    } else if (one.kind === "burst") {
      this.burst(one, x, top, said);
    } else if (one.kind === "close") {
      this.close(data, x, top, said);
    } else if (one.kind === "first_write" && data.answer !== "data" && data.sent !== 0) {
      this.firstWrite(data, x, top, said);
    } else if (one.kind === "expired" || (one.kind === "lost" && data.fate === "blackhole")) {
      const colour = one.kind === "lost" ? "failed" : "risk";
      this.cross(x, top + MIDDLE, colour);
      said.push([0, x, one.kind === "lost" ? "black hole" : `${data.middlebox} forgets it`, colour]);
    }
  }

  burst(one, x, top, said) {
    const { data } = one;
    const end = this.x(one.p1);
    const name = { ping: "PING", ping_ack: "PONG", data: "" }[data.kind];
    if (data.while_frozen) {
      const colour = name ? "ping" : "received";
      this.waits(x, end, top, colour);
      said.push([0, (x + end) / 2, `${name || size(data.received)} waits ${duration(data.end - data.begin)}`, colour]);
    } else if (name) {
      this.arrow(x, top, "ping", data.sent > 0);
      said.push([1, x + (data.sent ? 5 : -5), name, "ping"]);
    } else {
      const back = data.sent && data.received ? Math.max(end, x + 9) : x;
      if (back - x > 12) {
        this.c.globalAlpha = 0.22;
        this.c.fillStyle = this.palette.line;
        this.c.fillRect(x, top + NEAR, back - x, FAR - NEAR);
        this.c.globalAlpha = 1;
      }
      if (data.sent) this.arrow(x, top, "sent", true);
      if (data.received) this.arrow(back, top, "received", false);
      const words = [data.sent ? `↓ ${size(data.sent)}` : "", data.received ? `↑ ${size(data.received)}` : ""].filter(Boolean).join(" ");
      said.push([3, (x + back) / 2, words, "dim"]);
    }
  }

  close(data, x, top, said) {
    const flag = data.how.toUpperCase();
    const colour = data.how === "rst" || data.reached === "never" ? "failed" : "dim";
    if (data.by === "environment") {
      this.arrow(x, top, colour, true);
      said.push([1, x + 5, flag, colour]);
    } else if (data.reached === "never") {
      this.line(x - 2.5, top + FAR, x, top + MIDDLE, colour);
      this.cross(x, top + MIDDLE, colour);
      said.push([0, x, `${flag} lost`, colour]);
    } else if (data.reached === "after_thaw") {
      this.line(x - 2.5, top + FAR, x, top + MIDDLE, colour);
      this.dot(x, top + MIDDLE, colour);
      said.push([1, x, `${flag} waits for the thaw`, colour]);
    } else {
      this.arrow(x, top, colour, false);
      said.push([1, x - 5, flag, colour]);
    }
  }

  firstWrite(data, x, top, said) {
    const wrote = Math.min(x, this.x(this.view.axis.place(data.at - (data.after_s || 0))));
    this.line(wrote, top + NEAR, wrote + 3, top + MIDDLE, "sent");
    if (data.answer === "nothing") {
      this.cross(wrote + 3, top + MIDDLE, "failed");
      said.push([0, x, "no answer", "failed"]);
      return;
    }
    const back = Math.max(x, wrote + 9);
    this.line(wrote + 3, top + MIDDLE, back, top + NEAR + 4, "failed");
    this.head(back, top + NEAR, "failed", false);
    said.push([0, back, data.answer.toUpperCase(), "failed"]);
  }

  waits(x, end, top, colour) {
    this.line(x - 2.5, top + FAR, x, top + MIDDLE, colour);
    this.dot(x, top + MIDDLE, colour);
    this.line(Math.max(x, GUTTER - 20), top + MIDDLE, end, top + MIDDLE, colour, 1.5, [2, 3]);
    this.line(end, top + MIDDLE, end + 2, top + NEAR + 4, colour);
    this.head(end + 2, top + NEAR, colour, false);
  }

  arrow(x, top, colour, down) {
    if (down) {
      this.line(x, top + NEAR, x + 5, top + FAR - 4, colour);
      this.head(x + 5, top + FAR, colour, true);
    } else {
      this.line(x - 5, top + FAR, x, top + NEAR + 4, colour);
      this.head(x, top + NEAR, colour, false);
    }
  }

  head(x, y, colour, down) {
    const { c } = this;
    const back = down ? y - 5 : y + 5;
    c.fillStyle = this.palette[colour];
    c.beginPath();
    c.moveTo(x, y);
    c.lineTo(x - 3.2, back);
    c.lineTo(x + 3.2, back);
    c.fill();
  }

  circle(x, y) {
    const { c } = this;
    c.beginPath();
    c.arc(x, y, 3, 0, 7);
    c.fillStyle = this.palette.paper;
    c.fill();
    c.strokeStyle = this.palette.dim;
    c.lineWidth = 1.5;
    c.stroke();
  }

  dot(x, y, colour) {
    this.c.beginPath();
    this.c.arc(x, y, 3, 0, 7);
    this.c.fillStyle = this.palette[colour];
    this.c.fill();
  }

  cross(x, y, colour) {
    this.line(x - 4, y - 4, x + 4, y + 4, colour, 2);
    this.line(x + 4, y - 4, x - 4, y + 4, colour, 2);
  }
}
