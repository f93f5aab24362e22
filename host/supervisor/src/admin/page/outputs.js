// Outputs and reduction: what comes in, what leaves, and what a day of it costs.

const PRICE = "wattle.price";

// The price of the operator, unless this browser has another one.
function price() {
  const { price_per_gb: set, currency } = store.index || {};
  let own = {};
  try {
    own = JSON.parse(localStorage.getItem(PRICE)) || {};
  } catch {
    // No storage, or something else is stored there.
  }
  return { amount: known(own.amount) ? own.amount : set, currency: own.currency || currency || "USD", isOwn: known(own.amount) };
}

function keepPrice(amount, currency) {
  try {
    if (known(amount)) localStorage.setItem(PRICE, JSON.stringify({ amount, currency }));
    else localStorage.removeItem(PRICE);
  } catch {
    announce("This browser does not store the price.");
  }
}

function perDay(bytesPerSecond) {
  const { amount, currency } = price();
  return known(amount) && known(bytesPerSecond) ? format.money((bytesPerSecond * 86_400 * amount) / 1e9, currency) : DASH;
}

function priceForm(scope) {
  const { amount, currency } = price();
  const number = h("input", { type: "number", min: "0", step: "0.01", inputmode: "decimal", value: known(amount) ? String(amount) : "" });
  const text = h("input.short", { type: "text", maxlength: "8", value: currency });
  const note = h("span.muted");
  const say = () => setText(note, price().isOwn ? "Kept in this browser." : known(store.index?.price_per_gb) ? "From the configuration." : "No price is configured; enter one.");
  const change = () => {
    keepPrice(number.value === "" ? undefined : Number(number.value), text.value.trim() || "USD");
    say();
    scope.run();
  };
  number.addEventListener("input", change);
  text.addEventListener("input", change);
  say();
  return h("form.row.tight.price", { onsubmit: (event) => event.preventDefault() },
    h("label.inline", "Price per GB", number), h("label.inline", "Currency", text),
    h("button.quiet", { onclick: () => {
      keepPrice(undefined);
      number.value = known(price().amount) ? String(price().amount) : "";
      text.value = price().currency;
      say();
      scope.run();
    } }, "Reset"), note);
}

function outputRow(scope, pipeline, output) {
  const subject = of.output(pipeline.name, output.name);
  const into = () => now(of.pipeline(pipeline.name), "received_bytes");
  const point = `${pipeline.name}.${output.name}`;
  return [
    h("button.linkish", { onclick: () => select(`output:${point}`, true) }, output.title || output.name),
    output.discard ? tag("quiet", "discarded") : [...output.sinks, ...output.pipelines].join(", ") || DASH,
    scope.live("span", () => format.rate(perSecond(subject, "events"))),
    scope.live("span", () => format.byteRate(perSecond(subject, "bytes"))),
    scope.live("span", { "data-count": `output/${point}/events` }, () => format.count(now(subject, "events"))),
    scope.live("span", { "data-count": `output/${point}/failed` }, () => format.count(now(subject, "failed_events"))),
    scope.live("span", { "data-count": `output/${point}/bytes`, title: "bytes of the bodies" }, () => format.bytes(now(subject, "bytes"))),
    h("span.share-cell", scope.bar(() => (into() > 0 ? now(subject, "bytes") / into() : 0)), scope.live("span", () => format.share(into() > 0 ? now(subject, "bytes") / into() : undefined))),
    scope.live("span", () => (output.discard ? format.money(0, price().currency) : perDay(perSecond(subject, "bytes")))),
  ];
}

function reduction(scope, pipeline) {
  const input = of.pipeline(pipeline.name);
  const kept = pipeline.outputs.filter((output) => !output.discard).map((output) => of.output(pipeline.name, output.name));
  const total = (read) => {
    const found = kept.map(read).filter(known);
    return found.length > 0 ? found.reduce((all, bytes) => all + bytes, 0) : undefined;
  };
  const outNow = () => total((subject) => now(subject, "bytes"));
  const outRate = () => total((subject) => perSecond(subject, "bytes"));
  const inNow = () => now(input, "received_bytes");
  const saved = () => {
    const [into, out] = [perSecond(input, "received_bytes"), outRate()];
    return known(into) && known(out) ? perDay(Math.max(0, into - out)) : DASH;
  };
  return h("div.reduction",
    h("dl.figures",
      h("div.figure", h("dt", "In"), scope.live("dd", () => format.bytes(inNow()))),
      h("div.figure", h("dt", "Out"), scope.live("dd", () => format.bytes(outNow()))),
      h("div.figure", h("dt", "Reduction"), scope.live("dd", () => (inNow() > 0 ? format.share(1 - outNow() / inNow()) : DASH))),
      h("div.figure", h("dt", "Cost per day"), scope.live("dd", () => perDay(outRate()))),
      h("div.figure", h("dt", "Saved per day"), scope.live("dd", saved))),
    h("div.compare",
      h("span.muted", "in"), scope.bar(() => 1), h("span.muted", "out"), scope.bar(() => (inNow() > 0 ? outNow() / inNow() : 0))));
}

const outputsView = {
  title: "Outputs",
  shape: () => JSON.stringify(store.graph.pipelines.map((pipeline) => [pipeline.name, pipeline.outputs])) + JSON.stringify(store.graph.sinks),
  build: (scope) => [
    h("h2.sr", "Outputs and reduction"),
    priceForm(scope),
    store.graph.pipelines.map((pipeline) => section(pipeline.name, reduction(scope, pipeline),
      table(`Outputs of ${pipeline.name}`, ["Output", "Goes to", "#Events", "#Bytes", "#Events, total", "#Failed", "#Bytes, total", "#Share of the input", "#Per day"],
        pipeline.outputs.map((output) => outputRow(scope, pipeline, output))))),
    section("Sinks", table("Sinks", ["Sink", "State", "#Delivered", "#Bytes", "#Delivered, total", "#Backlog", "#Oldest", "#Retries", "#Rejected", "#Lost"],
      store.graph.sinks.map((sink) => {
        const subject = of.sink(sink.name);
        const found = () => (store.status && subject(store.status)) || {};
        return [
          h("button.linkish", { onclick: () => select(`sink:${sink.name}`, true) }, sink.name),
          liveState(scope, subject),
          scope.live("span", () => format.rate(perSecond(subject, "delivered_events"))),
          scope.live("span", () => format.byteRate(perSecond(subject, "delivered_bytes"))),
          scope.live("span", { "data-count": `sink/${sink.name}/delivered` }, () => format.count(now(subject, "delivered_events"))),
          scope.live("span", () => format.bytes(found().backlog?.bytes)),
          scope.live("span", () => format.span(found().backlog?.oldest_seconds ?? undefined)),
          scope.live("span", () => format.count(now(subject, "retries"))),
          scope.live("span", () => format.count(now(subject, "failed_events"))),
          scope.live("span", () => format.count(now(subject, "lost_events"))),
        ];
      }))),
  ],
};
