/// <reference path="./capabilities.d.ts" />

/**
 * The SDK for Wattle nodes in JavaScript and TypeScript.
 *
 * The main module exports `node`, the result of `eventNode` (one event at a time, simple) or `columnNode` (all rows of a
 * batch at once, fast). `wit/batch.wit` has the rules of the decisions.
 */

/** A resolved field, from {@link Setup}. */
export type Field = number & { readonly __field: unique symbol };

/** An option of the node. An option without a default is required. Unknown options are refused. */
export interface Option {
  type: "string" | "number" | "integer" | "boolean" | "array" | "object";
  description?: string;
  enum?: readonly unknown[];
  default?: unknown;
}

/** The set-up of the node. `option` names the option that contains a path, "" for none. */
export interface Setup {
  /** Resolves a path to read. */
  read(option: string, path: string): Field;
  /** Resolves a path to set. */
  write(option: string, path: string): Field;
  /** Resolves a path to read and to change. */
  change(option: string, path: string): Field;
  /** Names the output ports, port 0 first. Default: one port, `out`. */
  ports(names: string[]): void;
  /** Asks for a tick at this interval, at least 10: see {@link timerOf}. */
  tickEvery(milliseconds: number): void;
  /**
   * How workers share the state of the node. `worker`, the default: each has an instance of its own. `single`: all share
   * one. A list of paths: a fixed number of instances, each for some of the keys, which are the texts of these fields.
   */
  share(how: "worker" | "single" | string[]): void;
  /** Reports an error in an option. */
  error(option: string, message: string): void;
}

/** Describes and configures a node. */
export interface Definition<Decide> {
  /** Name in kebab-case. */
  name: string;
  /** Semantic version. */
  version: string;
  /** One sentence. */
  summary: string;
  options?: Record<string, Option>;
  /** Whether the node hides data. If such a node cannot process a row, the host never lets the row leave unmasked. */
  masks?: boolean;
  /** Prepares the node, and returns the function that decides. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  configure(options: any, setup: Setup): Decide;
}

/** What to do with an event. */
export type Action = { readonly what: "keep" | "port" | "drop" | "fail" | "hold" };
/** Sends the event to port 0; this is also the default. */
export const keep: Action;
/** Sends the event to this port. */
export function port(index: number): Action;
/** Drops the event on purpose. The agent counts it under this code, in kebab-case. */
export function drop(code: string): Action;
/** Sends the event to the port `failed`, unchanged. */
export function fail(code: string, message: string): Action;
/** Ends the event in the memory of the node, which must export `state`. */
export const hold: Action;

/** What kind of telemetry an event is. */
export type EventKind = "log" | "metric" | "span";

/** An event that a node makes. */
export interface MadeEvent {
  body: string;
  /** A JSON object. Give it an `id` that depends only on what the event is about: after a crash, the node can make it again. */
  attributes?: object;
  /** Nanoseconds since 1970, exact to 256 ns because they are passed as numbers. */
  timestamp?: bigint | number;
}

/** Makes events that have no parent. They leave on a port after the rows of the batch. Default: logs. */
export type Emit = (port: number, events: MadeEvent[], kind?: EventKind) => void;

/** One event. */
export interface Event {
  /** The text of a field: strings unescaped, other values as JSON; undefined if the event does not have the field. */
  get(field: Field): string | undefined;
  /** Sets a field to a string. */
  set(field: Field, value: string): void;
  /** Makes other events. */
  emit: Emit;
}

/** The exports of the component. */
export interface Exports {
  describe(): unknown;
  configure(options: string): unknown;
  process(): void;
}

export function eventNode(definition: Definition<(event: Event) => Action | void>): Exports;
export function columnNode(definition: Definition<(batch: Batch) => void>): Exports;

/** State at one moment; only the node understands it. */
export interface Snapshot {
  /** Version of the format that `save` wrote. */
  readonly version: number;
  readonly bytes: Uint8Array;
  /** The bytes as text; throws a NodeError if they are not UTF-8. */
  readonly text: string;
}

/** Saves and restores the state of a node. */
export interface State {
  /** Version of the format that `save` writes. */
  version: number;
  /** Writes the state. */
  save(): string | Uint8Array;
  /**
   * Restores state before the first batch: usually one snapshot, several if fewer workers run than when the agent saved
   * them, or if a canary ended. Throws a {@link NodeError} if it cannot read a snapshot.
   */
  restore(snapshots: Snapshot[]): void;
}

/**
 * The export `state` of a node that keeps state, in addition to `node`. After a fault, a swap or a restart, its successor
 * receives the state. Build the component for the world `stateful-processor` (in `node.toml`).
 */
export function stateOf(state: State): unknown;

/** The call of a timer. */
export interface Tick {
  /** Nanoseconds since 1970, exact to 256 ns; never decreases. */
  readonly now: bigint;
  /**
   * Whether to make all events that the node still owes: the run ends with its input, or the state is larger than the node
   * may save. The host saves the state afterwards, and more batches can follow.
   */
  readonly last: boolean;
  emit: Emit;
  /** Adds to a count that the agent shows under this name in its summary, metrics and status. */
  count(name: string, value: number): void;
}

/**
 * The export `timer` of a node that acts on the time, in addition to `node`. The agent calls `tick` before the first batch,
 * and then between two batches at the interval of {@link Setup.tickEvery}; a {@link NodeError} is a fault. Build the
 * component for the world `timed-processor`, or `stateful-timed-processor` if it also exports `state` (in `node.toml`).
 */
export function timerOf(tick: (tick: Tick) => void): unknown;

/** The form of the values of a column: strings unescaped, or every value as its JSON. */
export type Form = "text" | "json";

/** One value per row: row i is `bytes[offsets[i]..offsets[i + 1]]`, of the kind `kinds[i]`, which is 0 for a missing value. */
export interface Column {
  bytes: Uint8Array;
  offsets: number[];
  kinds: Uint8Array;
}

/** The batch of the current call. */
export interface Batch {
  readonly rows: number;
  /** Whether the source offered the batch before. */
  readonly redelivered: boolean;
  /** The text of the field of every row. */
  readText(field: Field): (string | null | undefined)[];
  /** The field of every row as bytes: faster for a node that needs bytes, slower for a node that needs strings. */
  read(field: Field, form?: Form): Column;
  /** The JSON kind of each row's text, 0 if it is not valid JSON. */
  checkJson(field: Field): Uint8Array;
  /** Sets a field to strings; rows of null stay unchanged. */
  setText(field: Field, values: (string | null | undefined)[]): void;
  set(field: Field, form: Form, values: Column): void;
  setJsonFrom(target: Field, source: Field, rows: Uint8Array): void;
  /** Nanoseconds since 1970, exact to 256 ns because they are passed as numbers; {@link LEAVE} leaves a row unchanged. */
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
  /** Makes one event of each group of rows, with these bodies; everything else comes from the first row of a group. */
  combine(groups: number[][], bodies: string[]): void;
  /** Ends rows in the memory of the node, which must export `state`. */
  hold(rows: number[]): void;
  emit: Emit;
  drop(rows: number[], code: string): void;
  /** Sets the port of each row or, after a split, of each child. */
  route(ports: Uint8Array): void;
  copyTo(port: number, rows: number[]): void;
  fail(reasons: Reasons): void;
  /** Adds to a count that the agent shows under this name in its summary, metrics and status. */
  count(name: string, value: number): void;
}

/** The value that leaves the time of a row unchanged, for {@link Batch.setTimestamp}. */
export const LEAVE: number;

/** The rows that fail, for {@link Batch.fail}. */
export class Reasons {
  add(row: number, code: string, message: string): void;
}

/** Thrown to fail every row of the batch on purpose. Any other exception is a fault, like a panic. */
export class NodeError extends Error {}

/** The UTF-8 bytes of a text. */
export function utf8(text: string): Uint8Array;
/** A column of texts; rows of null have no value. */
export function column(texts: (string | null | undefined)[]): Column;
