// Sets a field to the text of another in capitals. Fails events without it, and drops events that contain a text.

import { columnNode, Reasons } from "wattle-node";

interface Options {
  from: string;
  to: string;
  skip: string;
}

export const node = columnNode({
  name: "my-node",
  version: "0.1.0",
  summary: "Sets a field to the text of another in capitals.",
  options: {
    from: { type: "string", description: "The field that is read" },
    to: { type: "string", description: "The field that is set" },
    skip: { type: "string", description: "Events that hold this are dropped" },
  },
  configure(options: Options, setup) {
    const from = setup.read("from", options.from);
    const to = setup.write("to", options.to);
    return (batch) => {
      const reasons = new Reasons();
      const dropped: number[] = [];
      const values = batch.readText(from).map((text, row) => {
        if (text == null) reasons.add(row, "missing", `the field \`${options.from}\` is missing`);
        else if (text.includes(options.skip)) dropped.push(row);
        else return text.toUpperCase();
        return null;
      });
      batch.setText(to, values);
      batch.drop(dropped, "skipped");
      batch.fail(reasons);
    };
  },
});
