// The page: zooming and walking through the picture, looking things up, and saying what they are. All text comes into the page as text, never as markup.

(function page() {
  const data = JSON.parse(document.getElementById("story").textContent);
  const { story } = data;
  const $ = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const { begin, zero } = data.axis;
  const axes = { shortened: Axis.shortened(data.axis), scale: Axis.toScale(begin, story.header.end, zero) };
  const since = (at) => `${(at - zero).toFixed(4)} s`;
  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");

  const scene = new Scene(story);
  const timeline = $("timeline");
  const canvas = $("canvas");
  const overview = $("overview");
  const palette = {};
  const painter = new Painter(canvas.getContext("2d"), scene, palette);
  const view = { from: 0, to: 1, width: 0, height: 0, scroll: 0, axis: axes.shortened, focus: null };
  const STRIP = 32; // the overview's height
  const LEAST = 2e-7; // of the whole width: some microseconds of a story of minutes
  let pending = false;
  let glide = 0;
  let backdrop = null;

  // Drawing ------------------------------------------------------------------------------------------------------------------------------

  function recolour() {
    const style = getComputedStyle(document.documentElement);
    for (const name of data.colours) palette[name] = style.getPropertyValue(`--${name}`).trim();
    palette.font = style.getPropertyValue("--font").trim();
    backdrop = null;
    repaint();
  }

  function fit(element, width, height) {
    const scale = window.devicePixelRatio || 1;
    element.width = Math.round(width * scale);
    element.height = Math.round(height * scale);
    element.style.height = `${height}px`;
    element.getContext("2d").setTransform(scale, 0, 0, scale, 0, 0);
  }

  function resize() {
    const whole = HEADER + scene.height;
    document.documentElement.style.setProperty("--toolbar", `${$("toolbar").offsetHeight}px`);
    timeline.style.height = `${whole}px`;
    view.width = timeline.clientWidth;
    view.height = Math.min(whole, window.innerHeight - $("toolbar").offsetHeight);
    fit(canvas, view.width, view.height);
    fit(overview, overview.clientWidth, STRIP);
    backdrop = null;
    repaint();
  }

  function repaint() {
    if (pending) return;
    pending = true;
    requestAnimationFrame(() => {
      pending = false;
      view.scroll = Math.max(0, Math.min($("toolbar").offsetHeight - timeline.getBoundingClientRect().top, HEADER + scene.height - view.height));
      painter.paint(view);
      paintOverview();
    });
  }

  function paintOverview() {
    const width = overview.clientWidth;
    const c = overview.getContext("2d");
    if (!backdrop) {
      backdrop = document.createElement("canvas");
      fit(backdrop, width, STRIP);
      const b = backdrop.getContext("2d");
      for (const [colour, alpha] of [["frozen", 0.8], ["init", 0.55], ["busy", 0.55], ["failed", 0.9]]) {
        b.globalAlpha = alpha;
        b.fillStyle = palette[colour];
        scene.environments.forEach(({ items }, i) => {
          const share = (STRIP - 6) / scene.environments.length;
          for (const one of items) {
            if (one.colour !== colour) continue;
            b.fillRect(one.p0 * width, 3 + i * share, Math.max((one.p1 - one.p0) * width, colour === "failed" ? 2.5 : 0.5), Math.max(1.5, share));
          }
        });
      }
      b.globalAlpha = 1;
    }
    c.clearRect(0, 0, width, STRIP);
    c.drawImage(backdrop, 0, 0, width, STRIP);
    for (const finding of story.findings) {
      c.fillStyle = palette[SEVERITY[finding.severity]];
      c.beginPath();
      c.moveTo(finding.place * width, 9);
      c.lineTo(finding.place * width - 5, 0);
      c.lineTo(finding.place * width + 5, 0);
      c.fill();
    }
    c.fillStyle = palette.paper;
    c.globalAlpha = 0.66;
    c.fillRect(0, 0, view.from * width, STRIP);
    c.fillRect(view.to * width, 0, width, STRIP);
    c.globalAlpha = 1;
    c.strokeStyle = palette.cold;
    c.lineWidth = 2;
    c.strokeRect(view.from * width + 1, 1, Math.max((view.to - view.from) * width - 2, 2), STRIP - 2);
  }

  // Where to look ------------------------------------------------------------------------------------------------------------------------

  function show(from, to, { smooth = false } = {}) {
    cancelAnimationFrame(glide);
    let span = Math.min(Math.max(to - from, LEAST), 1);
    const low = Math.min(Math.max((from + to - span) / 2, 0), 1 - span);
    const start = { from: view.from, to: view.to, at: performance.now() };
    const settle = (part) => {
      view.from = start.from + (low - start.from) * part;
      view.to = start.to + (low + span - start.to) * part;
      $("whole").disabled = view.from === 0 && view.to === 1;
      repaint();
    };
    if (!smooth || calm.matches) { settle(1); return; }
    const step = (now) => {
      const part = Math.min((now - start.at) / 260, 1);
      settle(part === 1 ? 1 : 1 - (1 - part) ** 3);
      if (part < 1) glide = requestAnimationFrame(step);
    };
    glide = requestAnimationFrame(step);
  }

  function zoom(factor, place = (view.from + view.to) / 2, smooth = false) {
    show(place - (place - view.from) * factor, place + (view.to - place) * factor, { smooth });
  }

  const pan = (places) => {
    const span = view.to - view.from;
    const from = Math.min(Math.max(view.from + places, 0), 1 - span);
    show(from, from + span);
  };
  const placeAt = (x) => view.from + (x - GUTTER) / (view.width - GUTTER - MARGIN) * (view.to - view.from);

  function scrollTo(row) {
    const covered = $("toolbar").offsetHeight + HEADER;
    const top = timeline.getBoundingClientRect().top + HEADER + row.top;
    const bottom = timeline.getBoundingClientRect().top + HEADER + Math.max(row.top + row.height, Math.min(row.groupEnd || 0, row.top + 260));
    if (top >= covered && bottom <= window.innerHeight) return;
    window.scrollBy({ top: top - covered - 30, behavior: calm.matches ? "auto" : "smooth" });
  }

  // Go to a thing: some of what is around it stays in sight.
  function goTo(row, one, { context = 2.5 } = {}) {
    const span = Math.max((one.p1 - one.p0) * (1 + 2 * context), 60 * LEAST, (view.to - view.from) / 400);
    const middle = (one.p0 + one.p1) / 2;
    show(middle - span / 2, middle + span / 2, { smooth: true });
    focus(row, one);
    scrollTo(row);
  }

  function goToInvocation(one) {
    const row = scene.rowOf("invocation", one);
    const found = row && row.items.find((each) => each.data === one);
    if (!found) { details("invocation", one); return; }
    const at = row.items.indexOf(found);
    const near = row.items.slice(Math.max(0, at - 3), at + 4);
    goTo(row, found, { context: Math.max(1, (near[near.length - 1].p1 - near[0].p0) / Math.max(found.p1 - found.p0, 1e-9) / 2) });
    details("invocation", one);
  }

  function goToConnection(connection) {
    scene.open.add(connection.environment);
    relayout();
    const row = scene.rowOf("connection", connection);
    if (!row) return;
    const last = row.items[row.items.length - 1];
    show(row.items[0].p0 - 0.01, Math.max(last.p1, last.p0) + 0.01, { smooth: true });
    focus(row, row.items[0]);
    scrollTo(row);
    details("connection", connection);
  }

  function goToFinding(index) {
    const finding = story.findings[index];
    const row = scene.rowOf("finding", finding);
    if (!row) return;
    const ends = row.items.filter((one) => one.kind === "invocation" && finding.requests.includes(one.data.request_id));
    const places = [finding.place, ...ends.flatMap((one) => [one.p0, one.p1])];
    const low = Math.min(...places);
    const high = Math.max(...places);
    const margin = Math.max((high - low) * 0.12, 40 * LEAST);
    show(low - margin, high + margin, { smooth: true });
    const last = ends[ends.length - 1];
    if (last) focus(row, last);
    scrollTo(row);
  }

  function relayout() {
    scene.layout();
    scene.measure(view.axis);
    view.focus = null;
    resize();
  }

  // What is under the pointer, or the keyboard -----------------------------------------------------------------------------------------------

  function under(x, y) {
    const row = y > HEADER ? scene.rowAt(y - HEADER + view.scroll) : null;
    if (!row) return null;
    if (row.type === "more") return { row, one: null };
    const nearest = (items, reach) => {
      let best = null;
      let least = reach;
      for (const one of items) {
        const low = painter.x(one.p0);
        const high = Math.max(painter.x(one.p1), low);
        const away = x < low ? low - x : x > high ? x - high : 0;
        const point = high - low < 3 ? away : away + 0.5; // of two at one place, the shorter
        if (point <= least) { least = point; best = one; }
      }
      return best;
    };
    if (row.type === "ladder") {
      if (x < GUTTER) return { row, one: row.items.find((one) => one.kind === "connection") };
      const found = nearest(row.items, 8);
      const within = x >= painter.x(row.connection.p0) && x <= painter.x(Math.max(row.connection.near, row.connection.far));
      const one = found || (within ? row.items.find((each) => each.kind === "connection") : null);
      return one && { row, one };
    }
    if (x < GUTTER) return null;
    const inside = y - HEADER + view.scroll - row.top;
    if (inside > row.bar + SIZES.bar) {
      const mark = nearest(row.environment.marks, 6);
      return mark && { row, one: mark };
    }
    const strong = nearest(row.items.filter((one) => one.kind === "invocation"), inside < row.bar ? 20 : 2);
    const one = strong || nearest(row.items, 2);
    return one && { row, one };
  }

  const speak = (kind, thing) => describe[kind](thing, since);

  function focus(row, one) {
    view.focus = row && one ? { row, one } : null;
    if (view.focus) {
      const [title, pairs] = speak(one.kind, one.data);
      $("spoken").textContent = `${title}. ${pairs.filter(([, said]) => said).slice(0, 4).map(([name, said]) => `${name} ${said}`).join(", ")}`;
    }
    repaint();
  }

  const tip = $("tip");
  function hover(found, x, y) {
    canvas.style.cursor = found ? "pointer" : "";
    tip.hidden = !found || !found.one;
    if (tip.hidden) return;
    const [title, pairs] = speak(found.one.kind, found.one.data);
    tip.replaceChildren(make("strong", "", title));
    for (const [name, said] of pairs) {
      if (!said) continue;
      const line = make("div");
      line.append(make("span", "dim", `${name} `), visible(String(said).slice(0, 300)));
      tip.append(line);
    }
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, window.innerWidth - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > window.innerHeight ? Math.max(4, y - box.height - 12) : y + 18}px`;
  }

  // What is said of the thing that was chosen -----------------------------------------------------------------------------------------------

  function details(kind, thing) {
    const [title, pairs] = speak(kind, thing);
    const list = make("dl");
    for (const [name, said] of pairs) if (said) list.append(make("dt", "", name), make("dd", "", String(said)));
    const parts = [list];
    if (kind === "invocation") parts.push(...ofInvocation(thing));
    if (kind === "connection") parts.push(ofConnection(thing));
    const row = view.focus && view.focus.one.data === thing ? view.focus.row : null;
    if (row && row.type === "ladder" && kind !== "connection") {
      parts.push(...section("Connection", [[button(`${row.connection.number} ${row.connection.name}`, () => goToConnection(row.connection)), ` ${row.connection.became}`]]));
    }
    const within = kind !== "invocation" && scene.invocations.get(thing.request_id);
    if (within) parts.push(...section("Invocation", [[button(`request ${within.number}`, () => goToInvocation(within)), ` ${within.outcome}`]]));
    $("details-title").textContent = title;
    $("details-body").replaceChildren(...parts);
    if ($("details").hidden) opened(true);
  }

  // The picture makes room for what is said beside it.
  function opened(open) {
    $("details").hidden = !open;
    document.body.classList.toggle("beside", open);
    resize();
    if (view.focus) scrollTo(view.focus.row);
  }

  const button = (text, act) => {
    const made = make("button", "link", text);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  };

  function section(title, rows) {
    if (!rows.length) return [];
    const list = make("ul");
    list.append(...rows.map((content) => { const row = make("li"); row.append(...content); return row; }));
    return [make("h3", "", title), list];
  }

  function ofInvocation(one) {
    const id = one.request_id;
    const findings = story.findings.map((finding, i) => [finding, i]).filter(([finding]) => finding.requests.includes(id));
    const used = story.connections.filter((each) => each.opened_in === id || [...each.traffic, ...each.first_writes].some((event) => event.request_id === id));
    const logs = story.logs.filter((line) => line.request_id === id);
    return [
      ...section("Findings", findings.map(([finding, i]) => [button(`${i + 1} ${finding.rule}`, () => goToFinding(i))])),
      ...section("Connections", used.slice(0, 40).map((each) => [button(`${each.number} ${each.name}`, () => goToConnection(each)), ` ${each.became}`])),
      ...section("Log", logs.slice(0, 200).map((line) => [make("span", "dim", `${since(line.at)} `), make("code", "", visible(line.text))])),
    ];
  }

  function ofConnection(one) {
    const events = ladderItems(one).filter((each) => each.kind !== "connection").slice(0, 300);
    const [, list] = section("Events", events.map((each) => {
      const [title, pairs] = speak(each.kind, each.data);
      const bytes = pairs.filter(([name, said]) => said && (name === "sent" || name === "received")).map(([name, said]) => `${said} ${name}`).join(", ");
      return [make("span", "dim", `${since(each.begin)} `), [title, bytes].filter(Boolean).join(": ")];
    }));
    return list || make("p", "dim", "nothing was sent");
  }

  function close() {
    if (!$("details").hidden) opened(false);
    focus(null, null);
  }

  // Searching, and the table of invocations ----------------------------------------------------------------------------------------------------

  function matches(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return [];
    const found = [];
    for (const one of story.invocations) {
      const id = one.request_id.toLowerCase();
      const rank = id.startsWith(wanted) ? 0 : String(one.number) === wanted.replace(/^#/, "") ? 1 : id.includes(wanted) ? 3 : null;
      if (rank !== null) found.push([rank, `request ${one.number}  ${one.request_id}  ${one.outcome}`, () => goToInvocation(one)]);
    }
    for (const each of story.connections) {
      if (each.name.toLowerCase().includes(wanted)) found.push([2, `connection ${each.number}  ${each.name}  ${each.became}`, () => goToConnection(each)]);
    }
    for (const life of story.environments) {
      if (!life.id.toLowerCase().startsWith(wanted)) continue;
      found.push([2, `environment ${life.id}  ${life.function}`, () => scrollTo(scene.rowOf("environment", { environment: life.id }))]);
    }
    return found.sort((a, b) => a[0] - b[0]).slice(0, 12);
  }

  function suggest() {
    const found = matches($("search").value);
    $("results").replaceChildren(...found.map(([, text, act]) => button(visible(text), () => { $("results").hidden = true; act(); })));
    if ($("search").value.trim() && !found.length) $("results").append(make("p", "dim", "nothing by that id, number or name"));
    $("results").hidden = !$("search").value.trim();
  }

  let listed = 100;
  function fillTable() {
    const which = $("which").value;
    const named = new Set(story.findings.flatMap((finding) => finding.requests));
    const rows = story.invocations.filter((one) => which === "all" || (which === "failed" ? one.outcome !== "succeeded" : named.has(one.request_id)));
    $("rows").replaceChildren(...rows.slice(0, listed).map((one) => {
      const row = make("tr", one.outcome === "succeeded" ? "" : "bad");
      const number = make("td");
      number.append(button(String(one.number), () => goToInvocation(one)));
      const took = one.finished === null || one.started === null ? "" : duration(one.finished - one.started);
      const error = [one.error_type, one.error_message].filter(Boolean).join(": ");
      row.append(number, make("td", "mono", one.request_id), make("td", "mono", short(one.environment).slice(0, 6)), make("td", "right", since(one.started ?? one.arrived)),
        make("td", "right", took), make("td", "", `${one.outcome}${error ? `: ${visible(error.slice(0, 200))}` : ""}`));
      return row;
    }));
    $("more").hidden = rows.length <= listed;
    $("more").textContent = `${(rows.length - listed).toLocaleString("en")} more: show`;
    $("none").hidden = rows.length > 0;
  }

  // Pointer and keys ---------------------------------------------------------------------------------------------------------------------------

  const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const pointers = new Map();
  let moved = 0;

  canvas.addEventListener("wheel", (event) => {
    const [x] = at(event);
    if (x < GUTTER && !event.ctrlKey) return; // over the names, the page scrolls
    event.preventDefault();
    const span = view.to - view.from;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) pan(span * (event.deltaX || event.deltaY) / 800);
    else zoom(Math.exp(Math.max(-200, Math.min(200, event.deltaY * (event.deltaMode ? 30 : 1))) / (event.ctrlKey ? 120 : 400)), placeAt(x));
  }, { passive: false });

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    moved = 0;
  });

  canvas.addEventListener("pointermove", (event) => {
    const here = at(event);
    const before = pointers.get(event.pointerId);
    if (!before) { hover(under(...here), event.clientX, event.clientY); return; }
    const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    moved += Math.abs(here[0] - before[0]) + Math.abs(here[1] - before[1]);
    const perPixel = (view.to - view.from) / (view.width - GUTTER - MARGIN);
    if (others.length) {
      const apart = Math.abs(before[0] - others[0][0]);
      const now = Math.abs(here[0] - others[0][0]);
      if (apart > 4 && now > 4) zoom(apart / now, placeAt((here[0] + others[0][0]) / 2));
    } else {
      pan((before[0] - here[0]) * perPixel);
      if (event.pointerType === "mouse") window.scrollBy(0, before[1] - here[1]);
    }
    // The page may have moved under the pointer.
    pointers.set(event.pointerId, at(event));
    tip.hidden = true;
  });

  const lift = (event) => {
    if (!pointers.delete(event.pointerId) || moved > 5 || event.type === "pointercancel") return;
    const found = under(...at(event));
    if (!found) { close(); return; }
    if (found.row.type === "more") {
      const { id } = found.row.environment.life;
      if (!scene.open.delete(id)) scene.open.add(id);
      relayout();
      return;
    }
    focus(found.row, found.one);
    details(found.one.kind, found.one.data);
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
  canvas.addEventListener("dblclick", (event) => {
    const found = under(...at(event));
    if (found && found.one) goTo(found.row, found.one, { context: 0.4 }); else zoom(0.4, placeAt(at(event)[0]), true);
  });

  const walkable = (row) => row.items.filter((one) => one.colour !== "idle");

  function walk(step) {
    const current = view.focus || { row: scene.rows.find((row) => row.items.length), one: null };
    if (!current.row) return;
    const items = walkable(current.row);
    const index = current.one ? items.indexOf(current.one) + step : 0;
    const one = items[Math.min(Math.max(index, 0), items.length - 1)];
    if (!one) return;
    focus(current.row, one);
    if (one.p0 < view.from || one.p1 > view.to) {
      const middle = (one.p0 + one.p1) / 2;
      const span = Math.max(view.to - view.from, (one.p1 - one.p0) * 1.2);
      show(middle - span / 2, middle + span / 2, { smooth: true });
    }
    scrollTo(current.row);
  }

  function climb(step) {
    const rows = scene.rows.filter((row) => walkable(row).length);
    const current = view.focus ? rows.indexOf(view.focus.row) : -1;
    const row = rows[Math.min(Math.max(current + step, 0), rows.length - 1)];
    if (!row) return;
    const place = view.focus ? view.focus.one.p0 : view.from;
    const items = walkable(row);
    focus(row, items.reduce((best, one) => (Math.abs(one.p0 - place) < Math.abs(best.p0 - place) ? one : best), items[0]));
    scrollTo(row);
  }

  // The next invocation that failed, or the one before, in any environment.
  function nextFailure(step) {
    const failures = scene.rows.flatMap((row) => row.items.filter((one) => one.colour === "failed").map((one) => ({ row, one }))).sort((a, b) => a.one.p0 - b.one.p0);
    if (!failures.length) return;
    const current = failures.findIndex(({ one }) => view.focus && one === view.focus.one);
    const { one } = failures[(current + step + failures.length) % failures.length];
    goToInvocation(one.data);
  }

  const KEYS = {
    ArrowLeft: (event) => (event.shiftKey ? pan((view.from - view.to) / 5) : walk(-1)),
    ArrowRight: (event) => (event.shiftKey ? pan((view.to - view.from) / 5) : walk(1)),
    ArrowUp: () => climb(-1),
    ArrowDown: () => climb(1),
    "+": () => zoom(0.6, undefined, true),
    "=": () => zoom(0.6, undefined, true),
    "-": () => zoom(1 / 0.6, undefined, true),
    0: () => show(0, 1, { smooth: true }),
    n: () => nextFailure(1),
    N: () => nextFailure(-1),
    Enter: () => view.focus && details(view.focus.one.kind, view.focus.one.data),
    Escape: close,
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
    event.preventDefault();
    KEYS[event.key](event);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) { event.preventDefault(); $("search").focus(); }
    if (event.key === "Escape") { $("results").hidden = true; if (event.target !== canvas) close(); }
  });

  const grab = (event) => {
    if (event.type === "pointerdown") overview.setPointerCapture(event.pointerId);
    if (!event.buttons) return;
    const span = Math.min(view.to - view.from, 0.999);
    const middle = (event.clientX - overview.getBoundingClientRect().left) / overview.clientWidth;
    if (span < 0.99) show(middle - span / 2, middle + span / 2); else show(middle - 0.05, middle + 0.05, { smooth: true });
  };
  overview.addEventListener("pointerdown", grab);
  overview.addEventListener("pointermove", grab);

  $("search").addEventListener("input", suggest);
  $("search").addEventListener("keydown", (event) => {
    const first = $("results").querySelector("button");
    if (event.key === "Enter" && first) first.click();
    if (event.key === "ArrowDown" && first) { event.preventDefault(); first.focus(); }
  });
  $("results").addEventListener("keydown", (event) => {
    const next = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    if (!next) return;
    event.preventDefault();
    (document.activeElement[next] || $("search")).focus();
  });
  document.addEventListener("click", (event) => { if (!event.target.closest("#finder")) $("results").hidden = true; });
  $("in").addEventListener("click", () => zoom(0.5, undefined, true));
  $("out").addEventListener("click", () => zoom(2, undefined, true));
  $("whole").addEventListener("click", () => show(0, 1, { smooth: true }));
  $("failure").addEventListener("click", () => nextFailure(1));
  $("failure").hidden = !story.invocations.some((one) => one.outcome === "failed" && one.environment);
  $("scale").addEventListener("change", () => {
    const [low, high] = [view.axis.time(view.from), view.axis.time(view.to)];
    const all = view.from === 0 && view.to === 1;
    view.axis = $("scale").checked ? axes.scale : axes.shortened;
    scene.measure(view.axis);
    backdrop = null;
    if (all) show(0, 1); else show(view.axis.place(low), view.axis.place(high));
  });
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    recolour();
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  $("close").addEventListener("click", close);
  $("which").addEventListener("change", () => { listed = 100; fillTable(); });
  $("more").addEventListener("click", () => { listed += 400; fillTable(); });
  document.querySelectorAll("[data-finding]").forEach((each) => each.addEventListener("click", () => goToFinding(Number(each.dataset.finding))));
  document.querySelectorAll("[data-request]").forEach((each) => each.addEventListener("click", () => {
    const one = scene.invocations.get(each.dataset.request);
    if (one) goToInvocation(one);
  }));
  window.addEventListener("resize", resize);
  window.addEventListener("scroll", repaint, { passive: true });

  $("scale").checked = data.scale;
  view.axis = data.scale ? axes.scale : axes.shortened;
  scene.measure(view.axis);
  $("which").value = story.invocations.length > 200 && story.invocations.some((one) => one.outcome !== "succeeded") ? "failed" : "all";
  fillTable();
  recolour();
  resize();
  show(0, 1);
  const wanted = new URLSearchParams(window.location.hash.slice(1)).get("request");
  const asked = wanted && story.invocations.find((one) => one.request_id.startsWith(wanted));
  if (asked) goToInvocation(asked);
}());
