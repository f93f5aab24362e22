// A fake agent: serves the page and documents of the API with made-up figures that move, for work on the page without an
// agent. `node fake.mjs [PORT]`; the version of the pack is swapped every 20 s, and at once by `POST /swap`.

import { createServer } from "node:http";
import { gzipSync } from "node:zlib";

import { assemble } from "./assemble.mjs";

const port = Number(process.argv[2] || 8686);
const began = Date.now();
const MASK = "*******************";
let generation = 4;
const history = [
  { at: iso(began - 86_400_000), generation: 1, what: "started", why: "start of the agent", packs: { cloudtrail: "cloudtrail@1.0.0" } },
  { at: iso(began - 7_200_000), generation: 2, what: "applied", why: "agent.toml changed", packs: { cloudtrail: "cloudtrail@1.0.0" } },
  { at: iso(began - 3_600_000), generation: 3, what: "rolled-back", why: "0.83 % of the candidate's events failed, and 0.02 % of the running version's", packs: { cloudtrail: "cloudtrail@1.0.0" } },
  { at: iso(began - 1_800_000), generation: 3, what: "invalid", why: "agent.toml changed", error: "error[E0121]: unknown key `sinkz`, did you mean `sinks`?", packs: {} },
  { at: iso(began - 60_000), generation: 4, what: "promoted", why: "the candidate kept to all rules for 30 min and 1,204,331 events", packs: { cloudtrail: "cloudtrail@1.1.0" } },
];

function iso(at) {
  return new Date(at).toISOString();
}

const isNew = () => generation % 2 === 1;
const version = () => (isNew() ? "1.2.0" : "1.1.0");

// Name, type, inputs, ports, share of the events of the pipeline, nanoseconds.
function nodes() {
  const list = [
    { name: "mask", type: "mask", ports: ["out", "failed"], part: 0.03, ns: 74_000, masks: true, description: "Masks secrets by rules." },
    { name: "unroll", type: "unroll", ports: ["out", "failed"], part: 0.03, ns: 41_000, description: "Makes an event of each record of a log file." },
    { name: "parse", type: "parse", ports: ["out", "failed"], part: 1, ns: 640, description: "Parses the body as JSON." },
    { name: "extract", type: "extract", ports: ["out", "failed"], part: 1, ns: 410, description: "Copies fields to attributes." },
    { name: "route", type: "route", ports: ["notification", "not_important_event", "unmatched", "failed"], part: 1, ns: 380, description: "Routes by the name of the event." },
    { name: "notification", type: "extract", ports: ["out", "failed"], part: 0.01, ns: 300, description: "Fails notifications, so that they leave with a reason." },
    { name: "rates", type: "to-metric", ports: ["out", "metrics", "failed"], part: 0.73, ns: 220, stateful: true, description: "Counts events by service.", capabilities: ["metrics"] },
    { name: "odd", type: isNew() ? "anomaly" : "pattern", ports: isNew() ? ["out", "findings", "failed"] : ["out", "reports", "failed"], part: 0.73, ns: 510, stateful: true, description: "Finds what is unusual." },
  ];
  return list.map((node) => ({ ...node, version: node.name === "route" && isNew() ? "1.3.0" : "1.0.0" }));
}

function edges() {
  const odd = isNew() ? "findings" : "reports";
  const list = [
    [null, "", "mask", 0.03], ["mask", "out", "unroll", 0.03], ["unroll", "out", "parse", 1], ["parse", "out", "extract", 0.999], ["extract", "out", "route", 0.998],
    ["route", "not_important_event", ">get_describe_list", 0.26], ["route", "unmatched", "rates", 0.73], ["route", "notification", "notification", 0.008],
    ["rates", "out", "odd", 0.73], ["odd", "out", ">processed", 0.73], ["rates", "metrics", ">metrics", 0.004], ["odd", odd, ">insight", 0.002],
    ["parse", "failed", ">fails", 0.001], ["extract", "failed", ">fails", 0.001], ["notification", "failed", ">fails", 0.008],
  ];
  return list.map(([from, nodePort, to, part]) => ({ from, port: nodePort, to: to.replace(">", ""), to_output: to.startsWith(">"), part, failed: nodePort === "failed", masked: from !== null }));
}

const outputs = [
  { name: "processed", title: "Processed", description: "Records of interest, and all evidence.", sinks: ["lake", "siem"], size: 1600 },
  { name: "get_describe_list", title: "get describe list", description: "Reads of little interest.", sinks: ["lake"], size: 1200 },
  { name: "fails", title: "Fails", description: "What a node could not process, as it was after the masks.", sinks: ["fails"], size: 900 },
  { name: "metrics", title: "Metrics", description: "Data points.", sinks: ["lake"], size: 240 },
  { name: "insight", title: "Insight", description: "Reports of patterns and findings.", sinks: ["lake"], size: 400 },
];

// Layers by the longest way from the input, rows by order; sizes, gaps and labels as the agent has them.
function drawing(list, links) {
  const layer = new Map();
  const depth = (name, seen = 0) => {
    if (layer.has(name)) return layer.get(name);
    const into = links.filter((edge) => edge.to === name && !edge.to_output && edge.from !== null && seen < 20);
    const found = into.length === 0 ? 1 : 1 + Math.max(...into.map((edge) => depth(edge.from, seen + 1)));
    layer.set(name, found);
    return found;
  };
  const [width, gap] = [124, 88];
  const most = Math.max(...list.map((node) => depth(node.name)));
  const rows = new Map();
  const place = (at) => {
    const row = rows.get(at) || 0;
    rows.set(at, row + 1);
    return { x: 16 + at * (width + gap), y: 16 + row * 74, width, height: 46 };
  };
  const input = place(0);
  const boxes = new Map(list.map((node) => [node.name, place(depth(node.name))]));
  const ends = new Map(outputs.map((output) => [output.name, place(most + 1)]));
  const paths = [];
  const labels = [];
  for (const edge of links) {
    const from = edge.from === null ? input : boxes.get(edge.from);
    const to = edge.to_output ? ends.get(edge.to) : boxes.get(edge.to);
    const mine = links.filter((other) => other.from === edge.from);
    const [x0, y0, x1, y1] = [from.x + width, from.y + 23 + (mine.indexOf(edge) - (mine.length - 1) / 2) * 18, to.x - 5, to.y + 23];
    const middle = (x0 + x1) / 2;
    paths.push(`M${x0} ${y0}C${middle} ${y0} ${middle} ${y1} ${x1} ${y1}`);
    labels.push({ x: x0 + 7, y: y0 - 4 });
  }
  return { width: 32 + (most + 2) * (width + gap) - gap, height: 16 + Math.max(...rows.values()) * 74, boxes: [input, ...boxes.values(), ...ends.values()], paths, labels };
}

function graph() {
  const list = nodes();
  const links = edges();
  return {
    generation,
    sources: [{ name: "trail", type: "aws_s3" }, { name: "demo", type: "demo" }],
    sinks: [{ name: "lake", type: "aws_s3" }, { name: "siem", type: "splunk_hec" }, { name: "fails", type: "file" }],
    pipelines: [{
      name: "cloudtrail", pack: `cloudtrail@${version()}`, canary: isNew() ? undefined : "cloudtrail@1.2.0", shadow: isNew() ? "cloudtrail@2.0.0" : undefined,
      inputs: ["trail", "demo"],
      nodes: list.map((node) => ({ name: node.name, type: `${node.type}@${node.version}`, description: node.description, masks: Boolean(node.masks), stateful: Boolean(node.stateful), capabilities: node.capabilities || [], max_memory_bytes: 64 << 20, ports: node.ports })),
      outputs: outputs.map((output) => ({ name: output.name, title: output.title, description: output.description, discard: false, sinks: output.sinks, pipelines: [], masked: true })),
      edges: links.map((edge) => ({ point: edge.from === null ? "cloudtrail/input" : `cloudtrail/${edge.from}.${edge.port}`, ...(edge.from === null ? {} : { from: edge.from }), port: edge.port, to: edge.to, to_output: edge.to_output, failed: edge.failed, masked: edge.masked })),
      drawing: drawing(list, links),
    }],
  };
}

// Records that passed until now; the load swells and falls.
function records(at = Date.now()) {
  const t = (at - began) / 1000 + 600;
  return Math.round(18_400 * t + 60_000 * Math.sin(t / 9));
}

function status() {
  const at = Date.now();
  const n = records(at);
  const files = Math.round(n * 0.03);
  const uptime = (at - began) / 1000 + 600;
  const links = edges();
  const sent = (name) => Object.fromEntries(links.filter((edge) => edge.from === name).map((edge) => [edge.port, Math.round(n * edge.part)]));
  const list = nodes().map((node) => {
    const received = Math.round(n * node.part);
    return {
      name: node.name, type: `${node.type}@${node.version}`, calls: Math.round(n / 200), call_seconds: (received * node.ns) / 1e9,
      faults: node.name === "odd" && isNew() ? [{ kind: "memory", blame: "guest", count: 3 }] : [],
      ports: sent(node.name), failures: node.name === "notification" ? { pattern_mismatch: Math.round(n * 0.008) } : node.name === "parse" ? { invalid_json: Math.round(n * 0.001) } : node.name === "extract" ? { missing_field: Math.round(n * 0.001) } : {},
      drops: {}, masked_values: node.masks ? { "access-keys": Math.round(n * 0.65), "role-sessions": Math.round(n * 0.63), "session-tokens": Math.round(n * 0.08) } : {},
      received_events: received, restarts: 0, circuit_open: 0, memory_bytes: (9 + node.ns / 20_000) * 1e6, peak_memory_bytes: (4 + node.ns / 9000) * 1e6, quarantined_events: node.masks ? 2 : 0, state_bytes: 120_000,
    };
  });
  const failed = Math.round(n * 0.01);
  const delivered = Math.round(n * 0.73) + Math.round(n * 0.26) + Math.round(n * 0.004) + Math.round(n * 0.002);
  const fill = (0.45 + 0.4 * Math.sin(uptime / 7)) * 64e6;
  const queue = (bytes, max) => ({ events: Math.round(bytes / 1500), bytes: Math.round(bytes), max_bytes: max });
  const sinkCounts = (part, size) => ({ received_events: Math.round(n * part), delivered_events: Math.round(n * part) - 400, delivered_bytes: Math.round(n * part * size), failed_events: 0, dead_letter_events: 0, lost_events: 0, retries: 0 });
  return {
    version: "1.0.0-fake", at: iso(at), phase: "running", ready: true, pid: process.pid, started_at: iso(began - 600_000), uptime_seconds: uptime, config: "/etc/wattle/agent.toml", workers: 4,
    cpu_seconds: n * 1.1e-4 * 0.5, resident_memory_bytes: 148e6 + 6e6 * Math.sin(uptime / 11), generation, loaded_at: iso(swapped), reloads: { applied: generation, unchanged: 0, invalid: 1, failed: 0 },
    sources: [
      { name: "trail", type: "aws_s3", state: "running", buffer: queue(fill, 64e6), blocked_seconds: uptime * 0.04, received_events: files, received_bytes: Math.round(n * 1900), read_bytes: Math.round(n * 210), failures: 0, lost_events: 0, retried_batches: 0, lag_messages: Math.round(140 + 80 * Math.sin(uptime / 5)) },
      { name: "demo", type: "demo", state: "running", buffer: queue(1e6, 64e6), blocked_seconds: 0, received_events: 0, received_bytes: 0, read_bytes: 0, failures: 0, lost_events: 0, retried_batches: 0 },
    ],
    pipelines: [{
      name: "cloudtrail", pack: `cloudtrail@${version()}`, events_per_second: 540, bytes_per_second: 35e6, nodes: list,
      outputs: outputs.map((output) => {
        const part = links.filter((edge) => edge.to === output.name && edge.to_output).reduce((total, edge) => total + edge.part, 0);
        return { name: output.name, events: Math.round(n * part), failed_events: output.name === "fails" ? failed : 0, bytes: Math.round(n * part * output.size) };
      }),
      balance: { received: files, split: delivered + failed + 120 - files - Math.round(n * 0.006) + 40, copied: 0, made: Math.round(n * 0.006), delivered, failed, dropped: 0, held: 120, returned: 0, in_progress: 40 + Math.round(30 * Math.sin(uptime)), unbalanced: 0 },
      received_events: files, received_bytes: Math.round(n * 1900), failed_events: failed, delivered_events: delivered, dropped_events: 0, held_events: 120, returned_events: 0,
    }],
    sinks: [
      { name: "lake", type: "aws_s3", state: "running", backlog: { events: 9000, bytes: fill / 4, oldest_seconds: 3 }, buffer: queue(fill / 4, 64e6), ...sinkCounts(0.99, 1450) },
      { name: "siem", type: "splunk_hec", state: "retrying", retrying_seconds: 12, error: "the server answered 503", backlog: { events: 41_000, bytes: 56e6, oldest_seconds: 14 }, buffer: queue(56e6, 64e6), ...sinkCounts(0.73, 1600), retries: 9 },
      { name: "fails", type: "file", state: "running", backlog: { events: 0, bytes: 0 }, buffer: queue(0, 16e6), ...sinkCounts(0.01, 900) },
    ],
    canaries: isNew() ? [] : [{ pipeline: "cloudtrail", candidate: "cloudtrail@1.2.0", share: 0.1, received_events: Math.round(((at - swapped) / 1000) * 54), failed_events: 3, faulted_batches: 0, promoted_after_seconds: 1800, min_events: 10_000, elapsed_seconds: (at - swapped) / 1000,
      rules: [{ name: "max_fault_rate", allowed: 0.001, primary: 0, candidate: 0, unit: "share" }, { name: "max_fail_rate", allowed: 0.005, primary: 0.0099, candidate: 0.0101, unit: "share" }, { name: "max_latency_ratio", allowed: 1.5, primary: 1, candidate: 1.07, unit: "ratio" }] }],
    shadows: {}, registries: [{ reference: "ghcr.io/example/cloudtrail:1", digest: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", answered_at: iso(at - 12_000), unchanged_polls: 410, changed_polls: 2, failed_polls: 0 }],
    quarantines: [{ pipeline: "cloudtrail", bytes: 18_204 }],
  };
}

const NAMES = ["GetObject", "ListBuckets", "AssumeRole", "PutObject", "DescribeInstances", "ConsoleLogin", "CreateUser"];
let serial = 0;

function record() {
  serial += 1;
  const name = NAMES[serial % NAMES.length];
  return { eventVersion: "1.11", userIdentity: { type: "AssumedRole", principalId: MASK, arn: "arn:aws:sts::296440661095:assumed-role/audit/i-62b74fae", accessKeyId: MASK }, eventTime: iso(Date.now()), eventSource: "s3.amazonaws.com", eventName: name, awsRegion: "eu-central-1", sourceIPAddress: "192.0.2.17", requestParameters: { bucketName: "trail-archive", key: `a/${serial}` }, responseElements: null };
}

function event(point) {
  const found = record();
  if (point.includes("metrics")) return { timestamp: iso(Date.now()), kind: "metric", attributes: { service: ["s3", "ec2", "iam"][serial % 3] }, body: JSON.stringify({ name: "cloudtrail.events", unit: "", type: "sum", temporality: "delta", value: Math.round(400 + 300 * Math.sin(Date.now() / 4000 + (serial % 3))) }) };
  if (point.includes("findings")) return { timestamp: iso(Date.now()), attributes: { finding: "spike" }, body: JSON.stringify({ finding: ["spike", "new", "vanished"][serial % 3], key: { "attributes.eventName": found.eventName }, start: iso(Date.now() - 60_000), end: iso(Date.now()), observed: 410, expected: 90, usual_low: 71, usual_high: 120, score: 6.2, samples: ["AssumeRole by audit"] }) };
  if (point.includes("reports") || point.includes("insight")) return { timestamp: iso(Date.now()), attributes: {}, body: JSON.stringify({ report: "pattern", group: "", start: iso(Date.now() - 10_000), end: iso(Date.now()), pattern: `p${serial % 6}`, template: ["login of <*> failed", "session opened for <*>", "Connection from <ip>:<num> closed", "disk <*> is full", "GET <*> <num>", "retry <num>"][serial % 6], count: 20 + (serial % 90), share: 0.1, last_seen: iso(Date.now()), new: serial % 17 === 0 }) };
  return { timestamp: found.eventTime, body: JSON.stringify(found), attributes: { eventName: found.eventName, Record: found }, resource: { source: { name: "trail", bucket: "trail" } } };
}

function trace() {
  const full = event("route");
  const file = JSON.stringify({ Records: [JSON.parse(full.body)] });
  const raw = { ...full, attributes: {} };
  const at = (name) => `cloudtrail/${name}`;
  return { at: iso(Date.now()), generation, steps: [
    { point: at("input") }, { point: at("mask.out"), event: { body: file, resource: full.resource } }, { point: at("unroll.out"), event: raw },
    { point: at("parse.out"), event: { ...raw, attributes: { Record: full.attributes.Record } } }, { point: at("extract.out"), event: full }, { point: at("route.unmatched"), event: full },
    { point: at("rates.out"), event: full }, { point: "cloudtrail.processed", event: { ...full, severity: "info" } }] };
}

const failures = () => ({ failures: [
  { pipeline: "cloudtrail", node: "notification", code: "pattern_mismatch", events: Math.round(records() * 0.008), samples: [{ at: iso(Date.now() - 4000), message: "`attributes.Record.eventSource` does not match `^[^:]+$`", event: event("route") }] },
  { pipeline: "cloudtrail", node: "parse", code: "invalid_json", events: Math.round(records() * 0.001), samples: [{ at: iso(Date.now() - 9000), message: "expected `,` or `}` at byte 812" }] },
] });

const packs = () => ({ packs: [{ reference: `cloudtrail@${version()}`, name: "cloudtrail", version: version(), origin: "builtin", digest: "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae", signature: "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3", pipelines: ["cloudtrail"], nodes: [{ pipeline: "cloudtrail", node: "rates", asked: ["metrics", "log"], granted: ["metrics"] }], artifacts: { "nodes/mask.wasm": "sha256:fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9" }, parameters: { cloudtrail: { mask_text: MASK, mask_key: "(secret)", route_pattern: "^(Get|List|Describe)" } }, tests: "passed" }] });

const shadows = () => ({ shadows: isNew() ? { cloudtrail: { candidate: "cloudtrail@2.0.0", since: iso(swapped), batches: 8123, skipped_batches: 12, faulted_batches: 0, differing_events: 41, cpu_ratio: 0.93, outputs: { processed: { primary: 91_200, candidate: 91_240, missing: 0, added: 40, changed: 1 }, get_describe_list: { primary: 30_100, candidate: 30_060, missing: 40, added: 0, changed: 0 } }, first: [{ output: "processed", primary: JSON.stringify(event("x")), candidate: JSON.stringify({ ...event("x"), severity: "notice" }) }, { output: "processed", hidden: true }] } } : {} });

function tried(query) {
  const name = query.get("pack") || `cloudtrail@${version()}`;
  const one = (pack, shift) => ({ pack, events: 1, bytes: 19_400, outputs: outputs.slice(0, 3).map((output, at) => ({ name: output.name, title: output.title, events: [9, 3, 1][at] + (at === 0 ? shift : 0), failed_events: at === 2 ? 1 : 0, bytes: [14_200, 3900, 400][at], share: [0.73, 0.2, 0.02][at], sample: [event("x"), event("x")] })), dropped_events: 0, held_events: 0, cpu_seconds: 0.00031, nodes: nodes().slice(0, 6).map((node) => ({ name: node.name, type: `${node.type}@${node.version}`, received_events: 13, dropped: {}, failed: {}, faults: 0, cpu_seconds: node.ns * 1e-9, fuel: node.ns * 9, peak_memory_bytes: 4e6 })), traces: [trace()] });
  const against = query.get("against");
  return { result: one(name, 0), ...(against ? { against: one(against, 1), differences: { processed: { same: 8, changed: 1, added: 0, missing: 1, first: [[event("x"), { ...event("x"), severity: "info" }], [event("x"), null]] } } } : {}) };
}

let swapped = Date.now();
const streams = new Set();

function swap() {
  generation += 1;
  swapped = Date.now();
  history.push({ at: iso(swapped), generation, what: "applied", why: "agent.toml changed", packs: { cloudtrail: `cloudtrail@${version()}` } });
  for (const send of streams) send("graph", graph());
}

function open(response, request) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  response.flushHeaders();
  return (name, data) => response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
}

function every(milliseconds, response, act) {
  const timer = setInterval(act, milliseconds);
  response.on("close", () => clearInterval(timer));
}

function json(response, document, code = 200) {
  response.writeHead(code, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(document));
}

function refusedPoint(point) {
  return point.endsWith("/input") ? { error: `\`${point}\` lies before the mask \`mask\`; set \`tap = "all"\` in [admin] to show its events` } : null;
}

const server = createServer((request, response) => {
  const url = new URL(request.url, "http://fake");
  const path = url.pathname;
  if (request.method === "POST" && path === "/swap") {
    swap();
    json(response, { generation });
  } else if (path === "/") {
    const { html, policy } = assemble();
    response.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy, "content-encoding": "gzip", "x-content-type-options": "nosniff" });
    response.end(gzipSync(html));
  } else if (path === "/api/v1") json(response, { version: "1.0.0-fake", api: 1, tap: "masked", can_try: true, max_try_bytes: 1 << 20, price_per_gb: 0.5, currency: "EUR" });
  else if (path === "/api/v1/graph") json(response, graph());
  else if (path === "/api/v1/status") json(response, status());
  else if (path === "/api/v1/failures") json(response, failures());
  else if (path === "/api/v1/packs") json(response, packs());
  else if (path === "/api/v1/shadows") json(response, shadows());
  else if (path === "/api/v1/history") json(response, { entries: history });
  else if (path === "/api/v1/stream") {
    const send = open(response, request);
    streams.add(send);
    response.on("close", () => streams.delete(send));
    send("graph", graph());
    every(1000, response, () => send("status", status()));
  } else if (path === "/api/v1/tap") {
    const points = url.searchParams.getAll("point");
    const problem = points.map(refusedPoint).find(Boolean);
    if (problem) return json(response, problem, 403);
    const send = open(response, request);
    const rate = Math.min(20, Number(url.searchParams.get("rate") || 10));
    let shown = 0;
    every(1000 / rate, response, () => {
      const point = points[shown % points.length];
      const found = event(point);
      shown += 1;
      send("event", { at: iso(Date.now()), point, generation, event: found, bytes: JSON.stringify(found).length });
    });
    every(1000, response, () => send("report", { passed: shown * 700, shown, skipped: shown * 699 }));
  } else if (path === "/api/v1/trace") {
    const problem = refusedPoint(url.searchParams.get("point") || "");
    if (problem) return json(response, problem, 403);
    const send = open(response, request);
    setTimeout(() => {
      send("trace", trace());
      response.end();
    }, 150);
  } else if (path === "/api/v1/try" && request.method === "POST") {
    request.resume();
    request.on("end", () => (url.searchParams.get("pack") === "broken" ? json(response, { error: "the pack `broken` is invalid", diagnostics: ["error[E0042]: unknown node `msk`"] }, 422) : json(response, tried(url.searchParams))));
  } else json(response, { error: "not found" }, 404);
});

setInterval(swap, 20_000).unref();
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
