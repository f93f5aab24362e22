// The packs that run: version, digest, signature, capabilities, parameters, the result of their tests.

const packsDocument = new Polled("/packs", 10);

function verdict(tests) {
  const kinds = { passed: "ok", failed: "bad", none: "quiet", "not run": "quiet" };
  const words = tests.startsWith("passed") ? "passed" : tests.startsWith("failed") ? "failed" : tests;
  return tag(kinds[words] || "quiet", tests === "none" ? "no tests" : tests || DASH);
}

function signature(text) {
  if (!text) return DASH;
  if (text === "unsigned") return tag("warn", text);
  if (text.startsWith("not checked")) return tag("quiet", text);
  return tag("ok", text);
}

function capabilityRow(node) {
  const missing = node.asked.filter((name) => !node.granted.includes(name));
  const codes = (names) => (names.length > 0 ? names.map((name) => [h("code", name), " "]) : "none");
  return [`${node.pipeline} / ${node.node}`, codes(node.asked), codes(node.granted), missing.length > 0 ? tag("warn", `not granted: ${missing.join(", ")}`) : tag("ok", "all granted")];
}

function packCard(pack) {
  const parameters = Object.entries(pack.parameters);
  const artifacts = Object.entries(pack.artifacts);
  return h("section.card", h("header.row", h("h2", pack.name || pack.reference), h("span.muted", pack.version)),
    facts(
      ["Reference", h("code", pack.reference)],
      ["Origin", pack.origin],
      ["Digest", h("code.wrap", pack.digest)],
      ["Signature", signature(pack.signature)],
      ["Tests", verdict(pack.tests)],
      ["Pipelines", pack.pipelines.join(", ") || DASH]),
    h("h3", "Capabilities"),
    pack.nodes.length > 0 ? table(`Capabilities of ${pack.reference}`, ["Node", "Asked", "Granted", "Result"], pack.nodes.map(capabilityRow))
      : h("p.muted", "No node asks for a capability: each sees its batch and nothing else."),
    parameters.length > 0 ? [h("h3", "Parameters"), parameters.map(([pipeline, values]) =>
      h("details.inline", { open: parameters.length === 1 && leaves(values) <= 12 }, h("summary", pipeline), isTree(values) ? tree(values) : leaf(values)))] : null,
    artifacts.length > 0 ? h("details.inline", h("summary", `${artifacts.length} artifact${artifacts.length === 1 ? "" : "s"}`),
      facts(...artifacts.map(([path, digest]) => [path, h("code", { title: digest }, format.digest(digest))]))) : null);
}

const packsView = {
  title: "Packs",
  shape: () => packsDocument.shape(),
  poll: () => packsDocument.poll(),
  build: (scope) => {
    const packs = packsDocument.document?.packs || [];
    const registries = store.status.registries || [];
    return [
      h("h2.sr", "Packs"),
      packsDocument.missing(),
      packsDocument.document && packs.length === 0 ? empty("No pack runs; the graphs are written inline.") : null,
      h("div.cards.wide", packs.map(packCard)),
      registries.length > 0 ? section("Registries", table("Registries", ["Reference", "Digest", "Last answer", "#Polls", "#Failed"], registries.map((one) => {
        const current = () => store.status.registries.find((other) => other.reference === one.reference) || one;
        return [h("code", one.reference), scope.live("code", () => format.digest(current().digest)),
          scope.live("span", () => `${format.clock(current().answered_at)}${current().error ? `: ${current().error}` : ""}`),
          scope.live("span", () => format.count(current().unchanged_polls + current().changed_polls)), scope.live("span", () => format.count(current().failed_polls))];
      }))) : null,
    ];
  },
};
