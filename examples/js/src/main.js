// All example nodes in one component. The options `node` and `face` select one, because the
// conformance suite checks all of them. Your component has one node: see templates/js.

import * as addField from "./add-field.js";
import * as count from "./count.js";
import * as decisions from "./decisions.js";
import * as dropIf from "./drop-if.js";
import * as memory from "./memory.js";
import * as require from "./require.js";
import { NodeError, stateOf, timerOf } from "wattle-node";

const nodes = { "add-field": addField, count, decisions, "drop-if": dropIf, memory, require };
let chosen;
let chosenModule;

export const node = {
  describe: () => ({ ...addField.columns.describe(), name: "examples", summary: "The example nodes.", optionsSchema: "{}" }),
  configure: (text) => {
    let options;
    try {
      options = JSON.parse(text);
    } catch {
      return addField.columns.configure(text);
    }
    const { node: name, face, ...rest } = options ?? {};
    chosenModule = nodes[name];
    chosen = chosenModule?.[face];
    if (chosen === undefined) throw [{ path: "node", message: `there is no node \`${name}\` with the face \`${face}\`` }];
    return chosen.configure(JSON.stringify(rest));
  },
  process: () => chosen.process(),
};

// A node without state saves nothing, and refuses any other state.
export const state = stateOf({
  version: 1,
  save: () => chosenModule.save?.() ?? "",
  restore: (snapshots) => {
    if (chosenModule.restore) return chosenModule.restore(snapshots);
    if (snapshots.some(({ version, bytes }) => version !== 1 || bytes.length > 0)) {
      throw new NodeError("this node keeps no state");
    }
  },
});

// A node without a timer asks for no ticks, but the host can make one.
export const timer = timerOf((tick) => chosenModule.tick?.(tick));
