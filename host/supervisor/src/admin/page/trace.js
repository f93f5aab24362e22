// The way of one event through the graph: what it was at each point, and what each step changed, field by field.

class Tracer {
  constructor(point) {
    this.point = point;
    this.button = h("button", { onclick: () => this.next() }, "Follow one event");
    this.line = h("p.tap-line", { role: "status" });
    this.problem = h("p.problem", { role: "alert", hidden: true });
    this.result = h("div");
    this.element = h("section.trace", { "aria-label": "Trace of one event" }, h("h3", "Before and after"),
      h("p.muted", "Follows the next event that passes this point through the rest of the graph."),
      h("div.row.tight", this.button), this.line, this.problem, this.result);
  }

  async next() {
    this.close();
    const controller = new AbortController();
    this.controller = controller;
    this.problem.hidden = true;
    setText(this.line, "Waiting for an event …");
    const query = new URLSearchParams([["point", this.point], ["limit", "1"]]);
    for (const filter of panelTap?.filters || []) query.append("filter", filter);
    let found = false;
    try {
      await events(`/trace?${query}`, controller.signal, (name, trace) => {
        if (name !== "trace" || found) return;
        found = true;
        setText(this.line, `Event of ${format.clock(trace.at)}, generation ${trace.generation}, ${trace.steps.length} points.`);
        setText(this.button, "Follow another event");
        this.result.replaceChildren(steps(trace.steps, trace.cut));
        controller.abort();
      });
      if (!found) setText(this.line, "No event came.");
    } catch (error) {
      if (found || (controller.signal.aborted && this.controller !== controller)) return;
      setText(this.line, error instanceof Refused ? "Refused." : "Connection lost; try again.");
      if (error instanceof Refused) {
        this.problem.hidden = false;
        setText(this.problem, error.message);
      }
    }
  }

  close() {
    if (this.controller) this.controller.abort();
    this.controller = null;
  }
}

// The steps of a trace as a list, each with its difference to the last point that may be shown. An event that was split has
// several steps for one point; all compare with the point before, and only the first is open.
function steps(list, isCut = false) {
  const points = [];
  for (const step of list) {
    const last = points[points.length - 1];
    if (last?.[0].point === step.point) last.push(step);
    else points.push([step]);
  }
  let base = null;
  const items = points.map((group) => {
    const before = base;
    base = group.filter((step) => isShown(step)).pop() || base;
    const item = traceStep(group[0], before);
    if (group.length > 1) item.append(more(group.slice(1), before));
    return item;
  });
  return h("ol.steps", items, isCut ? h("li.muted", "Further steps were left out.") : null);
}

function isShown(step) {
  return step.event !== undefined && step.event !== null;
}

function traceStep(step, before) {
  const item = h("li", h("p.step", h("strong", pointTitle(step.point)), h("span.muted", step.point),
    step.failure ? tag("bad", `failed: ${step.failure.code}`) : null,
    step.ended ? tag("quiet", `ended: ${step.ended}`) : null));
  if (step.failure) item.append(h("p.note", `${step.failure.node}: ${step.failure.message}`));
  if (isShown(step)) {
    if (before) item.append(differences(before.event, step.event));
    item.append(h("details.inline", h("summary", "Whole event"), lazyTree(step.event)));
  } else if (!step.ended) {
    item.append(h("p.muted", lock(), " Not shown. ", whyHidden(step.point) || "This point may not be shown."));
  }
  return item;
}

// Further events at a point, which are built when they are opened.
function more(list, before) {
  const place = h("ol.steps");
  return h("details.inline", { ontoggle: () => {
    if (!place.firstChild) place.append(...list.map((step) => traceStep(step, before)));
  } }, h("summary", `${list.length} more at this point`), place);
}

// A tree that is built when it is opened.
function lazyTree(value) {
  const place = h("div");
  queueMicrotask(() => place.parentElement?.addEventListener("toggle", () => {
    if (!place.firstChild) place.append(isTree(value) ? tree(opened(value)) : h("pre", String(value)));
  }));
  return place;
}
