// Sets a field to a prefix and the text of another field, for events that have it.

import { columnNode, eventNode } from "wattle-node";

const about = {
  name: "add-field",
  version: "1.0.0",
  summary: "Sets a field to a prefix and the text of another.",
  options: { from: { type: "string" }, to: { type: "string" }, prefix: { type: "string" } },
};

export const events = eventNode({
  ...about,
  configure(options, setup) {
    const from = setup.read("from", options.from);
    const to = setup.write("to", options.to);
    return (event) => {
      const text = event.get(from);
      if (text !== undefined) event.set(to, options.prefix + text);
    };
  },
});

export const columns = columnNode({
  ...about,
  configure(options, setup) {
    const from = setup.read("from", options.from);
    const to = setup.write("to", options.to);
    return (batch) => {
      const texts = batch.readText(from);
      batch.setText(to, texts.map((text) => (text == null ? null : options.prefix + text)));
    };
  },
});
