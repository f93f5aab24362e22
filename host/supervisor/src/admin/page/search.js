// The search of the head: nodes, outputs, points, sources, sinks and views by name.

let found = [];
let chosen = -1;

function candidates() {
  const list = VIEWS.filter(([, view]) => !view.isHidden?.()).map(([name, view]) => ({ kind: "view", name: view.title, open: () => go({ view: name }) }));
  const add = (kind, name, id) => list.push({ kind, name, open: () => select(id, true) });
  for (const pipeline of store.graph?.pipelines || []) {
    for (const node of pipeline.nodes) add(node.type, `${pipeline.name}/${node.name}`, `node:${pipeline.name}/${node.name}`);
    for (const output of pipeline.outputs) add("output", `${pipeline.name}.${output.name}`, `output:${pipeline.name}.${output.name}`);
    for (const edge of pipeline.edges) add(`edge to ${edge.to}`, edge.point, `edge:${edge.point}>${edge.to}`);
  }
  for (const source of store.graph?.sources || []) add("source", source.name, `source:${source.name}`);
  for (const sink of store.graph?.sinks || []) add("sink", sink.name, `sink:${sink.name}`);
  return list;
}

function searchFor(text) {
  const words = text.trim().toLowerCase().split(/\s+/).filter(Boolean);
  found = words.length === 0 ? [] : candidates().filter((item) => words.every((word) => `${item.name} ${item.kind}`.toLowerCase().includes(word))).slice(0, 12);
  chosen = found.length > 0 ? 0 : -1;
  showFound(words.length > 0);
}

function showFound(isOpen) {
  const input = byId("search");
  const list = byId("found");
  list.hidden = !isOpen;
  input.setAttribute("aria-expanded", String(isOpen));
  const items = found.map((item, at) => {
    const option = h("li", { role: "option", "aria-selected": String(at === chosen), onmousedown: (event) => {
      event.preventDefault();
      openFound(at);
    } }, h("span", item.name), h("span.muted", item.kind));
    option.id = `found-${at}`;
    return option;
  });
  list.replaceChildren(...(items.length > 0 ? items : [h("li.muted", { role: "option", "aria-selected": "false", "aria-disabled": "true" }, "No match")]));
  setAttribute(input, "aria-activedescendant", isOpen && chosen >= 0 ? `found-${chosen}` : null);
}

function openFound(at) {
  const item = found[at];
  closeSearch();
  if (item) item.open();
}

function closeSearch() {
  byId("search").value = "";
  found = [];
  chosen = -1;
  showFound(false);
}

function startSearch() {
  byId("find").hidden = false;
  const input = byId("search");
  input.addEventListener("input", () => searchFor(input.value));
  input.addEventListener("blur", () => showFound(false));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (found.length === 0) return;
      chosen = (chosen + (event.key === "ArrowDown" ? 1 : found.length - 1)) % found.length;
      showFound(true);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      closeSearch();
      byId("main").focus();
    }
  });
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    openFound(chosen);
  });
}
