// The balance: `received + split + copied + made = delivered + failed + dropped + held + returned`, live.

const LEFT = ["received", "split", "copied", "made"];
const RIGHT = ["delivered", "failed", "dropped", "held", "returned"];
const MEANINGS = {
  received: "from the sources",
  split: "added by splitting, less what combining removed",
  copied: "copies for a second port or link",
  made: "made by nodes without a parent",
  delivered: "left on an output",
  failed: "left on an output after they failed",
  dropped: "dropped on purpose",
  held: "in the memory of nodes",
  returned: "went back to their source",
};

function balanceCard(scope, pipeline) {
  const balance = () => (store.status && of.pipeline(pipeline.name)(store.status)?.balance) || {};
  const term = (name, at) => h("li", at > 0 ? h("span.operator", "+") : null, h("div.term",
    scope.live("strong.n", { "data-count": `balance/${pipeline.name}/${name}` }, () => format.count(balance()[name] ?? 0)),
    h("span", name), scope.live("span.n.muted", () => format.rate(perSecond((status) => of.pipeline(pipeline.name)(status)?.balance, name))), h("span.hint", MEANINGS[name])));
  const side = (names) => names.reduce((total, name) => total + (balance()[name] || 0), 0);
  const verdictText = () => {
    const { unbalanced = 0, in_progress: progress = 0 } = balance();
    if (unbalanced !== 0) return `✕ Does not close: ${format.count(unbalanced)} events are not accounted for. This is a bug of the agent; please report it.`;
    return progress === 0 ? "✓ Closes: every event is accounted for." : `✓ Closes: every event of every finished batch is accounted for; ${format.count(progress)} are with the workers now.`;
  };
  const card = h("section.card.balance", h("header.row", h("h2", pipeline.name), pipeline.pack ? h("span.muted", pipeline.pack) : null),
    h("div.equation",
      h("ul.terms", { "aria-label": "Events in" }, LEFT.map(term)),
      h("p.sum", scope.live("strong.n", () => format.count(side(LEFT))), h("span.muted", " in")),
      h("p.operator", "="),
      h("ul.terms", { "aria-label": "Events out" }, RIGHT.map(term)),
      h("p.sum", scope.live("strong.n", () => format.count(side(RIGHT))), h("span.muted", " out")),
      h("p.progress-term", scope.live("span.n", { "data-count": `balance/${pipeline.name}/in_progress` }, () => format.count(balance().in_progress ?? 0)), " in progress")),
    scope.live("p.verdict", verdictText));
  scope.on(() => card.classList.toggle("bad", (balance().unbalanced || 0) !== 0));
  return card;
}

const balanceView = {
  title: "Balance",
  shape: () => JSON.stringify(store.graph.pipelines.map((pipeline) => [pipeline.name, pipeline.pack])),
  build: (scope) => [
    h("h2.sr", "Balance"),
    h("p.muted", "Each batch is checked when it is finished. Events that workers process at this moment are in progress, which is not an error."),
    store.graph.pipelines.map((pipeline) => balanceCard(scope, pipeline)),
  ],
};
