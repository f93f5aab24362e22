// A tap: events as they pass a point. The agent samples and limits; the page asks for a rate, and closes the stream when
// it is paused, hidden or left, so that a tap that is not looked at costs nothing.

// Events that the page keeps.
const MAX_TAPPED = 200;
const RATES = [1, 5, 10, 50, 200];

class Tap {
  constructor(point) {
    this.point = point;
    this.tapped = [];
    this.report = null;
    this.filters = [];
    this.rate = 10;
    this.search = "";
    this.state = "idle";
    this.isDirty = false;
    this.build();
  }

  build() {
    this.startButton = h("button.primary", { onclick: () => this.start() }, "Start tap");
    this.pauseButton = h("button", { onclick: () => this.pause(), disabled: true }, "Pause");
    this.copyButton = h("button", { onclick: () => copy(this.shown().map((item) => JSON.stringify(item.event)).join("\n"), this.copyButton), disabled: true }, "Copy as JSON");
    this.clearButton = h("button", { onclick: () => this.clear(), disabled: true }, "Clear");
    this.line = h("p.tap-line", { role: "status" });
    this.figures = h("p.muted.n");
    this.problem = h("p.problem", { role: "alert", hidden: true });
    this.list = h("ol.tapped");
    this.chips = h("ul.chips", { "aria-label": "Filters" });
    const rates = h("select", { onchange: (event) => this.restart(() => (this.rate = Number(event.target.value))) },
      RATES.map((rate) => h("option", { value: String(rate), selected: rate === this.rate }, `${rate}/s`)));
    const filter = h("input", { type: "text", spellcheck: "false", autocomplete: "off", placeholder: "attributes.eventName=GetObject", "aria-describedby": "filter-help" });
    const search = h("input", { type: "search", placeholder: "in the events below", oninput: (event) => {
      this.search = event.target.value.trim().toLowerCase();
      this.render();
    } });
    this.element = h("section.tap", { "aria-label": `Tap of ${this.point}` },
      h("h3", "Tap"), h("p.row.tight", h("code", this.point)),
      h("div.row.tight", this.startButton, this.pauseButton, h("label.inline", "at most", rates)),
      h("form.row.tight", { onsubmit: (event) => {
        event.preventDefault();
        if (filter.value.trim()) this.restart(() => this.filters.push(filter.value.trim()));
        filter.value = "";
        this.renderChips();
      } }, h("label.grow", "Filter", filter), h("button", { type: "submit" }, "Add")),
      h("p.hint", { id: "filter-help" }, h("code", "PATH=TEXT"), " ", h("code", "PATH!=TEXT"), " ", h("code", "PATH~TEXT"), " (contains) or ", h("code", "PATH"), " (exists)"),
      this.chips,
      h("div.row.tight", h("label.grow", "Search", search), this.copyButton, this.clearButton),
      this.line, this.figures, this.problem, this.list);
    this.say("Not started.");
  }

  renderChips() {
    this.chips.replaceChildren(...this.filters.map((filter, at) =>
      h("li", h("code", filter), h("button.quiet", { "aria-label": `Remove filter ${filter}`, onclick: () => {
        this.restart(() => this.filters.splice(at, 1));
        this.renderChips();
      } }, "✕"))));
  }

  // Applies a change; a running tap starts again with it.
  restart(change) {
    change();
    if (this.state === "running") this.start();
  }

  say(text) {
    setText(this.line, text);
  }

  async start() {
    this.close();
    const query = new URLSearchParams([["point", this.point], ["rate", String(this.rate)], ...this.filters.map((filter) => ["filter", filter])]);
    const controller = new AbortController();
    this.controller = controller;
    this.setState("running");
    this.problem.hidden = true;
    try {
      await events(`/tap?${query}`, controller.signal, (name, data) => this.receive(name, data), () => this.say("Running."));
      if (this.controller === controller) this.stopped("The agent ended the tap.");
    } catch (error) {
      if (controller.signal.aborted) return;
      this.stopped(error instanceof Refused ? "Refused." : "Connection lost; start the tap again.");
      if (error instanceof Refused) {
        this.problem.hidden = false;
        setText(this.problem, error.message);
      }
    }
  }

  receive(name, data) {
    if (name === "event") {
      this.tapped.push(data);
      if (this.tapped.length > MAX_TAPPED) this.tapped.shift();
    } else if (name === "report") {
      this.report = data;
    }
    if (this.isDirty) return;
    this.isDirty = true;
    // Several events a second are one change of the page.
    setTimeout(() => {
      this.isDirty = false;
      this.render();
    }, 200);
  }

  pause() {
    this.close();
    this.render();
    this.setState("paused");
    this.say("Paused: the stream is closed, and costs nothing.");
    announce("Tap paused.");
  }

  stopped(text) {
    this.controller = null;
    this.setState("idle");
    this.say(text);
  }

  setState(state) {
    this.state = state;
    setText(this.startButton, state === "paused" ? "Resume" : state === "running" ? "Restart" : "Start tap");
    this.pauseButton.disabled = state !== "running";
    this.element.dataset.state = state;
  }

  clear() {
    this.tapped = [];
    this.render();
  }

  shown() {
    return this.search ? this.tapped.filter((item) => JSON.stringify(item.event).toLowerCase().includes(this.search)) : this.tapped;
  }

  render() {
    const shown = this.shown();
    const { passed = 0, skipped = 0, missing = [] } = this.report || {};
    const sent = this.report?.shown ?? this.tapped.length;
    setText(this.figures, `${format.count(passed)} passed · ${format.count(sent)} sent · ${format.count(skipped)} left out by the rate · ${format.count(shown.length)} listed`);
    if (missing.length > 0) this.say(`Gone since the last swap: ${missing.join(", ")}`);
    this.copyButton.disabled = shown.length === 0;
    this.clearButton.disabled = this.tapped.length === 0;
    // Items that are open, or that have the focus, must stay the same elements.
    const kept = new Map([...this.list.children].map((item) => [item.item, item]));
    const items = shown.slice().reverse().map((item) => {
      const old = kept.get(item);
      return old && old.words === this.search ? old : this.item(item);
    });
    if (items.some((item, at) => this.list.children[at] !== item) || items.length !== this.list.children.length) {
      for (const [item, element] of kept) if (!items.includes(element)) element.remove();
      items.forEach((item, at) => {
        if (this.list.children[at] !== item) this.list.insertBefore(item, this.list.children[at] || null);
      });
    }
  }

  item(item) {
    const text = typeof item.event === "string" ? item.event : summary(item.event);
    const body = h("div.event-body");
    const details = h("details", { ontoggle: () => {
      if (!details.open || body.firstChild) return;
      const button = h("button.quiet", { onclick: () => copy(JSON.stringify(item.event, null, 2), button) }, "Copy");
      put(body, [h("p.row.muted", h("span", `${item.point}, generation ${item.generation}, ${format.bytes(item.bytes)}`), item.cut ? tag("warn", "cut: the event is longer than a tap shows") : null, button),
        isTree(item.event) ? tree(opened(item.event)) : h("pre", item.event)]);
    } }, h("summary", h("time", format.clock(item.at)), " ", h("span.event-line", marked(text.slice(0, 400), this.search))), body);
    const element = h("li", details);
    element.item = item;
    element.words = this.search;
    return element;
  }

  close() {
    if (this.controller) this.controller.abort();
    this.controller = null;
  }

  hide() {
    if (this.state !== "running") return;
    this.pause();
    this.say("Paused while the page was hidden.");
  }
}

// The tap of a point, or the reason why it has none.
function tapSection(point) {
  const hidden = whyHidden(point);
  if (hidden) {
    const ahead = pointOf(point)?.output || store.index?.tap === "off" ? null : h("p.muted", "Choose an edge after the masks, drawn with a solid line, or an output.");
    return h("section.tap", { "aria-label": `Tap of ${point}` }, h("h3", "Tap"), h("p.row.tight", h("code", point)),
      h("div.locked", lock(), h("p", hidden)), ahead);
  }
  const tap = new Tap(point);
  panelTap = tap;
  const trace = new Tracer(point);
  tap.tracer = trace;
  const close = tap.close.bind(tap);
  tap.close = () => {
    close();
    if (tap.state !== "running") trace.close();
  };
  return [tap.element, trace.element];
}
