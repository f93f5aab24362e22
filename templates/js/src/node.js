// Sets a field to the text of another in capitals. Fails events without it, and drops events that contain a text.

import { drop, eventNode, fail, keep } from "wattle-node";

export const node = eventNode({
  name: "my-node",
  version: "0.1.0",
  summary: "Sets a field to the text of another in capitals.",
  options: {
    from: { type: "string", description: "The field that is read" },
    to: { type: "string", description: "The field that is set" },
    skip: { type: "string", description: "Events that hold this are dropped" },
  },
  configure(options, setup) {
    const from = setup.read("from", options.from);
    const to = setup.write("to", options.to);
    return (event) => {
      const text = event.get(from);
      if (text === undefined) return fail("missing", `the field \`${options.from}\` is missing`);
      if (text.includes(options.skip)) return drop("skipped");
      event.set(to, text.toUpperCase());
      return keep;
    };
  },
});
