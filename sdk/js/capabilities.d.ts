/**
 * The types of the capabilities. The files of `wit/` have the rules. Integers of 64 bits are numbers, and `none` is null or
 * undefined. A function that returns a `result` throws its error.
 */

declare module "wattle:node/log@0.2.0" {
  const log: { write(level: "debug" | "info" | "warn" | "error", message: string): void };
  export default log;
}

declare module "wattle:node/metrics@0.2.0" {
  type Metric = number & { readonly __metric: unique symbol };
  type Labels = { name: string; value: string }[];
  const metrics: {
    counter(name: string, labels: Labels): Metric;
    gauge(name: string, labels: Labels): Metric;
    histogram(name: string, labels: Labels, bounds: number[]): Metric;
    add(counter: Metric, amount: number): void;
    set(gauge: Metric, value: number): void;
    observe(histogram: Metric, values: number[]): void;
  };
  export default metrics;
}

declare module "wattle:node/clock@0.2.0" {
  const clock: { now(): number; monotonic(): number };
  export default clock;
}

declare module "wattle:node/random@0.2.0" {
  const random: { bytes(len: number): Uint8Array };
  export default random;
}

declare module "wattle:node/host@0.2.0" {
  const host: { fact(name: string): string | null | undefined };
  export default host;
}

declare module "wattle:node/lookup@0.2.0" {
  import type { Column } from "wattle-node";
  type Table = number & { readonly __table: unique symbol };
  const lookup: {
    open(table: string, columns: string[]): Table;
    find(table: Table, keys: Column): Column[];
  };
  export default lookup;
}

declare module "wattle:node/kv@0.2.0" {
  import type { Column } from "wattle-node";
  const kv: {
    get(keys: Column): Column;
    set(keys: Column, values: Column, ttlMilliseconds: number | undefined): void;
    add(keys: Column, amounts: number[]): number[];
    delete(keys: Column): void;
  };
  export default kv;
}

declare module "wattle:node/seen@0.2.0" {
  import type { Column } from "wattle-node";
  const seen: { claim(keys: Column, ttlMilliseconds: number): Uint8Array };
  export default seen;
}

declare module "wattle:node/http-client@0.2.0" {
  type Header = { name: string; value: string };
  type Request = { method: string; url: string; headers: Header[]; body: Uint8Array };
  type Response = { status: number; headers: Header[]; body: Uint8Array };
  type Failure = { code: string; message: string };
  const http: { send(requests: Request[]): ({ tag: "ok"; val: Response } | { tag: "err"; val: Failure })[] };
  export default http;
}
