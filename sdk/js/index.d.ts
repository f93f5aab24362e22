/**
 * Write a Wattle node in JavaScript or TypeScript.
 *
 * A node is the export `node` of its main module, made with `eventNode` (one event at a time, simple) or `columnNode`
 * (all rows of a batch at once, fast). The decisions are those of `wit/batch.wit`, where their rules stand.
 */

/** A field that was resolved, from {@link Setup}. */
export type Field = number & { readonly __field: unique symbol };

/** An option of the node; one without a default must be given. What is not among them is refused. */
export interface Option {
  type: "string" | "number" | "integer" | "boolean" | "array" | "object";
  description?: string;
  enum?: readonly unknown[];
  default?: unknown;
}

/** While the node is configured. `option` names the option that a path came from, "" for none. */
export interface Setup {
  /** Resolves a path to read. */
  read(option: string, path: string): Field;
  /** Resolves a path to set. */
  write(option: string, path: string): Field;
  /** Resolves a path to read and to change. */
  change(option: string, path: string): Field;
  /** Names the output ports, port 0 first. Without it there is one, `out`. */
  ports(names: string[]): void;
  /** Reports something wrong with an option. */
  error(option: string, message: string): void;
}

/** What a node is, and how it is configured. */
export interface Definition<Decide> {
  /** Name in kebab-case. */
  name: string;
  /** Semantic version. */
  version: string;
  /** One sentence. */
  summary: string;
  options?: Record<string, Option>;
  /** Whether the node hides data. The host never lets a row out unmasked that such a node could not process. */
  masks?: boolean;
  /** Prepares the node; answers with the function that decides. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  configure(options: any, setup: Setup): Decide;
}

/** What becomes of an event. */
export type Action = { readonly what: "keep" | "port" | "drop" | "fail" };
/** It goes on, on port 0; so does an event that is answered with nothing. */
export const keep: Action;
/** It leaves on this port. */
export function port(index: number): Action;
/** It ends here on purpose, counted under this code in kebab-case. */
export function drop(code: string): Action;
/** It leaves unchanged on the port `failed`. */
export function fail(code: string, message: string): Action;

/** One event. */
export interface Event {
  /** The text of a field: strings unescaped, other values as JSON; undefined if the event lacks it. */
  get(field: Field): string | undefined;
  /** Sets a field to a string. */
  set(field: Field, value: string): void;
}

/** The exports of the component. */
export interface Exports {
  describe(): unknown;
  configure(options: string): unknown;
  process(): void;
}

export function eventNode(definition: Definition<(event: Event) => Action | void>): Exports;
export function columnNode(definition: Definition<(batch: Batch) => void>): Exports;

/** State at one moment, as only the node understands it. */
export interface Snapshot {
  /** Version of the form that `save` wrote. */
  readonly version: number;
  readonly bytes: Uint8Array;
  /** The bytes as text; a NodeError if they are none. */
  readonly text: string;
}

/** How a node saves and restores what it keeps between batches. */
export interface State {
  /** Version of the form in which `save` writes. */
  version: number;
  /** Writes the state. */
  save(): string | Uint8Array;
  /**
   * Takes over state before the first batch: mostly one snapshot, several where fewer workers run than when they were
   * taken, or where a canary ended. Throws a {@link NodeError} for what it cannot understand.
   */
  restore(snapshots: Snapshot[]): void;
}

/**
 * The export `state` of a node that keeps state, beside `node`. Its successor gets it, whether after a fault, a swap or a
 * restart. The component is made for the world `stateful-processor` (in `node.toml`).
 */
export function stateOf(state: State): unknown;

/** How the values of a column are written: strings unescaped, or every value as its JSON. */
export type Form = "text" | "json";

/** One value per row: row i is `bytes[offsets[i]..offsets[i + 1]]`, of the kind `kinds[i]`, which is 0 where it is missing. */
export interface Column {
  bytes: Uint8Array;
  offsets: number[];
  kinds: Uint8Array;
}

/** The batch of the current call. */
export interface Batch {
  readonly rows: number;
  /** The text of the field of every row. */
  readText(field: Field): (string | null | undefined)[];
  /** The same as bytes, which is faster for a node that looks at bytes, and slower for one that wants strings. */
  read(field: Field, form?: Form): Column;
  /** The JSON kind of each row's text, 0 where it is no valid JSON. */
  checkJson(field: Field): Uint8Array;
  /** Sets a field to strings; rows of null stay as they are. */
  setText(field: Field, values: (string | null | undefined)[]): void;
  set(field: Field, form: Form, values: Column): void;
  setJsonFrom(target: Field, source: Field, rows: Uint8Array): void;
  /** Nanoseconds since 1970, exact to 256 of them, for they cross the border as numbers; {@link LEAVE} leaves a row. */
  setTimestamp(nanoseconds: (bigint | number)[]): void;
  replace(field: Field, form: Form, starts: number[], ends: number[], texts: string[]): void;
  split(
    field: Field,
    form: Form,
    spans: { parents: number[]; starts: number[]; ends: number[] },
    prefix?: string,
    suffix?: string,
  ): void;
  splitInto(parents: number[], bodies: string[]): void;
  drop(rows: number[], code: string): void;
  route(ports: Uint8Array): void;
  copyTo(port: number, rows: number[]): void;
  fail(reasons: Reasons): void;
  /** Adds to a count that the agent shows under this name in its summary, metrics and status. */
  count(name: string, value: number): void;
}

/** Leaves a row as it is, in {@link Batch.setTimestamp}. */
export const LEAVE: number;

/** Rows that fail, collected for {@link Batch.fail}. */
export class Reasons {
  add(row: number, code: string, message: string): void;
}

/** Thrown to fail every row of the batch on purpose. Any other exception is a fault, as a panic would be. */
export class NodeError extends Error {}

/** The UTF-8 bytes of a text. */
export function utf8(text: string): Uint8Array;
/** A column of texts; rows of null have no value. */
export function column(texts: (string | null | undefined)[]): Column;
