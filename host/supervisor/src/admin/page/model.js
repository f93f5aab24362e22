// Questions about the graph and the status: names, points, masks, rates.

// Lookups by name are made once for each status.
const lookups = new WeakMap();

function lookup(status) {
  let found = lookups.get(status);
  if (!found) {
    const named = (list) => new Map((list || []).map((item) => [item.name, item]));
    const pipelines = new Map((status.pipelines || []).map((pipeline) =>
      [pipeline.name, { pipeline, nodes: named(pipeline.nodes), outputs: named(pipeline.outputs) }]));
    found = { pipelines, sources: named(status.sources), sinks: named(status.sinks) };
    lookups.set(status, found);
  }
  return found;
}

const of = {
  pipeline: (name) => (status) => lookup(status).pipelines.get(name)?.pipeline,
  node: (pipeline, name) => (status) => lookup(status).pipelines.get(pipeline)?.nodes.get(name),
  output: (pipeline, name) => (status) => lookup(status).pipelines.get(pipeline)?.outputs.get(name),
  source: (name) => (status) => lookup(status).sources.get(name),
  sink: (name) => (status) => lookup(status).sinks.get(name),
};

// A number of a subject: now, and its rate. A subject that has no such count yet has 0.
function now(subject, key) {
  const found = store.status && subject(store.status);
  return found ? number(found, key) : undefined;
}

function number(found, key) {
  return typeof key === "function" ? key(found) : found[key] ?? 0;
}

function perSecond(subject, key) {
  return rate((status) => {
    const found = subject(status);
    return found && number(found, key);
  });
}

function sum(object) {
  return Object.values(object || {}).reduce((total, value) => total + value, 0);
}

function totalFaults(node) {
  return (node?.faults || []).reduce((total, fault) => total + fault.count, 0);
}

// Events of an edge, as a number that grows.
function edgeEvents(pipeline, edge) {
  if (!edge.from) return [of.pipeline(pipeline), "received_events"];
  return [of.node(pipeline, edge.from), (node) => node.ports?.[edge.port] ?? 0];
}

// Bytes of an edge: of the input, of a port where the agent counts them, and of an output that has one edge only.
function edgeBytes(pipeline, edge) {
  if (!edge.from) return [of.pipeline(pipeline.name), "received_bytes"];
  const node = store.status && of.node(pipeline.name, edge.from)(store.status);
  if (node?.port_bytes) return [of.node(pipeline.name, edge.from), (found) => found.port_bytes?.[edge.port] ?? 0];
  const isOnly = pipeline.edges.filter((other) => other.to === edge.to && other.to_output === edge.to_output).length === 1;
  return edge.to_output && isOnly ? [of.output(pipeline.name, edge.to), "bytes"] : null;
}

function edgeByteRate(pipeline, edge) {
  const bytes = edgeBytes(pipeline, edge);
  return bytes ? perSecond(...bytes) : undefined;
}

// Share of an edge in the busiest one of its pipeline.
function edgeShare(pipeline, edge) {
  const rates = pipeline.edges.map((other) => perSecond(...edgeEvents(pipeline.name, other)) || 0);
  const most = Math.max(...rates, 0);
  return most > 0 ? (perSecond(...edgeEvents(pipeline.name, edge)) || 0) / most : 0;
}

function nsPerEvent(subject) {
  const events = perSecond(subject, "received_events");
  const seconds = perSecond(subject, "call_seconds");
  if (events > 0 && known(seconds)) return seconds / events;
  // Without events at present: the mean since the start.
  const all = now(subject, "received_events");
  return all > 0 ? now(subject, "call_seconds") / all : undefined;
}

function pipelineOf(name) {
  return (store.graph?.pipelines || []).find((pipeline) => pipeline.name === name);
}

// Pipeline, edges and output of a point.
function pointOf(name) {
  for (const pipeline of store.graph?.pipelines || []) {
    const edges = pipeline.edges.filter((edge) => edge.point === name);
    const output = pipeline.outputs.find((found) => `${pipeline.name}.${found.name}` === name);
    if (edges.length > 0 || output) return { pipeline, edges, output, masked: output ? output.masked : edges.every((edge) => edge.masked) };
  }
  return null;
}

// A point as a title: `mask → out`.
function pointTitle(name) {
  const found = pointOf(name);
  if (!found) return name;
  if (found.output) return `output ${found.output.name}`;
  const [edge] = found.edges;
  return edge.from ? `${edge.from} → ${edge.port}` : "input";
}

// The masking nodes that the events of a point can still meet. For an output: those of the pipeline.
function masksAhead(found) {
  const { pipeline } = found;
  const masks = new Set(pipeline.nodes.filter((node) => node.masks).map((node) => node.name));
  if (found.output) return [...masks];
  const seen = new Set();
  const open = found.edges.filter((edge) => !edge.to_output).map((edge) => edge.to);
  while (open.length > 0) {
    const name = open.pop();
    if (seen.has(name)) continue;
    seen.add(name);
    open.push(...pipeline.edges.filter((edge) => edge.from === name && !edge.to_output).map((edge) => edge.to));
  }
  return [...masks].filter((name) => seen.has(name));
}

// Why a point may not be shown; null if it may.
function whyHidden(name) {
  const policy = store.index?.tap;
  if (policy === "off") return ["The operator turned taps off. ", h("code", 'tap = "masked"'), " in ", h("code", "[admin]"), " allows them."];
  const found = pointOf(name);
  if (!found || policy === "all" || found.masked) return null;
  const grant = [" To show all events, the operator sets ", h("code", 'tap = "all"'), " in ", h("code", "[admin]"), "."];
  const masks = masksAhead(found).map((mask, at) => [at > 0 ? ", " : "", h("code", mask)]);
  if (masks.length === 0) return ["Some of its events have not passed every mask of the pipeline.", grant];
  if (found.output) return ["Not all events of this output have passed the masks of the pipeline (", masks, ").", grant];
  return ["This point lies before ", masks.length > 1 ? "the masks " : "the mask ", masks, ", so its events may hold secrets.", grant];
}

// Series of the small charts in the head of the graph.
function record() {
  const status = store.status;
  const all = (key) => (from) => from.pipelines.reduce((total, pipeline) => total + (pipeline[key] || 0), 0);
  // One by one, since a swap adds and removes outputs.
  const outputs = status.pipelines.flatMap((pipeline) => pipeline.outputs.map((output) => rate((from) => of.output(pipeline.name, output.name)(from)?.bytes)));
  const out = outputs.some(known) ? outputs.filter(known).reduce((total, bytes) => total + bytes, 0) : undefined;
  point("events", rate(all("received_events")));
  point("in", rate(all("received_bytes")));
  point("out", out);
  point("failed", rate(all("failed_events")));
  point("cpu", rate((from) => from.cpu_seconds));
  point("memory", status.resident_memory_bytes);
}

// The last point of a series.
function last(name) {
  const series = store.series.get(name);
  return series && store.past.length > 0 ? series[series.length - 1] : undefined;
}
