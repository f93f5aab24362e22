// The panel at the side: details of what is selected, with a tap where there is a point.

let panelScope = null;
let panelTap = null;
let selected = null;
let returnTo = null;

// Selects `node:PIPELINE/NODE`, `edge:POINT>TO`, `output:PIPELINE.OUTPUT`, `source:NAME` or `sink:NAME`.
function select(id, moveFocus = false) {
  if (!byId("panel").contains(document.activeElement)) returnTo = document.activeElement;
  go({ at: id });
  if (moveFocus) byId("panel").focus();
}

function closePanel() {
  const back = returnTo;
  const id = selected;
  go({ at: null });
  for (const drawing of drawings.values()) if (drawing.focus(id)) return;
  if (back?.isConnected) back.focus();
}

// Shows the selection that the address names.
function showPanel(id) {
  const panel = byId("panel");
  if (id === selected && !panel.hidden) return;
  selected = id;
  stopTap();
  for (const drawing of drawings.values()) drawing.mark(id);
  panelScope = null;
  panel.hidden = !id;
  byId("stage").classList.toggle("with-panel", Boolean(id));
  if (!id) {
    panel.replaceChildren();
    return;
  }
  buildPanel();
  panel.scrollTop = 0;
}

function stopTap() {
  if (panelTap) panelTap.close();
  panelTap = null;
}

function buildPanel() {
  const panel = byId("panel");
  const scope = new Scope();
  const content = describe(scope, selected) || { title: "Not there", kind: "", body: empty("This part of the graph does not exist in this generation.") };
  panel.replaceChildren(
    h("header.row", h("div", h("p.kind", content.kind), h("h2", content.title)),
      h("button.quiet", { onclick: closePanel, "aria-label": "Close details", "aria-keyshortcuts": "Escape" }, "✕")),
    ...[content.body].flat(Infinity).filter(Boolean));
  panelScope = scope;
}

// After a swap the panel shows the new graph; a running tap goes on.
listen("graph", () => {
  if (selected && !panelTap) buildPanel();
});

listen("status", () => panelScope?.run());

function describe(scope, id) {
  const { graph } = store;
  const [, kind, name] = /^(\w+):(.*)$/s.exec(id) || [];
  if (kind === "node") {
    for (const pipeline of graph.pipelines) {
      const node = pipeline.nodes.find((found) => `${pipeline.name}/${found.name}` === name);
      if (node) return nodeDetails(scope, pipeline, node);
    }
  } else if (kind === "edge") {
    const [point, to] = name.split(">");
    const found = pointOf(point);
    if (found) return edgeDetails(scope, found, point, to);
  } else if (kind === "output") {
    const found = pointOf(name);
    if (found?.output) return outputDetails(scope, found, name);
  } else if (kind === "source") {
    const source = graph.sources.find((found) => found.name === name);
    if (source) return sourceDetails(scope, source);
  } else if (kind === "sink") {
    const sink = graph.sinks.find((found) => found.name === name);
    if (sink) return sinkDetails(scope, sink);
  }
  return null;
}

function counts(scope, subject, pairs) {
  return facts(...pairs.map(([title, read]) => [title, typeof read === "function" ? scope.live("span", read) : scope.live("span", () => format.count(now(subject, read)))]));
}

// A list of names with counts that grows while the agent runs.
function namedCounts(scope, title, read) {
  const place = h("div");
  let shape = null;
  scope.on(() => {
    const found = Object.entries(read() || {}).filter(([, count]) => count > 0);
    const now = JSON.stringify(found);
    if (now === shape) return;
    shape = now;
    place.replaceChildren(...(found.length === 0 ? [] : [h("h3", title), facts(...found.map(([name, count]) => [name, format.count(count)]))]));
  });
  return place;
}

function nodeDetails(scope, pipeline, node) {
  const subject = of.node(pipeline.name, node.name);
  const found = () => store.status && subject(store.status);
  const ports = node.ports.map((port) => {
    const point = `${pipeline.name}/${node.name}.${port}`;
    const edge = pipeline.edges.find((other) => other.from === node.name && other.port === port);
    const read = (status) => subject(status)?.ports?.[port] ?? 0;
    return [
      edge ? h("button.linkish", { onclick: () => select(`edge:${point}>${edge.to}`, true) }, port) : port,
      scope.live("span", () => format.rate(rate(read))),
      scope.live("span", () => format.count(store.status && read(store.status))),
    ];
  });
  return {
    kind: `node of ${pipeline.name}`,
    title: node.name,
    body: [
      h("p.row", h("code", node.type), node.masks ? tag("ok", "masks") : null, node.stateful ? tag("quiet", "stateful") : null),
      node.description ? h("p.muted", node.description) : null,
      counts(scope, subject, [
        ["Events in", () => format.rate(perSecond(subject, "received_events"))],
        ["CPU", () => `${format.share(perSecond(subject, "call_seconds"))} of a core`],
        ["Per event", () => `${format.time(nsPerEvent(subject))}/event`],
        ["Calls", () => format.rate(perSecond(subject, "calls"))],
        ["Memory now", () => format.bytes(now(subject, "memory_bytes"))],
        ["Peak of an instance", () => `${format.bytes(now(subject, "peak_memory_bytes"))} of ${format.bytes(node.max_memory_bytes)}`],
        ["Received", "received_events"],
        ["Restarts", "restarts"],
        ["Faults", () => format.count(totalFaults(found()))],
        ["Circuit", () => (now(subject, "circuit_open") > 0 ? "✕ open" : "✓ closed")],
        ...(node.masks ? [["Quarantined", "quarantined_events"]] : []),
        ...(node.stateful ? [["State", () => format.bytes(now(subject, "state_bytes"))]] : []),
      ]),
      h("div.meter-line", scope.bar(() => (node.max_memory_bytes > 0 ? now(subject, "peak_memory_bytes") / node.max_memory_bytes : 0), "fill")),
      table(`Ports of ${node.name}`, ["Port", "#Events", "#Total"], ports),
      namedCounts(scope, "Faults by kind", () => Object.fromEntries((found()?.faults || []).map((fault) => [`${fault.kind} (${fault.blame})`, fault.count]))),
      namedCounts(scope, "Masked values by rule", () => found()?.masked_values),
      namedCounts(scope, "Counted by the node", () => found()?.counts),
      namedCounts(scope, "Failed by code", () => found()?.failures),
      namedCounts(scope, "Dropped by reason", () => found()?.drops),
      h("h3", "Capabilities"),
      node.capabilities.length > 0 ? h("p", node.capabilities.map((name) => [h("code", name), " "])) : h("p.muted", "None: the node sees its batch and nothing else."),
    ],
  };
}

function edgeDetails(scope, found, point, to) {
  const { pipeline } = found;
  const edge = found.edges.find((other) => other.to === to) || found.edges[0];
  return {
    kind: `edge of ${pipeline.name}`,
    title: edge.from ? `${edge.from}.${edge.port} → ${edge.to}` : `input → ${edge.to}`,
    body: [
      counts(scope, null, [
        ["Events", () => format.rate(perSecond(...edgeEvents(pipeline.name, edge)))],
        ["Bytes", () => format.byteRate(edgeByteRate(pipeline, edge))],
        ["Share", () => format.share(edgeShare(pipeline, edge))],
        ["Total", () => format.count(now(...edgeEvents(pipeline.name, edge)))],
      ]),
      tapSection(point),
    ],
  };
}

function outputDetails(scope, found, point) {
  const { pipeline, output } = found;
  const subject = of.output(pipeline.name, output.name);
  const into = () => perSecond(of.pipeline(pipeline.name), "received_bytes");
  return {
    kind: `output of ${pipeline.name}`,
    title: output.title || output.name,
    body: [
      output.description ? h("p.muted", output.description) : null,
      counts(scope, subject, [
        ["Events", () => format.rate(perSecond(subject, "events"))],
        ["Bytes", () => format.byteRate(perSecond(subject, "bytes"))],
        ["Share of the input", () => (into() > 0 ? format.share(perSecond(subject, "bytes") / into()) : DASH)],
        ["Total", "events"],
        ["Failed", "failed_events"],
        ["Goes to", () => (output.discard ? "nowhere: discarded" : [...output.sinks, ...output.pipelines].join(", ") || DASH)],
      ]),
      tapSection(point),
    ],
  };
}

function sourceDetails(scope, source) {
  const subject = of.source(source.name);
  const found = () => (store.status && subject(store.status)) || {};
  return {
    kind: "source",
    title: source.name,
    body: [
      h("p.row", h("code", source.type), liveState(scope, subject)),
      counts(scope, subject, [
        ["Events", () => format.rate(perSecond(subject, "received_events"))],
        ["Bytes", () => format.byteRate(perSecond(subject, "received_bytes"))],
        ["Total", "received_events"],
        ["Bytes read", () => format.bytes(now(subject, "read_bytes"))],
        ["Queue", () => `${format.count(found().buffer?.events)} events, ${format.bytes(found().buffer?.bytes)} of ${format.bytes(found().buffer?.max_bytes)}`],
        ["Blocked", () => format.span(found().blocked_seconds)],
        ["Lag", () => (known(found().lag_messages) ? `${format.count(found().lag_messages)} messages` : DASH)],
        ["Failed inputs", "failures"],
        ["Sent again", () => `${format.count(now(subject, "retried_batches"))} batches`],
        ["Lost", "lost_events"],
        ["Skipped as too long", "skipped_long"],
      ]),
      scope.live("p.note", () => found().error || (found().last_failure ? `Last failure at ${format.clock(found().last_failure.at)}: ${found().last_failure.reason}` : "")),
      h("ul.plain", (found().unmatched || []).map((glob) => h("li", tag("warn", glob)))),
    ],
  };
}

function sinkDetails(scope, sink) {
  const subject = of.sink(sink.name);
  const found = () => (store.status && subject(store.status)) || {};
  return {
    kind: "sink",
    title: sink.name,
    body: [
      h("p.row", h("code", sink.type), liveState(scope, subject)),
      counts(scope, subject, [
        ["Delivered", () => format.rate(perSecond(subject, "delivered_events"))],
        ["Bytes", () => format.byteRate(perSecond(subject, "delivered_bytes"))],
        ["Total", "delivered_events"],
        ["Backlog", () => `${format.count(found().backlog?.events)} events, ${format.bytes(found().backlog?.bytes)}`],
        ["Oldest", () => format.span(found().backlog?.oldest_seconds)],
        ["Queue", () => `${format.bytes(found().buffer?.bytes)} of ${format.bytes(found().buffer?.max_bytes)}`],
        ["Retries", "retries"],
        ["Rejected", "failed_events"],
        ["In dead letters", "dead_letter_events"],
        ["Lost", "lost_events"],
      ]),
      scope.live("p.note", () => found().error || ""),
    ],
  };
}
