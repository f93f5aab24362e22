// Secrets are neither in the page nor in anything that the API returns.

// Milliseconds for which each stream is read.
const STREAM = 2500;
// Points of one tap, of which the agent allows 64.
const POINTS = 60;

// Parts too: a cut event must not end in the middle of a secret.
export function leaks(spec, text) {
  return spec.secrets.map((secret) => secret.slice(0, 12)).filter((part) => text.includes(part));
}

// Everything that a stream sends in a while.
async function stream(context, path) {
  const response = await fetch(new URL(path, context.spec.url), { signal: AbortSignal.timeout(STREAM) });
  let text = "";
  try {
    const decoder = new TextDecoder();
    for await (const part of response.body) text += decoder.decode(part, { stream: true });
  } catch (error) {
    if (!/abort|timeout/i.test(error.name)) throw error;
  }
  return { status: response.status, text };
}

const events = (text, name) => [...text.matchAll(/^event: ?(\w+)\r?\ndata: ?(.*)$/gm)].filter(([, kind]) => kind === name).map(([, , data]) => JSON.parse(data));

// All points that may be shown at the highest rate, a trace from the input, and every document.
export async function api(context) {
  const { check, spec } = context;
  const graph = await context.graph();
  const points = new Set();
  const hidden = new Set();
  for (const pipeline of graph.pipelines) {
    for (const edge of pipeline.edges) (edge.masked ? points : hidden).add(edge.point);
    for (const output of pipeline.outputs) (output.masked ? points : hidden).add(`${pipeline.name}.${output.name}`);
  }
  const [input] = hidden;
  const all = [...points];
  const paths = [`/api/v1/trace?${new URLSearchParams({ point: input, rate: "50" })}`];
  for (let at = 0; at < all.length; at += POINTS) paths.push(`/api/v1/tap?${new URLSearchParams([["rate", "1000"], ...all.slice(at, at + POINTS).map((point) => ["point", point])])}`);
  const [trace, ...taps] = await Promise.all(paths.map((path) => stream(context, path)));
  const tap = { status: Math.max(...taps.map((one) => one.status)), text: taps.map((one) => one.text).join("\n") };
  const tapped = events(tap.text, "event");
  check("the tap of all points sent events", tap.status === 200 && tapped.length > 50, `${tap.status}, ${tapped.length} events of ${points.size} points`);
  check("the tap sent planted events, masked", tapped.some((one) => JSON.stringify(one).includes("CreatePlanted")) && tap.text.includes(spec.mask_text));
  check("the tap of all points has no secret", leaks(spec, tap.text).length === 0, leaks(spec, tap.text));
  // A trace from a point before the masks leaves out what may not be shown.
  const traces = events(trace.text, "trace");
  check("traces from the input came", trace.status === 200 && traces.length > 0, `${trace.status}, ${traces.length} traces`);
  const open = traces.flatMap((one) => one.steps).filter((one) => hidden.has(one.point) && one.event !== undefined && one.event !== null);
  check("traces leave out events before the masks", open.length === 0, open.slice(0, 2));
  check("traces have no secret", leaks(spec, trace.text).length === 0, leaks(spec, trace.text));
  for (const path of ["", "/graph", "/status", "/failures", "/packs", "/shadows", "/history", "/schema"]) {
    const { status, text } = await context.get(`/api/v1${path}`);
    check(`/api/v1${path} has no secret`, status === 200 && leaks(spec, text).length === 0, `${status} ${leaks(spec, text)}`);
  }
  const failures = await context.json("/api/v1/failures");
  check("there are failures with samples", failures.failures.some((one) => one.samples.length > 0), `${failures.failures.length} codes`);
  for (const point of hidden) {
    const refused = await context.get(`/api/v1/tap?${new URLSearchParams({ point })}`);
    check(`the agent refuses a tap of ${point}`, refused.status === 403, `${refused.status}`);
  }
}

export async function secrets(context, page) {
  const { check, spec } = context;
  const received = await page.evaluate(() => window.received.join(""));
  check("the page received events", received.includes("CreatePlanted") && received.includes(spec.mask_text), `${received.length} characters`);
  check("there are secrets to look for", spec.secrets.length > 3, String(spec.secrets.length));
  check("no secret in what the page received", leaks(spec, received).length === 0, leaks(spec, received));
}

// The document of the page, at a moment at which it shows something.
export async function noSecretShown(context, page, where) {
  const found = leaks(context.spec, await page.content());
  context.check(`no secret in the page with ${where}`, found.length === 0, found);
}
