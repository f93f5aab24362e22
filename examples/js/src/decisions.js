// Makes each decision of the contract, as an example of the call.

import kv from "wattle:node/kv@0.2.0";
import seen from "wattle:node/seen@0.2.0";
import { column, columnNode, LEAVE, NodeError, Reasons } from "wattle-node";

/** How long a key stays claimed, and a value stored, in milliseconds. */
const TTL = 60_000;

/** Every decision by name. */
const DECISIONS = {
  replace: ({ batch, body }) => {
    const starts = firsts(batch, body);
    batch.replace(body, "text", starts, starts.map((start) => start + 1), ["*"]);
  },
  "replace-each": ({ batch, body }) => {
    const starts = firsts(batch, body);
    batch.replace(body, "text", starts, starts.map((start) => start + 1), starts.map((_, row) => `<${row}>`));
  },
  set: ({ batch, set, rows }) => batch.setText(set, rows.map((row) => (row % 2 ? null : `row ${row}`))),
  "set-json": ({ batch, set, rows }) => batch.set(set, "json", column(rows.map((row) => JSON.stringify({ row })))),
  "set-json-from": ({ batch, body, attributes }) =>
    batch.setJsonFrom(attributes, body, batch.checkJson(body).map((kind) => (kind === 6 ? 1 : 0))),
  "set-timestamp": ({ batch, rows }) =>
    batch.setTimestamp(rows.map((row) => (row % 2 ? LEAVE : BigInt(row) * 1_000_000_000n))),
  split: ({ batch, body }) => {
    // Only positions cross the sandbox boundary.
    const { bytes, offsets } = batch.read(body);
    const spans = { parents: [], starts: [], ends: [] };
    for (let row = 0; row + 1 < offsets.length; row++) {
      let start = offsets[row];
      for (let at = start; at <= offsets[row + 1]; at++) {
        if (at < offsets[row + 1] && bytes[at] !== 44) continue;
        spans.parents.push(row);
        spans.starts.push(start);
        spans.ends.push(at);
        start = at + 1;
      }
    }
    batch.split(body, "text", spans, "[", "]");
  },
  "split-into": ({ batch, body }) => {
    const texts = batch.readText(body);
    batch.splitInto(texts.flatMap((_, row) => [row, row]), texts.flatMap((text) => [`${text}/1`, `${text}/2`]));
  },
  combine: ({ batch, body, rows }) => {
    const texts = batch.readText(body);
    const pairs = rows.filter((row) => row % 2 === 0).map((row) => rows.slice(row, row + 2));
    batch.combine(pairs, pairs.map((pair) => pair.map((row) => texts[row]).join("+")));
  },
  hold: ({ batch, odd }) => batch.hold(odd),
  emit: ({ batch, rows }) =>
    batch.emit(1, rows.map((row) => {
      const body = `made ${row}`;
      return row % 2 ? { body } : { body, attributes: { row }, timestamp: BigInt(row) * 1_000_000_000n };
    })),
  "emit-kinds": ({ batch }) => ["log", "metric", "span"].forEach((kind) => batch.emit(0, [{ body: kind }], kind)),
  drop: ({ batch, odd }) => batch.drop(odd, "odd"),
  route: ({ batch, rows }) => batch.route(new Uint8Array(rows.map((row) => row % 2))),
  "copy-to": ({ batch, odd }) => batch.copyTo(1, odd),
  fail: ({ batch, odd }) => {
    const reasons = new Reasons();
    odd.forEach((row) => reasons.add(row, "odd", `row ${row}`));
    batch.fail(reasons);
  },
  redelivered: ({ batch, set, rows }) => batch.setText(set, rows.map(() => String(batch.redelivered))),
  "read-text": ({ batch, field, set }) =>
    batch.setText(set, batch.readText(field).map((text) => (text == null ? "none" : `text ${text}`))),
  "read-json": ({ batch, field, set }) => {
    const { bytes, offsets, kinds } = batch.read(field, "json");
    const text = (row) => String.fromCharCode(...bytes.subarray(offsets[row], offsets[row + 1]));
    batch.setText(set, Array.from(kinds, (kind, row) => `${kind} ${text(row)}`));
  },
  claim: ({ batch, field, rows }) => {
    const areNew = seen.claim(batch.read(field), TTL);
    batch.drop(rows.filter((row) => !areNew[row]), "seen");
  },
  kv: ({ batch, body, field, set }) => {
    const keys = batch.read(field);
    kv.set(keys, batch.read(body), TTL);
    kv.set(keys, batch.read(body), undefined);
    batch.set(set, "text", kv.get(keys));
  },
  error: () => {
    throw new NodeError("refused on purpose");
  },
  panic: () => {
    throw new Error("broken on purpose");
  },
  "no-such-port": ({ batch, rows }) => batch.route(new Uint8Array(rows.map(() => 9))),
  "no-such-group": ({ batch }) => batch.combine([[batch.rows]], ["x"]),
};

/** The position of the first byte of each body that has one. */
function firsts(batch, body) {
  const { offsets } = batch.read(body);
  return offsets.slice(0, -1).filter((start, row) => offsets[row + 1] > start);
}

export const columns = columnNode({
  name: "decisions",
  version: "1.0.0",
  summary: "Makes the decision that its option names.",
  options: { decision: { type: "string", enum: Object.keys(DECISIONS) } },
  configure({ decision }, setup) {
    setup.ports(["out", "other"]);
    const body = setup.change("", "body");
    const field = setup.read("", "body.f");
    const attributes = setup.write("", "attributes");
    const set = setup.write("", "attributes.set");
    return (batch) => {
      const rows = Array.from({ length: batch.rows }, (_, row) => row);
      const odd = rows.filter((row) => row % 2);
      DECISIONS[decision]({ batch, body, field, attributes, set, rows, odd });
    };
  },
});
