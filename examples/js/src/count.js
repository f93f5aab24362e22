// Sets a field to the number of the event, counted from 1: a node with state, which goes on counting in the instance after
// it. Your component has `export const state = stateOf({ version: 1, save, restore })`.

import { NodeError, columnNode, eventNode } from "wattle-node";

const about = {
  name: "count",
  version: "1.0.0",
  summary: "Sets a field to the number of the event, counted from 1.",
  options: { to: { type: "string" } },
};

let count = 0;

export const events = eventNode({
  ...about,
  configure(options, setup) {
    const to = setup.write("to", options.to);
    count = 0;
    return (event) => event.set(to, String(++count));
  },
});

export const columns = columnNode({
  ...about,
  configure(options, setup) {
    const to = setup.write("to", options.to);
    count = 0;
    return (batch) => batch.setText(to, Array.from({ length: batch.rows }, () => String(++count)));
  },
});

export const save = () => String(count);

export function restore(snapshots) {
  count = 0;
  for (const { version, text } of snapshots) {
    if (version !== 1 || !/^[0-9]+$/.test(text)) throw new NodeError("the state is no count of version 1");
    count += Number(text);
  }
}
