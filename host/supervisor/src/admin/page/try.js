// Try it: runs an input through a pack in scratch instances, with all limits and without effects.

const trial = { text: "", file: null, pipeline: "", pack: "", against: "", isBusy: false, tried: null, problem: null, version: 0 };

async function runTry(form, isRecent = false) {
  const input = isRecent ? "" : trial.file || trial.text;
  const size = input.size ?? new Blob([input]).size;
  if ((size === 0 && !isRecent) || trial.isBusy) return;
  const most = store.index?.max_try_bytes;
  trial.problem = null;
  if (most > 0 && size > most) {
    trial.problem = { message: `The input has ${format.bytes(size)}, the maximum is ${format.bytes(most)}; use a part of it.`, diagnostics: [] };
  } else {
    const query = new URLSearchParams();
    for (const name of ["pipeline", "pack", "against"]) if (form[name].value.trim()) query.set(name, form[name].value.trim());
    if (isRecent) query.set("recent", "taken");
    trial.isBusy = true;
    trial.version += 1;
    refreshView();
    announce("Running the input through the pack.");
    try {
      trial.tried = await request(`/try?${query}`, { method: "POST", body: input, headers: { "content-type": "application/octet-stream" } });
      announce(`Done: ${format.count(trial.tried.result.events)} events.`);
    } catch (error) {
      trial.tried = null;
      trial.problem = error instanceof Refused ? error : { message: "The connection was lost; try again.", diagnostics: [] };
    }
    trial.isBusy = false;
  }
  trial.version += 1;
  refreshView();
}

function tryForm() {
  const text = h("textarea", { rows: "7", spellcheck: "false", placeholder: 'Paste events here, such as {"Records": [ … ]}', value: trial.text, oninput: (event) => {
    trial.text = event.target.value;
    trial.file = null;
    say();
  } });
  const file = h("input", { type: "file", onchange: (event) => take(event.target.files[0]) });
  const size = h("p.muted", { role: "status" });
  const run = h("button.primary", { type: "submit" }, "Run");
  function say() {
    const bytes = trial.file ? trial.file.size : new Blob([trial.text]).size;
    const name = trial.file ? `${trial.file.name}, ` : "";
    setText(size, bytes > 0 ? `${name}${format.bytes(bytes)}` : store.index?.max_try_bytes > 0 ? `At most ${format.bytes(store.index.max_try_bytes)}.` : "No input yet.");
    run.disabled = bytes === 0 || trial.isBusy;
  }
  function take(found) {
    if (!found) return;
    trial.file = found;
    text.value = "";
    trial.text = "";
    say();
  }
  const packs = [...new Set((packsDocument.document?.packs || []).flatMap((pack) => [pack.reference, `${pack.name}@${pack.version}`]).concat((store.graph.pipelines || []).flatMap((pipeline) => [pipeline.pack, pipeline.canary, pipeline.shadow]).filter(Boolean)))];
  const names = h("datalist", packs.map((name) => h("option", { value: name })));
  names.id = "packs";
  const form = h("form.try", {
    "aria-label": "Try", onsubmit: (event) => {
      event.preventDefault();
      runTry(form.elements);
    },
    ondragover: (event) => {
      event.preventDefault();
      form.classList.add("over");
    },
    ondragleave: () => form.classList.remove("over"),
    ondrop: (event) => {
      event.preventDefault();
      form.classList.remove("over");
      take(event.dataTransfer.files[0]);
    },
  },
  h("label.grow", "Input", text),
  h("div.row", h("label.inline.file", "or a file", file), h("span.muted", "or drop one here"), size),
  h("div.row",
    h("label", "With the parameters of", h("select", { name: "pipeline", onchange: (event) => (trial.pipeline = event.target.value) },
      store.graph.pipelines.map((pipeline) => h("option", { value: pipeline.name, selected: pipeline.name === trial.pipeline }, `${pipeline.name}${pipeline.pack ? ` (${pipeline.pack})` : ""}`)))),
    h("label", "Version", h("input", { type: "text", name: "pack", list: "packs", placeholder: "the running one", value: trial.pack, oninput: (event) => (trial.pack = event.target.value) })),
    h("label", "Compare with", h("input", { type: "text", name: "against", list: "packs", placeholder: "nothing", value: trial.against, oninput: (event) => (trial.against = event.target.value) })),
    run, store.index?.recent_bytes > 0 ? h("button", { type: "button", disabled: trial.isBusy, onclick: () => runTry(form.elements, true) }, "Run on recent events") : null), names);
  say();
  return form;
}

function triedOutputs(tried, against) {
  const rows = tried.outputs.map((output) => {
    const other = against?.outputs.find((one) => one.name === output.name);
    const cells = [output.title || output.name, format.count(output.events), format.count(output.failed_events), format.bytes(output.bytes), format.share(output.share)];
    return against ? [...cells, other ? format.count(other.events) : DASH, other ? format.bytes(other.bytes) : DASH] : cells;
  });
  const columns = ["Output", "#Events", "#Failed", "#Bytes", "#Share"];
  return table(`Outputs of ${tried.pack}`, against ? [...columns, `#Events, ${against.pack}`, `#Bytes, ${against.pack}`] : columns, rows);
}

function triedNodes(tried) {
  // Agents do not count fuel at present; see docs/SEE.md.
  const hasFuel = tried.nodes.some((node) => known(node.fuel));
  const columns = ["Node", "Type", "#Events", "#CPU", "#Per event", hasFuel && "#Fuel", "#Peak memory", "#Failed", "#Dropped", "#Faults"].filter(Boolean);
  return table(`Costs of ${tried.pack}`, columns, tried.nodes.map((node) =>
    [node.name, node.type, format.count(node.received_events), format.time(node.cpu_seconds), format.time(node.received_events > 0 ? node.cpu_seconds / node.received_events : undefined),
      ...(hasFuel ? [format.short(node.fuel)] : []), format.bytes(node.peak_memory_bytes), format.count(sum(node.failed)), format.count(sum(node.dropped)), format.count(node.faults)]));
}

function triedSamples(tried) {
  const found = tried.outputs.filter((output) => output.sample.length > 0);
  return found.map((output) => h("details.list", h("summary", `${output.title || output.name}: first events`),
    h("ol.samples", output.sample.map((event) => h("li", h("details.inline", h("summary", h("span.event-line", summary(event).slice(0, 200))), lazyTree(event)))))));
}

function triedDifferences(tried) {
  const found = Object.entries(tried.differences || {});
  if (!tried.against) return null;
  const names = [tried.against.pack, tried.result.pack];
  return section(`Differences to ${tried.against.pack}`, found.length === 0 ? empty("✓ No event differs.") : [
    table("Differences", ["Output", "#Same", "#Changed", "#Added", "#Missing"], found.map(([output, one]) => [output, ...["same", "changed", "added", "missing"].map((key) => format.count(one[key]))])),
    found.map(([output, one]) => one.first.map(([before, after]) => h("div.pair", h("h3", output), sides(before, after, names)))),
  ]);
}

function triedView(tried) {
  const { result, against } = tried;
  const out = result.outputs.reduce((total, output) => total + output.bytes, 0);
  const perEvent = (one) => (one.events > 0 ? one.cpu_seconds / one.events : undefined);
  return h("div", { "data-tried": result.pack },
    h("h2", result.pack, against ? h("span.muted", ` and ${against.pack}`) : null),
    tried.recent ? h("p.muted", `Recent events of ${tried.recent.pipeline} from ${tried.recent.oldest} to ${tried.recent.newest}. They enter where the agent took them, at ${tried.recent.taken.map((one) => one.point).join(", ")}; nodes before that did not run.`) : null,
    h("dl.figures",
      h("div.figure", h("dt", "Events"), h("dd", format.count(result.events))),
      h("div.figure", h("dt", "Bytes"), h("dd", format.bytes(result.bytes))),
      h("div.figure", h("dt", "Reduction"), h("dd", result.bytes > 0 ? format.share(1 - out / result.bytes) : DASH)),
      h("div.figure", h("dt", "CPU per event"), h("dd", format.time(perEvent(result)), against ? h("span.muted", ` (${format.time(perEvent(against))})`) : null)),
      h("div.figure", h("dt", "Dropped"), h("dd", format.count(result.dropped_events))),
      h("div.figure", h("dt", "Held"), h("dd", format.count(result.held_events)))),
    section("Outputs", triedOutputs(result, against), triedSamples(result)),
    triedDifferences(tried),
    section("Costs", against ? h("h3", result.pack) : null, triedNodes(result), against ? [h("h3", against.pack), triedNodes(against)] : null),
    result.traces.length > 0 ? section("Before and after", result.traces.map((trace, at) => h("details.list", { open: at === 0 }, h("summary", `Event ${at + 1}`), steps(trace.steps, trace.cut)))) : null);
}

const tryView = {
  title: "Try",
  shape: () => `${trial.version}${store.index?.can_try}${store.index?.recent_bytes}${store.graph.generation}${packsDocument.document ? 1 : 0}`,
  poll: () => packsDocument.poll(),
  build: () => {
    if (store.index && !store.index.can_try) {
      return [h("h2.sr", "Try"), section("Try it", h("p", "The operator did not allow to run inputs on this agent. ", h("code", "try = true"), " in ", h("code", "[admin]"), " allows it; ", h("code", "wattle try FILE --pack PACK"), " runs the same on your own machine."))];
    }
    return [
      h("h2.sr", "Try"),
      section("Try it", h("p.muted", "Runs the input in scratch instances with all limits. Nothing leaves, no state changes, and the running pipelines do not notice."), tryForm()),
      trial.isBusy ? empty("Running …") : null,
      trial.problem ? h("div.problem", { role: "alert" }, h("p", trial.problem.message), trial.problem.diagnostics.length > 0 ? h("ul", trial.problem.diagnostics.map((line) => h("li", h("pre", line)))) : null) : null,
      trial.tried ? triedView(trial.tried) : null,
    ];
  },
};
