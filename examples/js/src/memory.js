// Counts events by key, and makes a metric of each count at the end of a window: a node with memory and a timer. Your
// component has `export const state = stateOf({ version: 1, save, restore })` and `export const timer = timerOf(tick)`.

import { columnNode, eventNode, hold, keep, NodeError, utf8 } from "wattle-node";

/** Bounds of the memory; other events leave uncounted. */
const MAX_KEYS = 100;
const MAX_KEY = 64;

const about = {
  name: "memory",
  version: "1.0.0",
  summary: "Counts events by key, and makes a metric of each count at the end of a window.",
  options: {
    key: { type: "string" },
    window: { type: "integer", description: "In milliseconds" },
    sharing: { type: "string", enum: ["worker", "single", "key"] },
  },
};

let window = 0n;
/** Start of the window, undefined before the first tick. */
let start;
let counts = new Map();

/** Prepares the memory, and returns the field of the key. */
function prepared(options, setup) {
  window = BigInt(options.window) * 1_000_000n;
  start = undefined;
  counts = new Map();
  setup.tickEvery(options.window);
  setup.share(options.sharing === "key" ? [options.key] : options.sharing);
  return setup.read("key", options.key);
}

/** Adds to the count of a key, if there is memory for it. */
function counted(key, number) {
  if (utf8(key).length > MAX_KEY || (!counts.has(key) && counts.size === MAX_KEYS)) return false;
  counts.set(key, (counts.get(key) ?? 0) + number);
  return true;
}

export const events = eventNode({
  ...about,
  configure(options, setup) {
    const field = prepared(options, setup);
    return (event) => {
      const key = event.get(field);
      return key !== undefined && counted(key, 1) ? hold : keep;
    };
  },
});

export const columns = columnNode({
  ...about,
  configure(options, setup) {
    const field = prepared(options, setup);
    return (batch) => {
      const held = [];
      batch.readText(field).forEach((key, row) => {
        if (key != null && counted(key, 1)) held.push(row);
      });
      batch.hold(held);
    };
  },
});

export function tick({ now, last, emit, count }) {
  start ??= now;
  if (now - start < window && !last) return;
  const made = Array.from(counts, ([key, value]) => ({
    body: JSON.stringify({ name: "events", type: "sum", temporality: "delta", value }),
    // The same window has the same id, even if the agent repeats it after a crash.
    attributes: { id: `${start}-${key}`, key },
    timestamp: now,
  }));
  emit(0, made, "metric");
  count("reported", made.length);
  start = now;
  counts = new Map();
}

export const save = () => JSON.stringify({ start: start === undefined ? null : String(start), counts: [...counts] });

/** Adds all counts; the window began with the first of them. */
export function restore(snapshots) {
  for (const { version, text } of snapshots) {
    const saved = version === 1 ? parsed(text) : undefined;
    if (saved === undefined) throw new NodeError("the state is no memory of version 1");
    if (saved.start !== undefined && (start === undefined || saved.start < start)) start = saved.start;
    for (const [key, number] of saved.counts) {
      if (!counted(key, number)) throw new NodeError("the states have too many or too long keys");
    }
  }
}

/** The saved state; undefined if the text is something else. */
function parsed(text) {
  try {
    const { start: from, counts: list } = JSON.parse(text);
    const valid = list.every(([key, number]) => typeof key === "string" && Number.isSafeInteger(number));
    return valid ? { start: from === null ? undefined : BigInt(from), counts: list } : undefined;
  } catch {
    return undefined;
  }
}
