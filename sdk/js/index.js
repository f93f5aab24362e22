// The SDK for Wattle nodes in JavaScript; index.d.ts is the documentation.
//
// componentize-qjs 0.4.5 passes `list<u8>` as a Uint8Array, other lists as arrays, `none` as null or undefined, and integers
// of 64 bits as numbers; it traps on a BigInt.

import host from "wattle:node/batch@0.2.0";
import events from "wattle:node/events@0.2.0";
import fields from "wattle:node/fields@0.2.0";
import diagnostics from "wattle:node/diagnostics@0.2.0";

export const keep = { what: "keep" };
export const port = (index) => ({ what: "port", index });
export const drop = (code) => ({ what: "drop", code });
export const fail = (code, message) => ({ what: "fail", code, message });
export const hold = { what: "hold" };

/** The value that leaves the time of a row unchanged, for `setTimestamp`. */
export const LEAVE = -(2 ** 63);

/** A node that decides about one event at a time. */
export function eventNode(definition) {
  return exported(definition, (decide, touched) => () => {
    const rows = host.rows();
    const columns = [];
    const written = [];
    const ports = new Uint8Array(rows);
    const drops = new Map();
    const held = [];
    const reasons = new Reasons();
    let routed = false;
    let row = 0;
    const event = {
      get: (field) => (columns[field] ??= host.readText(touched[field]))[row] ?? undefined,
      set: (field, value) => {
        (written[field] ??= new Array(rows).fill(null))[row] = String(value);
      },
      emit,
    };
    for (; row < rows; row++) {
      const action = decide(event) ?? keep;
      switch (action.what) {
        case "keep":
          break;
        case "port":
          ports[row] = action.index;
          routed = true;
          break;
        case "drop":
          if (!drops.has(action.code)) drops.set(action.code, []);
          drops.get(action.code).push(row);
          break;
        case "fail":
          reasons.add(row, action.code, action.message);
          break;
        case "hold":
          held.push(row);
          break;
        default:
          throw new TypeError(`an event was answered with ${JSON.stringify(action)}`);
      }
    }
    written.forEach((values, field) => host.setText(touched[field], values));
    drops.forEach((dropped, code) => host.drop(dropped, code));
    batch.hold(held);
    batch.fail(reasons);
    if (routed) host.route(ports);
  });
}

/** A node that decides about all rows of a batch at once. */
export function columnNode(definition) {
  return exported(definition, (decide) => () => decide(batch));
}

/** An error that fails every row of the batch, on purpose. */
export class NodeError extends Error {}

/** Rows that fail, with reasons. Neighbouring rows with the same reason share it. */
export class Reasons {
  rows = [];
  which = [];
  reasons = [];

  add(row, code, message) {
    const { reasons } = this;
    // Compare only the last few: if all rows differ, comparing all would be quadratic.
    let known = reasons.length - 1;
    for (const oldest = Math.max(0, reasons.length - 16); known >= oldest; known--) {
      if (reasons[known].code === code && reasons[known].message === message) break;
    }
    if (known < 0 || reasons[known].code !== code || reasons[known].message !== message) {
      known = reasons.push({ code, message }) - 1;
    }
    this.rows.push(row);
    this.which.push(known);
  }
}

/**
 * The export `state` of a node that keeps state. `save` returns a Uint8Array or a text. `restore` receives snapshots, each
 * with `version`, `bytes` and `text`, and throws a NodeError if it cannot read a snapshot.
 */
export function stateOf({ version, save, restore }) {
  return {
    version: () => version,
    save: () => {
      let saved;
      guarded(() => (saved = save()));
      return { version, bytes: typeof saved === "string" ? utf8(saved) : saved };
    },
    restore: (snapshots) => refusable(() => restore(snapshots.map(({ version, bytes }) => new Snapshot(version, bytes)))),
  };
}

/**
 * The export `timer` of a node that acts between batches. `tick` receives an object with `now`, `last`, `emit` and `count`,
 * and throws a NodeError to fail.
 */
export function timerOf(tick) {
  return { tick: (now, last) => refusable(() => tick({ now: BigInt(now), last, emit, count })) };
}

/** State at one moment. */
class Snapshot {
  constructor(version, bytes) {
    this.version = version;
    this.bytes = bytes;
  }

  get text() {
    let bytes = "";
    for (const byte of this.bytes) bytes += String.fromCharCode(byte);
    try {
      return decodeURIComponent(escape(bytes));
    } catch {
      throw new NodeError("the state is no text");
    }
  }
}

function emit(port, made, kind = "log") {
  if (made.length === 0) return;
  const bodies = column(made.map(({ body }) => body));
  const attributes = column(made.map(({ attributes }) => (attributes == null ? null : JSON.stringify(attributes))));
  events.emit(port, kind, bodies, attributes, made.map(({ timestamp = LEAVE }) => Number(timestamp)));
}

function count(name, value) {
  if (value > 0) host.count(name, value);
}

/** Handles of the host. A field is an index into it, for both kinds of nodes. */
let handles = [];

const batch = {
  get rows() {
    return host.rows();
  },
  get redelivered() {
    return host.redelivered();
  },
  readText: (field) => host.readText(handles[field]),
  read: (field, form = "text") => host.read(handles[field], form),
  checkJson: (field) => host.checkJson(handles[field]),
  setText: (field, values) => host.setText(handles[field], values),
  set: (field, form, column) => host.set(handles[field], form, column),
  setJsonFrom: (target, source, rows) => host.setJsonFrom(handles[target], handles[source], rows),
  setTimestamp: (nanoseconds) => host.setTimestamp(nanoseconds.map(Number)),
  replace: (field, form, starts, ends, texts) => host.replace(handles[field], form, starts, ends, column(texts)),
  split: (field, form, { parents, starts, ends }, prefix = "", suffix = "") =>
    host.split(handles[field], form, parents, starts, ends, utf8(prefix), utf8(suffix)),
  splitInto: (parents, bodies) => host.splitInto(parents, column(bodies)),
  combine: (groups, bodies) => {
    const offsets = [0];
    groups.forEach((group) => offsets.push(offsets[offsets.length - 1] + group.length));
    if (groups.length > 0) host.combine(groups.flat(), offsets, column(bodies));
  },
  hold: (rows) => {
    if (rows.length > 0) host.hold(rows);
  },
  emit,
  drop: (rows, code) => {
    if (rows.length > 0) host.drop(rows, code);
  },
  route: (ports) => host.route(ports),
  copyTo: (to, rows) => {
    if (rows.length > 0) host.copyTo(to, rows);
  },
  fail: ({ rows, which, reasons }) => {
    if (rows.length > 0) host.fail(rows, which, reasons);
  },
  count,
};

/** The UTF-8 bytes of a text; QuickJS has no TextEncoder. */
export function utf8(text) {
  const bytes = unescape(encodeURIComponent(text.toWellFormed ? text.toWellFormed() : text));
  const array = new Uint8Array(bytes.length);
  for (let i = 0; i < bytes.length; i++) array[i] = bytes.charCodeAt(i);
  return array;
}

/** A column of texts; `null` and `undefined` are rows without a value. */
export function column(texts) {
  const rows = texts.map((text) => (text == null ? new Uint8Array(0) : utf8(text)));
  const offsets = [0];
  rows.forEach((row) => offsets.push(offsets[offsets.length - 1] + row.length));
  const bytes = new Uint8Array(offsets[rows.length]);
  rows.forEach((row, index) => bytes.set(row, offsets[index]));
  return { bytes, offsets, kinds: new Uint8Array(texts.map((text) => (text == null ? 0 : 4))) };
}

/** The exports of the world: `describe`, `configure` and `process`. */
function exported(definition, faceOf) {
  const { name, version, summary, options: spec = {}, masks = false, configure } = definition;
  let processNow;
  return {
    describe: () => ({ name, version, summary, optionsSchema: JSON.stringify(schemaOf(spec)), masks }),
    configure: (text) => {
      const errors = [];
      let ports = ["out"];
      let tickMilliseconds;
      let sharing = { tag: "worker" };
      const touched = [];
      const resolve = (read, write) => (option, path) => {
        try {
          return touched.push(fields.resolve(path, { read, write })) - 1;
        } catch (error) {
          errors.push({ path: option, message: messageOf(error) });
          return -1;
        }
      };
      const setup = {
        read: resolve(true, false),
        write: resolve(false, true),
        change: resolve(true, true),
        ports: (names) => (ports = names),
        tickEvery: (milliseconds) => (tickMilliseconds = milliseconds),
        share: (how) => (sharing = Array.isArray(how) ? { tag: "key", val: how } : { tag: how }),
        error: (option, message) => errors.push({ path: option, message }),
      };
      guarded(() => {
        const options = checked(spec, text, errors);
        if (options === undefined) return;
        const decide = configure(options, setup);
        handles = touched;
        if (errors.length === 0) processNow = faceOf(decide, touched);
      });
      if (errors.length > 0) throw errors;
      return { ports, tickMilliseconds, sharing };
    },
    process: () => refusable(processNow),
  };
}

/** Runs a function that can refuse on purpose with a NodeError. */
function refusable(run) {
  let refused;
  guarded(() => {
    try {
      run();
    } catch (error) {
      if (!(error instanceof NodeError)) throw error;
      refused = error.message;
    }
  });
  if (refused !== undefined) throw refused;
}

/** Runs a function, and reports an exception to the host before it ends the call, with message and position. */
function guarded(run) {
  try {
    run();
  } catch (error) {
    diagnostics.panicked(error instanceof Error ? `${error.name}: ${error.message}\n${error.stack ?? ""}` : String(error));
    throw error;
  }
}

function messageOf(error) {
  if (typeof error === "string") return error;
  return error?.payload ?? error?.message ?? String(error);
}

const TYPES = {
  string: ["a string", (value) => typeof value === "string"],
  number: ["a number", (value) => typeof value === "number"],
  integer: ["a whole number", Number.isInteger],
  boolean: ["true or false", (value) => typeof value === "boolean"],
  array: ["a list", Array.isArray],
  object: ["a table", (value) => typeof value === "object" && value !== null && !Array.isArray(value)],
};

/** The options with their defaults; undefined after an error. */
function checked(spec, text, errors) {
  let options;
  try {
    options = JSON.parse(text);
  } catch (error) {
    errors.push({ path: "", message: `the options are not JSON: ${error.message}` });
    return undefined;
  }
  if (!TYPES.object[1](options)) {
    errors.push({ path: "", message: "the options must be a JSON object" });
    return undefined;
  }
  const known = Object.keys(spec);
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) {
      errors.push({ path: key, message: `unknown option; there are ${known.join(", ") || "none"}` });
    }
  }
  const found = {};
  for (const [key, { type, enum: allowed, default: otherwise }] of Object.entries(spec)) {
    if (!(key in options)) {
      if (otherwise === undefined) errors.push({ path: "", message: `missing option \`${key}\`` });
      found[key] = otherwise;
      continue;
    }
    const value = options[key];
    const [title, fits] = TYPES[type];
    if (!fits(value)) errors.push({ path: key, message: `must be ${title}` });
    else if (allowed && !allowed.includes(value)) {
      errors.push({ path: key, message: `${JSON.stringify(value)} is not one of ${allowed.join(", ")}` });
    }
    found[key] = value;
  }
  return errors.length === 0 ? found : undefined;
}

function schemaOf(spec) {
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    type: "object",
    additionalProperties: false,
    properties: spec,
    required: Object.keys(spec).filter((key) => spec[key].default === undefined),
  };
}
