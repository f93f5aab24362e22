// Fails events in which a field is missing or empty.

import { columnNode, eventNode, fail, keep, Reasons } from "wattle-node";

const about = {
  name: "require",
  version: "1.0.0",
  summary: "Fails events that lack a field, or have it empty.",
  options: { field: { type: "string" } },
};

export const events = eventNode({
  ...about,
  configure(options, setup) {
    const field = setup.read("field", options.field);
    return (event) => {
      const text = event.get(field);
      if (text === undefined) return fail("missing", `the field \`${options.field}\` is missing`);
      return text === "" ? fail("empty", `the field \`${options.field}\` is empty`) : keep;
    };
  },
});

export const columns = columnNode({
  ...about,
  configure(options, setup) {
    const field = setup.read("field", options.field);
    return (batch) => {
      const reasons = new Reasons();
      batch.readText(field).forEach((text, row) => {
        if (text == null) reasons.add(row, "missing", `the field \`${options.field}\` is missing`);
        else if (text === "") reasons.add(row, "empty", `the field \`${options.field}\` is empty`);
      });
      batch.fail(reasons);
    };
  },
});
