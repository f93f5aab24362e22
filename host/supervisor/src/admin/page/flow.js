// The view of the graph: figures of the agent, each pipeline with its sources and sinks, and the same as a list.

const drawings = new Map();
let lastChange = null;

function figure(scope, name, read, series) {
  const spark = series ? sparkline() : null;
  if (spark) scope.on(() => spark.show(store.series.get(series) || []));
  return h("div.figure", h("dt", name), scope.live("dd", read), spark);
}

function figures(scope) {
  const balance = () => {
    const open = store.status.pipelines.reduce((total, pipeline) => total + (pipeline.balance?.unbalanced || 0), 0);
    return open === 0 ? "✓ closes" : `✕ ${format.count(open)} open`;
  };
  const reduction = () => {
    const [into, out] = [last("in"), last("out")];
    return into > 0 && known(out) ? format.share(1 - out / into) : DASH;
  };
  return h("dl.figures",
    figure(scope, "Events in", () => format.rate(last("events")), "events"),
    figure(scope, "Bytes in", () => format.byteRate(last("in")), "in"),
    figure(scope, "Bytes out", () => format.byteRate(last("out")), "out"),
    figure(scope, "Reduction", reduction),
    figure(scope, "Failed", () => format.rate(last("failed")), "failed"),
    figure(scope, "CPU", () => (known(last("cpu")) ? `${last("cpu").toFixed(2)}\u00a0cores` : DASH), "cpu"),
    figure(scope, "Memory", () => format.bytes(store.status.resident_memory_bytes), "memory"),
    figure(scope, "Balance", balance));
}

function stateTag(state) {
  const kinds = { running: "ok", starting: "quiet", ended: "quiet", retrying: "warn", failed: "bad" };
  return tag(kinds[state] || "quiet", state || DASH);
}

// The state of an endpoint as a tag that is replaced only when it changes.
function liveState(scope, subject) {
  const place = h("span");
  let shown;
  scope.on(() => {
    const found = store.status && subject(store.status);
    const state = found?.state || DASH;
    if (state !== shown) place.replaceChildren(stateTag(state));
    shown = state;
  });
  return place;
}

function queueLine(scope, subject, title) {
  const queue = () => (store.status && subject(store.status)?.buffer) || { bytes: 0, max_bytes: 0, events: 0 };
  return h("div.queue",
    scope.live("span", () => `${title} ${format.bytes(queue().bytes)} of ${format.bytes(queue().max_bytes)}`),
    scope.bar(() => (queue().max_bytes > 0 ? queue().bytes / queue().max_bytes : 0), "fill"));
}

// A line under an endpoint; red only if something is wrong.
function noteLine(scope, read) {
  const line = h("span.remark");
  scope.on(() => {
    setText(line, read());
    line.classList.toggle("note", /[✕▲]/.test(line.textContent));
  });
  return line;
}

function sourceCard(scope, endpoint) {
  const subject = of.source(endpoint.name);
  const lag = () => {
    const found = store.status && subject(store.status);
    const parts = [];
    if (found?.lag_messages > 0) parts.push(`lag ${format.short(found.lag_messages)} messages`);
    const blocked = rate((status) => subject(status)?.blocked_seconds);
    if (blocked > 0.01) parts.push(`blocked ${format.share(Math.min(1, blocked))} of the time`);
    if (found?.lost_events > 0) parts.push(`✕ ${format.count(found.lost_events)} events lost`);
    if (found?.error) parts.push(`✕ ${found.error}`);
    return parts.join(" · ");
  };
  return h("button.endpoint", { "data-id": `source:${endpoint.name}`, onclick: () => select(`source:${endpoint.name}`, true) },
    h("span.row", h("strong", endpoint.name), liveState(scope, subject)),
    h("span.row.muted", h("span", endpoint.type), scope.live("span.n", () => `${format.rate(perSecond(subject, "received_events"))} · ${format.byteRate(perSecond(subject, "received_bytes"))}`)),
    queueLine(scope, subject, "queue"),
    noteLine(scope, lag));
}

function sinkCard(scope, endpoint) {
  const subject = of.sink(endpoint.name);
  const note = () => {
    const found = store.status && subject(store.status);
    const parts = [];
    const { events = 0, bytes = 0, oldest_seconds: oldest } = found?.backlog || {};
    if (events > 0) parts.push(`backlog ${format.short(events)} events, ${format.bytes(bytes)}`);
    if (oldest > 1) parts.push(`oldest ${format.span(oldest)}`);
    if (found?.retrying_seconds > 0) parts.push(`▲ retrying for ${format.span(found.retrying_seconds)}`);
    if (found?.failed_events > 0) parts.push(`✕ ${format.count(found.failed_events)} rejected`);
    if (found?.error) parts.push(`✕ ${found.error}`);
    return parts.join(" · ");
  };
  return h("button.endpoint", { "data-id": `sink:${endpoint.name}`, onclick: () => select(`sink:${endpoint.name}`, true) },
    h("span.row", h("strong", endpoint.name), liveState(scope, subject)),
    h("span.row.muted", h("span", endpoint.type), scope.live("span.n", () => `${format.rate(perSecond(subject, "delivered_events"))} · ${format.byteRate(perSecond(subject, "delivered_bytes"))}`)),
    queueLine(scope, subject, "queue"),
    noteLine(scope, note));
}

function otherPipeline(name) {
  return h("div.endpoint", h("span.row", h("strong", name), tag("quiet", "pipeline")));
}

function edgeList(scope, pipeline) {
  const rows = pipeline.edges.map((edge) => [
    h("button.linkish", { onclick: () => select(`edge:${edge.point}>${edge.to}`, true) }, edge.from ? `${edge.from}.${edge.port}` : "input"),
    edge.to,
    scope.live("span", () => format.rate(perSecond(...edgeEvents(pipeline.name, edge)))),
    scope.live("span", () => format.byteRate(edgeByteRate(pipeline, edge))),
    scope.live("span", () => format.share(edgeShare(pipeline, edge))),
    scope.live("span", () => format.count(now(...edgeEvents(pipeline.name, edge)))),
    edge.masked ? "masked" : "before a mask",
  ]);
  const nodes = pipeline.nodes.map((node) => {
    const subject = of.node(pipeline.name, node.name);
    return [
      h("button.linkish", { onclick: () => select(`node:${pipeline.name}/${node.name}`, true) }, node.name),
      node.type,
      scope.live("span", () => format.rate(perSecond(subject, "received_events"))),
      scope.live("span", () => format.share(perSecond(subject, "call_seconds"))),
      scope.live("span", () => format.time(nsPerEvent(subject))),
      scope.live("span", () => format.bytes(now(subject, "memory_bytes"))),
      scope.live("span", () => format.count(totalFaults(store.status && subject(store.status)))),
    ];
  });
  return h("details.list", { open: innerWidth < 600 }, h("summary", "As a list"),
    table(`Nodes of ${pipeline.name}`, ["Node", "Type", "#Events", "#CPU", "#Per event", "#Memory", "#Faults"], nodes),
    table(`Edges of ${pipeline.name}`, ["From", "To", "#Events", "#Bytes", "#Share", "#Total", "Tap"], rows));
}

function pipelineSection(scope, pipeline) {
  const { graph } = store;
  let drawing = drawings.get(pipeline.name);
  if (!drawing) {
    drawing = new Drawing(pipeline.name);
    drawings.set(pipeline.name, drawing);
  }
  const canvas = h("div.canvas", { tabindex: "0", role: "region", "aria-label": `Drawing of ${pipeline.name}` }, drawing.svg);
  if (drawing.pipeline !== pipeline) drawing.draw(pipeline, drawing.pipeline);
  if (drawing.observer) drawing.observer.disconnect();
  drawing.observer = new ResizeObserver(() => drawing.fit());
  drawing.observer.observe(canvas);
  scope.on(() => drawing.update());
  const sources = pipeline.inputs.map((name) => {
    const endpoint = graph.sources.find((source) => source.name === name);
    return endpoint ? sourceCard(scope, endpoint) : otherPipeline(name);
  });
  const sinkNames = [...new Set(pipeline.outputs.flatMap((output) => output.sinks))];
  const sinks = sinkNames.map((name) => sinkCard(scope, graph.sinks.find((sink) => sink.name === name) || { name, type: "" }));
  const fed = [...new Set(pipeline.outputs.flatMap((output) => output.pipelines))].map(otherPipeline);
  return h("section.pipeline", { "aria-label": `Pipeline ${pipeline.name}` },
    h("header.row", h("h2", pipeline.name),
      pipeline.pack ? h("span.muted", pipeline.pack) : h("span.muted", "inline graph"),
      pipeline.canary ? tag("new", `canary ${pipeline.canary}`) : null,
      pipeline.shadow ? tag("quiet", `shadow ${pipeline.shadow}`) : null, drawing.whole()),
    h(pipeline.drawing.width > 760 ? "div.flow" : "div.flow.beside",
      h("div.ends", { role: "group", "aria-label": "Sources" }, h("h3", "Sources"), sources),
      canvas,
      h("div.ends", { role: "group", "aria-label": "Sinks" }, h("h3", "Sinks"), sinks, fed)),
    edgeList(scope, pipeline));
}

function legend() {
  const line = (kind) => s("svg", { viewBox: "0 0 28 8", width: 28, height: 8, "aria-hidden": "true" }, s(`g.edge.${kind}`, s("path.line", { d: "M1 4H27" })));
  return h("ul.legend", { "aria-label": "Legend" },
    h("li", line("plain"), "after the masks, width by share"),
    h("li", line("unmasked"), "before a mask: tap shows no events"),
    h("li", line("failed"), "failed events"),
    h("li", s("svg", { viewBox: "0 0 12 12", width: 12, height: 12, "aria-hidden": "true" }, s("path.shield", { d: "M1 2 l5 -2 l5 2 v4 q0 4 -5 6 q-5 -2 -5 -6z" })), "masks"),
    h("li", h("span.memory-key", { "aria-hidden": "true" }), "peak memory of the maximum"));
}

// The line about the last swap; it stays until the next one.
function changeLine(scope) {
  const line = h("p.change", { hidden: true });
  let shown = null;
  scope.on(() => {
    if (lastChange === shown) return;
    shown = lastChange;
    line.hidden = !shown;
    if (shown) line.replaceChildren(h("strong", shown.title), ` ${shown.text} `, h("span.muted", `at ${shown.at}`));
  });
  return line;
}

listen("graph", (graph, before) => {
  if (!before || graph.generation === before.generation) return;
  const title = `Generation ${before.generation} → ${graph.generation}`;
  lastChange = { title, text: changeOf(graph, before), at: new Date().toLocaleTimeString("en-GB") };
  announce(`${title}: ${lastChange.text}`);
  for (const name of [...drawings.keys()]) {
    if (!graph.pipelines.some((pipeline) => pipeline.name === name)) drawings.delete(name);
  }
});

const graphView = {
  title: "Graph",
  shape: () => `${store.graph.generation}`,
  build: (scope) => [
    h("h2.sr", "Graph"),
    figures(scope),
    changeLine(scope),
    store.graph.pipelines.map((pipeline) => pipelineSection(scope, pipeline)),
    store.graph.pipelines.length > 0 ? legend() : empty("The configuration has no pipeline."),
  ],
};
