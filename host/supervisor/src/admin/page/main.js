// Starts the page: views, address, keys, head, connection.

const VIEWS = [
  ["graph", graphView], ["outputs", outputsView], ["failures", failuresView], ["packs", packsView], ["rollout", rolloutView],
  ["balance", balanceView], ["insight", insightView], ["try", tryView],
];
// Time after which a hidden page closes its streams.
const HIDDEN_MS = 5000;

let current = null;
let scope = null;
let shape = null;
let hiding = null;

// The address: `#/VIEW?at=SELECTION`.
function address() {
  const [, path = "", query = ""] = /^#\/?([^?]*)\??(.*)$/.exec(location.hash) || [];
  const name = VIEWS.some(([known]) => known === path) ? path : "graph";
  return { view: name, at: new URLSearchParams(query).get("at") };
}

function go(change) {
  const { view, at } = { ...address(), ...change };
  const hash = `#/${view}${at ? `?${new URLSearchParams({ at })}` : ""}`;
  if (location.hash === hash) return;
  history.pushState(null, "", hash);
  route();
}

function viewOf(name) {
  return VIEWS.find(([known]) => known === name)[1];
}

function route() {
  if (!store.graph || !store.status) return;
  const { view, at } = address();
  if (view !== current) {
    if (current) viewOf(current).close?.();
    current = view;
    shape = null;
    viewOf(view).open?.();
    const nav = byId("views");
    for (const link of nav.querySelectorAll("a")) {
      setAttribute(link, "aria-current", link.dataset.view === view ? "page" : null);
      if (link.dataset.view === view) nav.scrollLeft = link.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2;
    }
    document.title = `${viewOf(view).title} · Wattle`;
    byId("main").scrollTop = 0;
  }
  refreshView();
  showPanel(at);
}

// Builds the view if its shape has changed, else refreshes its numbers.
function refreshView() {
  if (!current || !store.graph || !store.status) return;
  const view = viewOf(current);
  const wanted = view.shape();
  if (wanted !== shape) {
    if (isInUse()) return;
    shape = wanted;
    scope = new Scope();
    const opened = new Set([...byId("main").querySelectorAll("details[open]")].map(detailName));
    const focus = document.activeElement?.dataset?.id;
    byId("main").replaceChildren(...[view.build(scope)].flat(Infinity).filter(Boolean));
    for (const details of byId("main").querySelectorAll("details")) if (opened.has(detailName(details))) details.open = true;
    if (focus) byId("main").querySelector(`[data-id="${CSS.escape(focus)}"]`)?.focus();
  } else {
    scope.run();
  }
}

function detailName(details) {
  return `${details.closest("section")?.firstElementChild?.textContent}/${details.querySelector("summary")?.textContent}`;
}

// What is read or marked must not be replaced under the hand; the view waits until it is free.
function isInUse() {
  const selection = getSelection();
  const main = byId("main");
  if (shape !== null && selection && !selection.isCollapsed && main.contains(selection.anchorNode)) return true;
  return shape !== null && current !== "try" && main.contains(document.activeElement) && /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
}

function startNav() {
  for (const link of byId("views").querySelectorAll("a")) {
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      go({ view: link.dataset.view });
    });
  }
}

function hideViews() {
  for (const link of byId("views").querySelectorAll("a")) {
    const isHidden = Boolean(viewOf(link.dataset.view).isHidden?.());
    if (link.hidden !== isHidden) link.hidden = isHidden;
  }
}

const factScope = new Scope();
function showFacts() {
  const status = () => store.status;
  const item = (name, read) => h("li", h("span.muted", `${name} `), factScope.live("span", { "data-fact": name }, read));
  byId("facts").replaceChildren(
    item("version", () => status()?.version || DASH),
    item("generation", () => (store.graph ? String(store.graph.generation) : DASH)),
    item("up", () => format.span(status()?.uptime_seconds)),
    item("state", () => (store.link === "lost" ? "? not known" : status() ? (status().ready ? "✓ ready" : `▲ ${status().reason || status().phase}`) : DASH)));
}

function showLink() {
  const { link } = store;
  factScope.run();
  byId("link").dataset.state = link;
  document.body.classList.toggle("lost", link === "lost");
  if (link === "live") setText(byId("link-text"), "live");
  else if (link === "hidden") setText(byId("link-text"), "paused");
  else if (link === "lost") {
    const since = store.status ? `; figures of ${format.clock(store.status.at)}` : "";
    setText(byId("link-text"), store.error ? `refused: ${store.error}` : `connection lost${since}`);
  }
}

const KEYS = [
  ["/", "search"], ["?", "this list"], ["Esc", "close the panel or the search"], ["1 … 8", "open a view"],
  ["Tab", "into the graph, and on"], ["← ↑ → ↓", "move in the graph"], ["Enter", "open the details of what has the focus"],
  ["t", "start or pause the tap of the panel"], ["f", "follow one event from the point of the panel"],
];

function showKeys() {
  const dialog = byId("keys");
  const title = h("h2", "Keys");
  title.id = "keys-title";
  dialog.replaceChildren(title, h("dl.keys", KEYS.map(([key, what]) => h("div", h("dt", h("kbd", key)), h("dd", what)))),
    h("form", { method: "dialog" }, h("button.primary", { type: "submit", autofocus: true }, "Close")));
  dialog.showModal();
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  if (event.key === "Escape" && selected) {
    closePanel();
    return;
  }
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  const view = VIEWS.filter(([, one]) => !one.isHidden?.())[Number(event.key) - 1];
  if (event.key === "/") byId("search").focus();
  else if (event.key === "?") showKeys();
  else if (event.key === "t" && panelTap) {
    if (panelTap.state === "running") panelTap.pause();
    else panelTap.start();
  } else if (event.key === "f" && panelTap) panelTap.tracer.next();
  else if (view) go({ view: view[0] });
  else return;
  event.preventDefault();
}

// A hidden page costs the agent nothing: it closes its streams, and opens them when it is seen again.
function visibility() {
  clearTimeout(hiding);
  if (document.hidden) {
    hiding = setTimeout(() => {
      panelTap?.hide();
      if (current) viewOf(current).close?.();
      unfollow();
      setLink("hidden");
    }, HIDDEN_MS);
  } else if (store.link === "hidden") {
    setLink("connecting");
    follow();
  }
}

function start() {
  startNav();
  showFacts();
  startSearch();
  byId("help").addEventListener("click", showKeys);
  byId("skip").addEventListener("click", (event) => {
    event.preventDefault();
    byId("main").focus();
  });
  document.addEventListener("keydown", key);
  document.addEventListener("visibilitychange", visibility);
  addEventListener("popstate", route);
  addEventListener("hashchange", route);
  listen("graph", () => {
    factScope.run();
    hideViews();
    if (current) refreshView();
    else route();
  });
  listen("status", () => {
    factScope.run();
    // The time of the figures, for who compares them with other sources.
    setAttribute(byId("facts"), "data-at", store.status.at);
    if (!current) route();
    if (current) {
      viewOf(current).poll?.();
      refreshView();
    }
  });
  listen("link", showLink);
  follow();
}

start();
