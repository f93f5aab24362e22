// Failures by code with samples, faults of nodes, and quarantines.

// A document that is fetched while its view is open; the view is built again when it changes.
class Polled {
  constructor(path, seconds) {
    this.path = path;
    this.seconds = seconds;
    this.document = null;
    this.problem = null;
    this.at = 0;
  }

  // Called with each status while the view is open.
  poll() {
    if (this.isBusy || Date.now() - this.at < 1000 * this.seconds) return;
    this.isBusy = true;
    request(this.path)
      .then((document) => {
        this.document = document;
        this.problem = null;
      })
      .catch((error) => {
        this.problem = error instanceof Refused ? error.message : this.problem;
      })
      .finally(() => {
        this.isBusy = false;
        this.at = Date.now();
        refreshView();
      });
  }

  shape() {
    return JSON.stringify([this.document, this.problem]);
  }

  // What stands in place of the document until it is there.
  missing() {
    if (this.problem) return h("p.problem", this.problem);
    return this.document ? null : empty("Loading …");
  }
}

const failuresDocument = new Polled("/failures", 3);

function failureCard(scope, failed) {
  const subject = of.node(failed.pipeline, failed.node);
  const count = () => now(subject, (node) => node.failures?.[failed.code] ?? failed.events);
  const samples = failed.samples.slice().reverse().map((sample) =>
    h("li", h("p", h("time.muted", format.clock(sample.at)), " ", sample.message),
      sample.event === undefined || sample.event === null
        ? h("p.muted", lock(), " The event is not shown: it failed before it passed every mask, or taps are off.")
        : h("details.inline", h("summary", "Event"), lazyTree(sample.event))));
  return h("section.card", h("header.row", h("h3", h("code", failed.code)), h("span.muted", `${failed.pipeline} / ${failed.node}`),
    h("span.push.n", scope.live("strong", () => format.count(count())), " events, ", scope.live("span", () => format.rate(rate((status) => subject(status)?.failures?.[failed.code] ?? 0))))),
  samples.length > 0 ? h("ol.samples", samples) : empty("No sample is kept yet."));
}

function faultRows(scope) {
  const rows = [];
  for (const pipeline of store.status.pipelines) {
    for (const node of pipeline.nodes) {
      const subject = of.node(pipeline.name, node.name);
      for (const fault of node.faults) {
        rows.push([`${pipeline.name} / ${node.name}`, fault.kind, fault.blame === "guest" ? "the node" : "the agent",
          scope.live("span", () => format.count(now(subject, (found) => (found.faults.find((one) => one.kind === fault.kind && one.blame === fault.blame) || { count: 0 }).count))),
          scope.live("span", () => format.count(now(subject, "restarts"))),
          scope.live("span", () => (now(subject, "circuit_open") > 0 ? "✕ open" : "✓ closed"))]);
      }
    }
  }
  return rows;
}

function faultNames() {
  return (store.status?.pipelines || []).flatMap((pipeline) => pipeline.nodes.flatMap((node) => node.faults.map((fault) => `${pipeline.name}/${node.name}/${fault.kind}/${fault.blame}`)));
}

const failuresView = {
  title: "Failures",
  shape: () => `${failuresDocument.shape()}${JSON.stringify([faultNames(), store.status?.quarantines])}`,
  poll: () => failuresDocument.poll(),
  build: (scope) => {
    const list = failuresDocument.document?.failures || [];
    const faults = faultRows(scope);
    const quarantined = store.status.pipelines.flatMap((pipeline) => pipeline.nodes.filter((node) => node.quarantined_events > 0).map((node) => [pipeline.name, node.name]));
    return [
      h("h2.sr", "Failures"),
      section("Failed events by code", failuresDocument.missing(),
        failuresDocument.document && list.length === 0 ? empty("✓ No event has failed.") : h("div.cards", list.map((failed) => failureCard(scope, failed)))),
      section("Faults of nodes", faults.length === 0 ? empty("✓ No node has faulted.") :
        table("Faults", ["Node", "Kind", "Cause", "#Count", "#Restarts", "#Circuit"], faults)),
      section("Quarantine", store.status.quarantines.length === 0 && quarantined.length === 0 ? empty("✓ No event is in quarantine: every masking node could process its events.") : [
        store.status.quarantines.length > 0 ? table("Quarantine files", ["Pipeline", "#Size"], store.status.quarantines.map((one) => [one.pipeline, format.bytes(one.bytes)])) : null,
        quarantined.length > 0 ? table("Quarantined events", ["Node", "#Events"], quarantined.map(([pipeline, node]) =>
          [`${pipeline} / ${node}`, scope.live("span", () => format.count(now(of.node(pipeline, node), "quarantined_events")))])) : null,
        h("p.muted", "The events are in ", h("code", "quarantine/<pipeline>.ndjson"), " of the data folder, and nowhere else."),
      ]),
    ];
  },
};
