// Versions that are tried: shadows side by side, canaries with their rules; and versions that ran.

const shadowsDocument = new Polled("/shadows", 2);
const historyDocument = new Polled("/history", 4);

// A rule of a canary: what it allows, what both versions have. Faults and failures are shares, time is a ratio.
function ruleRow(scope, canary, rule) {
  const current = () => canary().rules.find((other) => other.name === rule.name) || rule;
  const show = (value) => (rule.unit === "ratio" ? (known(value) ? `${value.toFixed(2)}×` : DASH) : format.share(value));
  const isOver = () => {
    const { candidate, primary, allowed } = current();
    return known(candidate) && candidate > (rule.unit === "ratio" ? allowed : (primary || 0) + allowed);
  };
  return [rule.name.replaceAll("_", " "), scope.live("span", () => show(current().primary)), scope.live("span", () => show(current().candidate)),
    rule.unit === "ratio" ? `at most ${show(rule.allowed)}` : `at most ${show(rule.allowed)} more`, scope.live("span", () => (isOver() ? "▲ above; a significant difference rolls back" : "✓ kept"))];
}

function canaryCard(scope, name) {
  const canary = () => store.status.canaries.find((one) => one.pipeline === name) || { received_events: 0, rules: [] };
  const first = canary();
  const elapsed = () => canary().elapsed_seconds || 0;
  const left = () => Math.max(0, canary().promoted_after_seconds - elapsed());
  const events = () => canary().received_events;
  return h("section.card", h("header.row", h("h3", name), tag("new", first.candidate || "candidate"), h("span.muted", `takes ${format.share(first.share)} of the batches`)),
    h("div.progress",
      h("span", "Time"), scope.bar(() => elapsed() / canary().promoted_after_seconds), scope.live("span", () => (left() > 0 ? `${format.span(left())} left of ${format.span(canary().promoted_after_seconds)}` : "✓ reached")),
      h("span", "Events"), scope.bar(() => events() / canary().min_events), scope.live("span", () => `${format.count(events())} of at least ${format.count(canary().min_events)}`)),
    facts(["Received", scope.live("span", () => format.count(events()))],
      ["Failed", scope.live("span", () => `${format.count(canary().failed_events)} (${format.share(events() > 0 ? canary().failed_events / events() : undefined)})`)],
      ["Faulted batches", scope.live("span", () => format.count(canary().faulted_batches))]),
    first.rules?.length > 0 ? table(`Rules of the canary of ${name}`, ["Rule", "#Running", "#Candidate", "Limit", "State"], first.rules.map((rule) => ruleRow(scope, canary, rule))) : null,
    h("p.muted", "Promoted when both bars are full and every rule is kept; rolled back when a rule is broken beyond chance."));
}

// Both versions of an event side by side.
function sides(left, right, names) {
  const side = (name, value) => h("div.side", h("h4", name), value === undefined || value === null ? h("p.muted", "no such event") : isTree(value) ? tree(opened(value)) : h("pre", value));
  const [before, after] = [parsed(left) ?? left, parsed(right) ?? right];
  const both = isTree(before) && isTree(after);
  return h("div", both ? differences(before, after) : null,
    both ? h("details.inline", h("summary", "Both events"), h("div.sides", side(names[0], before), side(names[1], after))) : h("div.sides", side(names[0], before), side(names[1], after)));
}

function shadowCard(name, shadow) {
  const rows = Object.entries(shadow.outputs).map(([output, counts]) =>
    [output, ...["primary", "candidate", "missing", "added", "changed"].map((key) => format.count(counts[key]))]);
  const first = shadow.first.map((one) => h("li", h("p.row", h("strong", one.output)),
    one.hidden ? h("p.muted", lock(), " The contents are not shown: the event has not passed every mask, or taps are off.") : sides(one.primary, one.candidate, ["Running", "Candidate"])));
  return h("section.card", h("header.row", h("h3", name), tag("quiet", shadow.candidate), h("span.muted", `since ${format.date(shadow.since)}`),
    shadow.differing_events > 0 ? tag("warn", `${format.count(shadow.differing_events)} events differ`) : tag("ok", "no difference")),
  facts(["Batches", format.count(shadow.batches)], ["Skipped batches", format.count(shadow.skipped_batches)], ["Faulted batches", format.count(shadow.faulted_batches)],
    ["CPU of the candidate", known(shadow.cpu_ratio) ? `${shadow.cpu_ratio.toFixed(2)}× of the running version` : DASH]),
  table(`Outputs of the shadow of ${name}`, ["Output", "#Running", "#Candidate", "#Missing", "#Added", "#Changed"], rows),
  first.length > 0 ? [h("h3", "First events that differ"), h("ol.samples", first)] : null);
}

function timeline(entries) {
  const kinds = { started: "ok", applied: "ok", promoted: "ok", invalid: "bad", failed: "bad", "rolled-back": "warn" };
  return h("ol.timeline", entries.slice().reverse().slice(0, 60).map((entry) => h("li",
    h("p.row", tag(kinds[entry.what] || "quiet", entry.what), h("strong", `generation ${entry.generation}`), h("time.muted", format.date(entry.at)),
      Object.keys(entry.packs).length > 0 ? h("span.muted", Object.entries(entry.packs).map(([pipeline, pack]) => `${pipeline}: ${pack}`).join(", ")) : null),
    entry.why ? h("p", entry.why) : null, entry.error ? h("p.note", entry.error) : null)));
}

const rolloutView = {
  title: "Rollout",
  shape: () => `${shadowsDocument.shape()}${historyDocument.shape()}${JSON.stringify((store.status?.canaries || []).map((one) => [one.pipeline, one.candidate, one.rules?.length]))}`,
  poll: () => {
    shadowsDocument.poll();
    historyDocument.poll();
  },
  build: (scope) => {
    const canaries = store.status.canaries || [];
    const shadows = Object.entries(shadowsDocument.document?.shadows || {});
    return [
      h("h2.sr", "Rollout"),
      section("Canaries", canaries.length === 0 ? empty("No canary runs. ", h("code", "canary"), " of a pipeline gives a new version a share of the batches.")
        : h("div.cards.wide", canaries.map((canary) => canaryCard(scope, canary.pipeline)))),
      section("Shadows", shadowsDocument.missing(), shadowsDocument.document && shadows.length === 0 ? empty("No shadow runs. ", h("code", "shadow"), " of a pipeline compares a new version on copies, without effects.") : null,
        h("div.cards.wide", shadows.map(([name, shadow]) => shadowCard(name, shadow)))),
      section("History", historyDocument.missing(), historyDocument.document ? timeline(historyDocument.document.entries) : null),
    ];
  },
};
