// Drops events whose field contains a text.

import { columnNode, drop, eventNode, keep } from "wattle-node";

const about = {
  name: "drop-if",
  version: "1.0.0",
  summary: "Drops events whose field holds a text.",
  options: { field: { type: "string" }, contains: { type: "string" } },
};

export const events = eventNode({
  ...about,
  configure(options, setup) {
    const field = setup.read("field", options.field);
    return (event) => (event.get(field)?.includes(options.contains) ? drop("matched") : keep);
  },
});

export const columns = columnNode({
  ...about,
  configure(options, setup) {
    const field = setup.read("field", options.field);
    return (batch) => {
      const matched = [];
      batch.readText(field).forEach((text, row) => {
        if (text?.includes(options.contains)) matched.push(row);
      });
      batch.drop(matched, "matched");
    };
  },
});
