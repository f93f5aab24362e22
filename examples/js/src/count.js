// Sets a field to the number of the event, counted from 1: a node with state.

import { columnNode, eventNode } from "wattle-node";

const about = {
  name: "count",
  version: "1.0.0",
  summary: "Sets a field to the number of the event, counted from 1.",
  options: { to: { type: "string" } },
};

export const events = eventNode({
  ...about,
  configure(options, setup) {
    const to = setup.write("to", options.to);
    let count = 0;
    return (event) => event.set(to, String(++count));
  },
});

export const columns = columnNode({
  ...about,
  configure(options, setup) {
    const to = setup.write("to", options.to);
    let count = 0;
    return (batch) => batch.setText(to, Array.from({ length: batch.rows }, () => String(++count)));
  },
});
