// What the agent reports: the stream of documents, and rates from two of them.

// Number of statuses over which rates are computed, one a second.
const WINDOW = 3;
// Number of points of the small charts.
const MAX_POINTS = 90;
const MAX_PAUSE = 15_000;

const store = {
  index: null,
  graph: null,
  status: null,
  // Earlier statuses, the oldest first.
  past: [],
  // Series of the small charts, by name.
  series: new Map(),
  link: "connecting",
  lostAt: null,
  retryAt: null,
  listeners: { status: [], graph: [], link: [] },
};

function listen(kind, listener) {
  store.listeners[kind].push(listener);
}

function emit(kind, ...values) {
  for (const listener of store.listeners[kind]) listener(...values);
}

// Why a request failed, in the words of the agent.
class Refused extends Error {
  constructor(status, problem) {
    super(problem.error || `the agent answered with status ${status}`);
    this.status = status;
    this.diagnostics = problem.diagnostics || [];
  }
}

async function refused(response) {
  const text = await response.text();
  let problem = { error: text.trim() };
  try {
    problem = JSON.parse(text);
  } catch {
    // Not every error is a document of the API.
  }
  return new Refused(response.status, problem);
}

async function request(path, options = {}) {
  const response = await fetch(`/api/v1${path}`, { cache: "no-store", ...options });
  if (!response.ok) throw await refused(response);
  return response.json();
}

// Reads server-sent events. `EventSource` hides the text of a refusal, so this reads the body itself.
async function events(path, signal, receive, opened = () => {}) {
  const response = await fetch(`/api/v1${path}`, { cache: "no-store", signal, headers: { accept: "text/event-stream" } });
  if (!response.ok) throw await refused(response);
  opened();
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    const blocks = text.split(/\r?\n\r?\n/);
    text = blocks.pop();
    for (const block of blocks) {
      let name = "message";
      const data = [];
      for (const line of block.split(/\r?\n/)) {
        if (line.startsWith("event:")) name = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      }
      if (data.length > 0) receive(name, JSON.parse(data.join("\n")));
    }
  }
}

function take(kind, document) {
  if (kind === "graph") {
    const before = store.graph;
    if (before && before.generation === document.generation && JSON.stringify(before) === JSON.stringify(document)) return;
    store.graph = document;
    emit("graph", document, before);
  } else if (kind === "status") {
    if (store.status && document.uptime_seconds < store.status.uptime_seconds) forget();
    if (store.status && document.uptime_seconds === store.status.uptime_seconds) return;
    if (store.status) store.past.push(store.status);
    if (store.past.length > WINDOW) store.past.shift();
    store.status = document;
    record();
    emit("status", document);
    if (store.graph && store.graph.generation !== document.generation) refreshGraph();
  }
}

// The agent was started again: its counts begin at 0.
function forget() {
  store.past = [];
  store.status = null;
  store.series.clear();
}

let isRefreshing = false;
async function refreshGraph() {
  if (isRefreshing) return;
  isRefreshing = true;
  try {
    take("graph", await request("/graph"));
  } catch {
    // The stream sends the graph too, and asks again with the next status.
  } finally {
    isRefreshing = false;
  }
}

// A rate per second of a number of the status; undefined until there are two statuses that have it.
function rate(read) {
  const [old] = store.past;
  const now = store.status;
  if (!old || !now) return undefined;
  const seconds = now.uptime_seconds - old.uptime_seconds;
  const from = read(old);
  const to = read(now);
  if (!(seconds > 0) || !known(from) || !known(to) || to < from) return undefined;
  return (to - from) / seconds;
}

// Appends to a series of a small chart, at most once for each status.
function point(name, value) {
  if (!known(value)) return;
  const series = store.series.get(name) || [];
  series.push(value);
  if (series.length > MAX_POINTS) series.shift();
  store.series.set(name, series);
}

function setLink(link) {
  store.link = link;
  if (link === "live") store.lostAt = null;
  else if (link === "lost" && store.lostAt === null) store.lostAt = Date.now();
  emit("link");
}

let stream = null;

// Reads the stream until the page is hidden, and connects again after each loss, with growing pauses.
async function follow() {
  let pause = 500;
  stream = new AbortController();
  const { signal } = stream;
  while (!signal.aborted) {
    try {
      const [index, graph, status] = await Promise.all([request("", { signal }), request("/graph", { signal }), request("/status", { signal })]);
      store.index = index;
      take("graph", graph);
      take("status", status);
      await events("/stream", signal, take, () => {
        pause = 500;
        setLink("live");
      });
    } catch (error) {
      if (signal.aborted) return;
      store.error = error instanceof Refused ? error.message : null;
    }
    if (signal.aborted) return;
    // Half of the pause is random, so that many pages do not come back at the same moment.
    const wait = pause * (0.5 + Math.random() / 2);
    store.retryAt = Date.now() + wait;
    setLink("lost");
    await new Promise((resolve) => setTimeout(resolve, wait));
    pause = Math.min(2 * pause, MAX_PAUSE);
  }
}

function unfollow() {
  if (stream) stream.abort();
  stream = null;
}
