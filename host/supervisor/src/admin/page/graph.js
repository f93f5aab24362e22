// A pipeline as SVG, at the places that the agent computed. The drawing is kept for a pipeline and changed when its graph
// changes, so that a hot swap moves what stays and marks what is new.

// Time for which a change is marked.
const FRESH_MS = 6000;
// The places are made for two lines of text in a box; here a box has four, so the drawing is stretched. In width it is
// stretched to fit the page, between these factors.
const STRETCH_X = [0.94, 1.25];
const STRETCH_Y = 1.45;
// A drawing that is still wider than the page shrinks to this scale, and is scrolled then.
const MIN_SCALE = 0.8;
// Changes of a pipeline that the line about a swap lists.
const MAX_CHANGES = 8;
// Least space between two columns of boxes, before it is stretched.
const GAP = 72;

// Stretches the data of a path, which has absolute commands only.
function stretched(path, factor) {
  return path.replace(/([A-Za-z])([^A-Za-z]*)/g, (_, command, numbers) => {
    const values = (numbers.match(/-?[\d.]+/g) || []).map(Number);
    const scaled = values.map((value, at) => (value * (command === "H" || (command !== "V" && at % 2 === 0) ? factor : STRETCH_Y)).toFixed(1));
    return command + scaled.join(" ");
  });
}

// Widths of texts, as the browser draws them.
const canvas = document.createElement("canvas").getContext("2d");
const widths = new Map();

function widthOf(text, font) {
  const key = `${font}${text}`;
  let width = widths.get(key);
  if (width === undefined) {
    if (widths.size > 2000) widths.clear();
    canvas.font = `${font} ${getComputedStyle(document.body).fontFamily}`;
    width = canvas.measureText(text).width;
    widths.set(key, width);
  }
  return width;
}

// A text that fits, with an ellipsis if it is cut.
function fitted(text, room, font) {
  if (widthOf(text, font) <= room) return text;
  let most = text.length - 1;
  while (most > 1 && widthOf(`${text.slice(0, most)}…`, font) > room) most -= 1;
  return `${text.slice(0, most)}…`;
}

class Drawing {
  constructor(name) {
    this.name = name;
    this.items = new Map();
    this.edgesLayer = s("g");
    this.boxesLayer = s("g");
    this.svg = s("svg.graph", { role: "group", "aria-label": `Graph of pipeline ${name}. Arrow keys move, Enter opens details.` }, this.edgesLayer, this.boxesLayer);
    this.svg.addEventListener("keydown", (event) => this.key(event));
    this.jobs = [];
  }

  // Draws a pipeline; `before` is what it was until now.
  draw(pipeline, before) {
    this.pipeline = pipeline;
    const { drawing } = pipeline;
    const factor = this.factor();
    this.drawn = factor;
    const width = Math.max(drawing.width * factor, 1);
    const height = Math.max(drawing.height * STRETCH_Y, 1);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.style.width = `${width}px`;
    this.svg.style.minWidth = this.isWhole ? "0" : `${width * MIN_SCALE}px`;
    this.svg.style.aspectRatio = `${width} / ${height}`;
    this.jobs = [];
    const wanted = new Map();
    const names = [null, ...pipeline.nodes, ...pipeline.outputs];
    drawing.boxes.forEach((placed, at) => {
      if (at >= names.length) return;
      const rect = { x: placed.x * factor, y: placed.y * STRETCH_Y, width: placed.width * factor, height: placed.height * STRETCH_Y };
      const subject = names[at];
      const kind = at === 0 ? "input" : at <= pipeline.nodes.length ? "node" : "output";
      const id = kind === "input" ? `edge:${pipeline.name}/input` : kind === "node" ? `node:${pipeline.name}/${subject.name}` : `output:${pipeline.name}.${subject.name}`;
      wanted.set(`box ${id}`, (old) => this.box(old, { id, kind, subject, rect, isNew: this.isNew(kind, subject, before) }));
    });
    pipeline.edges.forEach((edge, at) => {
      const id = `edge:${edge.point}>${edge.to}`;
      const isNew = Boolean(before) && !before.edges.some((other) => other.point === edge.point && other.to === edge.to);
      wanted.set(id, (old) => this.edge(old, { id, edge, path: stretched(drawing.paths[at] || "", factor), label: drawing.labels[at], isNew }));
    });
    for (const [id, item] of this.items) {
      if (wanted.has(id)) continue;
      item.group.classList.add("leaving");
      setTimeout(() => item.group.remove(), 500);
      this.items.delete(id);
    }
    for (const [id, make] of wanted) this.items.set(id, make(this.items.get(id)));
    this.rove();
    this.update();
  }

  // How much to stretch, for the width of the page.
  factor() {
    const [least, most] = STRETCH_X;
    const room = (this.svg.parentElement?.clientWidth || 0) - 8;
    return room > 0 ? Math.min(most, Math.max(least, room / this.pipeline.drawing.width)) : 1;
  }

  // Draws again for another width of the page.
  fit() {
    if (this.pipeline && Math.abs(this.factor() - this.drawn) > 0.02) this.draw(this.pipeline, this.pipeline);
    const frame = this.svg.parentElement;
    if (this.wholeButton && frame) this.wholeButton.hidden = !this.isWhole && frame.scrollWidth <= frame.clientWidth + 1;
    if (selected) this.mark(selected);
    else {
      const items = [...this.items.values()];
      const item = items.find((one) => one.id === this.current) || items[0];
      if (item) this.reveal(item);
    }
  }

  // A button that shows the whole drawing, however small, where it is wider than the page.
  whole() {
    this.wholeButton ??= h("button.push", { hidden: true, "aria-pressed": String(Boolean(this.isWhole)), onclick: () => {
      this.isWhole = !this.isWhole;
      this.wholeButton.setAttribute("aria-pressed", String(this.isWhole));
      this.draw(this.pipeline, this.pipeline);
    } }, "Whole graph");
    return this.wholeButton;
  }

  // `new`, `changed`, or nothing.
  isNew(kind, subject, before) {
    if (!before || kind === "input") return null;
    const list = kind === "node" ? before.nodes : before.outputs;
    const old = list.find((other) => other.name === subject.name);
    if (!old) return "new";
    return kind === "node" && old.type !== subject.type ? "changed" : null;
  }

  // The shape of an item is a button. Its texts are beside it and hidden from screen readers, since the label of the
  // button says them, without saying them again each second.
  group(old, layer, { id, isNew }, spec) {
    let group = old?.group;
    if (!group) {
      const button = s("g.act", { role: "button", tabindex: "-1", "data-id": id });
      button.addEventListener("focus", () => this.focused(id));
      group = s(spec, button, s("g.texts", { "aria-hidden": "true" }));
      group.addEventListener("click", () => select(id));
      layer.append(group);
    }
    for (const part of group.children) part.replaceChildren();
    if (isNew) {
      group.classList.add("fresh");
      setTimeout(() => {
        group.classList.remove("fresh");
        group.querySelector(".fresh-tag")?.remove();
      }, FRESH_MS);
    }
    return group;
  }

  box(old, item) {
    const { rect, kind, subject, isNew, id } = item;
    const group = this.group(old, this.boxesLayer, item, `g.box.${kind}`);
    group.classList.toggle("masks", Boolean(subject?.masks));
    group.style.transform = `translate(${rect.x}px, ${rect.y}px)`;
    const [button, texts] = group.children;
    const text = (spec, x, y, value) => s(spec, { x, y }, value || "");
    const { width, height } = rect;
    const room = width - 20;
    const title = kind === "input" ? "input" : subject.title || subject.name;
    const top = Math.max(0, (height - 66) / 2);
    const lines = [32, 45, 58].map((y) => text("text.sub", 10, top + y));
    put(button, [s("rect", { width, height, rx: kind === "node" ? 8 : 16 })]);
    put(texts, [
      subject?.masks ? s("path.shield", { d: "M0 0 l5 -2 l5 2 v4 q0 4 -5 6 q-5 -2 -5 -6z", transform: `translate(${width - 18} ${top + 10})` }) : null,
      text("text.name", 10, top + 17, fitted(title, room - (subject?.masks ? 14 : 0), "600 13px")),
      lines,
      isNew ? text("text.fresh-tag", 10, -5, `✦ ${isNew}`) : null,
    ]);
    const memory = kind === "node" ? s("rect.memory", { x: 1, y: height - 4, height: 3, width: 0, rx: 1.5 }) : null;
    if (memory) texts.append(memory);
    this.jobs.push(() => {
      const shown = kind === "input" ? this.inputLines() : kind === "node" ? this.nodeLines(subject, lines.length) : this.outputLines(subject);
      group.classList.toggle("bad", Boolean(shown.isBad));
      lines.forEach((line, at) => {
        const choices = [shown.lines[at] || ""].flat();
        setText(line, fitted(choices.find((choice) => widthOf(choice, "11px") <= room) || choices[choices.length - 1], room, "11px"));
      });
      if (memory) setAttribute(memory, "width", ((width - 2) * Math.min(1, shown.memory || 0)).toFixed(1));
    });
    return { group, x: rect.x + width / 2, y: rect.y + height / 2, id, label: () => this.boxLabel(kind, subject) };
  }

  inputLines() {
    const subject = of.pipeline(this.name);
    return { lines: [format.rate(perSecond(subject, "received_events")), format.byteRate(perSecond(subject, "received_bytes"))] };
  }

  nodeLines(node) {
    const subject = of.node(this.name, node.name);
    const faults = totalFaults(store.status && subject(store.status));
    const isOpen = now(subject, "circuit_open") > 0;
    const cpu = perSecond(subject, "call_seconds");
    const held = now(subject, "memory_bytes");
    const most = now(subject, "peak_memory_bytes");
    const memory = node.max_memory_bytes > 0 ? most / node.max_memory_bytes : 0;
    const problem = isOpen ? "✕ circuit open" : faults > 0 ? `✕ ${format.short(faults)} faults` : null;
    const perEvent = format.time(nsPerEvent(subject));
    return {
      isBad: Boolean(problem),
      lines: [
        problem || node.type,
        [`${format.share(cpu)} CPU · ${perEvent}/event`, `${format.share(cpu)} · ${perEvent}/event`, `${format.share(cpu)} · ${perEvent}`, perEvent],
        [`${format.bytes(held)} of ${format.bytes(node.max_memory_bytes)}`, format.bytes(held)],
      ],
      memory,
    };
  }

  outputLines(output) {
    const subject = of.output(this.name, output.name);
    const into = perSecond(of.pipeline(this.name), "received_bytes");
    const bytes = perSecond(subject, "bytes");
    const share = into > 0 && known(bytes) ? ` · ${format.share(bytes / into)}` : "";
    const to = output.discard ? "✕ discarded" : `→ ${[...output.sinks, ...output.pipelines].join(", ") || "nothing"}`;
    return { lines: [format.rate(perSecond(subject, "events")), [`${format.byteRate(bytes)}${share}`, format.byteRate(bytes)], to] };
  }

  boxLabel(kind, subject) {
    if (kind === "input") return `Input, ${this.inputLines().lines.join(", ")}`;
    const shown = kind === "node" ? this.nodeLines(subject) : this.outputLines(subject);
    return `${kind} ${subject.name}, ${[...shown.lines.map((line) => [line].flat()[0]), subject.masks ? "masks" : ""].filter(Boolean).join(", ")}`;
  }

  edge(old, item) {
    const { edge, path, label, id } = item;
    const group = this.group(old, this.edgesLayer, item, "g.edge");
    group.classList.toggle("failed", edge.failed);
    group.classList.toggle("unmasked", !edge.masked);
    const line = s("path.line", { d: path });
    const top = s("text.rate");
    const low = s("text.part");
    const [x, y] = label ? [label.x * this.drawn, label.y * STRETCH_Y] : [0, 0];
    dress(top, { x, y });
    dress(low, { x, y: y + 18 });
    // Where several lines leave a box there is room for one line of text each.
    const isAlone = this.pipeline.edges.filter((other) => other.from === edge.from).length === 1;
    put(group.children[0], [s("path.hit", { d: path }), line]);
    put(group.children[1], [top, low]);
    this.jobs.push(() => {
      const events = perSecond(...edgeEvents(this.name, edge));
      const share = edgeShare(this.pipeline, edge);
      const isIdle = !(events > 0);
      group.classList.toggle("idle", isIdle);
      line.style.strokeWidth = `${(isIdle ? 1.25 : 1.5 + 5.5 * share).toFixed(2)}px`;
      const bytes = edgeByteRate(this.pipeline, edge);
      const detail = known(bytes) ? format.byteRate(bytes) : format.share(share);
      const rateText = format.rate(events);
      const both = `${rateText} · ${format.share(share)}`;
      setText(top, isIdle ? "" : isAlone || widthOf(both, "11px") > GAP * this.drawn - 8 ? rateText : both);
      setText(low, isIdle || !isAlone ? "" : detail);
    });
    return { group, x: x + 20, y, id, label: () => this.edgeLabel(edge) };
  }

  edgeLabel(edge) {
    const from = edge.from ? `${edge.from}, port ${edge.port}` : "input";
    const events = format.rate(perSecond(...edgeEvents(this.name, edge)));
    return `Edge from ${from} to ${edge.to}, ${events}, ${format.share(edgeShare(this.pipeline, edge))}${edge.masked ? "" : ", before a mask"}`;
  }

  update() {
    for (const job of this.jobs) job();
    for (const item of this.items.values()) {
      // A label changes only where no screen reader is, or it would speak each second.
      const button = item.group.firstChild;
      if (!button.hasAttribute("aria-label") || document.activeElement !== button) button.setAttribute("aria-label", item.label());
    }
  }

  // One stop of the tab key: the last focused item, else the input.
  rove() {
    const items = [...this.items.values()];
    const current = items.find((item) => item.id === this.current) || items[0];
    for (const item of items) item.group.firstChild.setAttribute("tabindex", item === current ? "0" : "-1");
  }

  focused(id) {
    this.current = id;
    this.rove();
    const item = [...this.items.values()].find((found) => found.id === id);
    if (item) this.reveal(item);
  }

  // Scrolls the drawing, where it is larger than its frame, so that an item is in the middle.
  reveal(item) {
    const frame = this.svg.parentElement;
    if (!frame) return;
    const scale = this.svg.clientWidth / (this.pipeline.drawing.width * this.drawn);
    frame.scrollLeft = item.x * scale - frame.clientWidth / 2;
    frame.scrollTop = item.y * scale - frame.clientHeight / 2;
  }

  mark(id) {
    for (const item of this.items.values()) {
      const isSelected = item.id === id;
      item.group.classList.toggle("selected", isSelected);
      setAttribute(item.group.firstChild, "aria-pressed", isSelected ? "true" : "false");
      if (isSelected) requestAnimationFrame(() => this.reveal(item));
    }
  }

  focus(id) {
    const item = [...this.items.values()].find((found) => found.id === id);
    if (item) item.group.firstChild.focus();
    return Boolean(item);
  }

  key(event) {
    const item = [...this.items.values()].find((found) => found.group.contains(event.target));
    if (!item) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      select(item.id, true);
      return;
    }
    const directions = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    const direction = directions[event.key];
    if (!direction) return;
    event.preventDefault();
    let best = null;
    for (const other of this.items.values()) {
      const [x, y] = [other.x - item.x, other.y - item.y];
      const along = x * direction[0] + y * direction[1];
      const across = Math.abs(x * direction[1]) + Math.abs(y * direction[0]);
      if (other === item || along < 2) continue;
      const cost = along + 2.5 * across;
      if (!best || cost < best.cost) best = { cost, other };
    }
    if (best) best.other.group.firstChild.focus();
  }
}

// What a new graph changed, as one line.
function changeOf(graph, before) {
  const parts = [];
  for (const pipeline of graph.pipelines) {
    const old = before.pipelines.find((other) => other.name === pipeline.name);
    if (!old) {
      parts.push(`pipeline ${pipeline.name} is new`);
      continue;
    }
    const found = [];
    if (old.pack !== pipeline.pack) found.push(`${old.pack || "inline graph"} → ${pipeline.pack || "inline graph"}`);
    const names = (list) => new Map(list.map((node) => [node.name, node.type]));
    const [was, is] = [names(old.nodes), names(pipeline.nodes)];
    for (const [name, type] of is) {
      if (!was.has(name)) found.push(`+ ${name}`);
      else if (was.get(name) !== type) found.push(`~ ${name} ${type}`);
    }
    for (const name of was.keys()) if (!is.has(name)) found.push(`− ${name}`);
    if (old.canary !== pipeline.canary) found.push(pipeline.canary ? `canary ${pipeline.canary}` : "canary ended");
    if (old.shadow !== pipeline.shadow) found.push(pipeline.shadow ? `shadow ${pipeline.shadow}` : "shadow ended");
    const more = found.length > MAX_CHANGES ? [`and ${found.length - MAX_CHANGES} more`] : [];
    if (found.length > 0) parts.push(`${pipeline.name}: ${[...found.slice(0, MAX_CHANGES), ...more].join(", ")}`);
  }
  for (const old of before.pipelines) {
    if (!graph.pipelines.some((pipeline) => pipeline.name === old.name)) parts.push(`pipeline ${old.name} ended`);
  }
  return parts.join("; ") || "the graph is the same";
}
