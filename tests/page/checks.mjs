// The checks of the page except for figures, pictures and secrets.

import { join } from "node:path";

import { noSecretShown } from "./secrets.mjs";

const text = (page, selector) => page.evaluate((wanted) => [...document.querySelectorAll(wanted)].map((element) => element.textContent), selector);

// The nodes that are drawn. A long name is cut in its box, so the ids count.
const nodes = (page) => page.evaluate(() => [...document.querySelectorAll("svg.graph .box.node .act")].map((element) => element.dataset.id));

const at = (id) => `#/graph?${new URLSearchParams({ at: id })}`;

// Elements that must be there, and the keyboard.
export async function keys(context, page) {
  const { check } = context;
  await context.go(page, "#/graph");
  const graph = await context.graph();
  await context.seen(page, ".box");
  const boxes = graph.pipelines.reduce((sum, pipeline) => sum + 1 + pipeline.nodes.length + pipeline.outputs.length, 0);
  const edges = graph.pipelines.reduce((sum, pipeline) => sum + pipeline.edges.length, 0);
  check("each box is drawn", (await text(page, "svg.graph .box")).length === boxes);
  check("each edge is drawn", (await text(page, "svg.graph .edge")).length === edges);
  check("each source and sink has a card", (await text(page, ".endpoint strong")).length >= graph.sources.length + graph.sinks.length);
  const names = await nodes(page);
  check("each node has its box", graph.pipelines.every((pipeline) => pipeline.nodes.every((node) => names.includes(`node:${pipeline.name}/${node.name}`))), names);
  check("rates are shown", (await text(page, "svg.graph .edge .rate")).some((rate) => rate.includes("/s")));
  check("costs are shown", (await text(page, "svg.graph .box.node .sub")).some((line) => /\d\u00a0(ns|µs|ms)/.test(line)));

  await page.keyboard.press("?");
  check("? shows the keys", await page.evaluate(() => document.getElementById("keys").open));
  await page.keyboard.press("Escape");
  await page.keyboard.press("/");
  check("/ goes to the search", await page.evaluate(() => document.activeElement.id === "search"));
  const [pipeline] = graph.pipelines;
  const [node] = pipeline.nodes;
  await page.keyboard.type(`${pipeline.name}/${node.name}`);
  await page.keyboard.press("Enter");
  await context.seen(page, "#panel:not([hidden]) h2");
  check("the search opens a node", (await text(page, "#panel h2"))[0] === node.name);
  check("the panel has the focus", await page.evaluate(() => document.getElementById("panel").contains(document.activeElement)));
  await page.keyboard.press("Escape");
  check("Esc closes the panel", await page.evaluate(() => document.getElementById("panel").hidden));
  check("the focus returns to the graph", await page.evaluate(() => Boolean(document.activeElement.closest("svg.graph"))));
  const focused = () => page.evaluate(() => document.activeElement.dataset.id);
  const before = await focused();
  await page.keyboard.press("ArrowRight");
  check("arrow keys move in the graph", (await focused()) && (await focused()) !== before, `${before} to ${await focused()}`);
  await page.keyboard.press("ArrowLeft");
  check("arrow keys move back", (await focused()) === before, await focused());
}

// The edge with the most events of those that a tap shows. Many edges of a graph carry no event for a long time.
async function busiest(context, graph) {
  return context.until("an edge after the masks that carries events", async () => {
    const status = await context.json("/api/v1/status");
    let best = null;
    for (const pipeline of graph.pipelines) {
      const found = status.pipelines.find((one) => one.name === pipeline.name);
      for (const edge of pipeline.edges) {
        const events = edge.from ? found?.nodes.find((one) => one.name === edge.from)?.ports[edge.port] || 0 : 0;
        if (edge.masked && !edge.failed && !edge.to_output && events > (best?.events || 0)) best = { edge, events };
      }
    }
    return best?.edge;
  });
}

// A point that tap shows, one that it does not show, and a trace.
export async function tapAndTrace(context, page) {
  const { check, spec } = context;
  const graph = await context.graph();
  const hidden = graph.pipelines.flatMap((pipeline) => pipeline.edges).find((edge) => !edge.masked);
  const shown = await busiest(context, graph);
  check("the graph has points on both sides of the masks", Boolean(hidden && shown));

  await context.go(page, at(`edge:${hidden.point}>${hidden.to}`));
  await context.seen(page, "#panel .locked");
  check("a point before the masks says why it is not shown", (await text(page, "#panel .locked"))[0].includes("before the mask"), (await text(page, "#panel .locked"))[0]);
  check("a point before the masks has no tap", (await page.$("#panel .tap button")) === null);

  await context.go(page, at(`edge:${shown.point}>${shown.to}`));
  await context.click(page, "#panel .tap button.primary");
  await context.seen(page, "#panel .tapped li:nth-child(3)");
  check("the agent accepts the tap", (await text(page, "#panel .tap .problem:not([hidden])")).length === 0);
  await page.click("#panel .tapped summary");
  await context.seen(page, "#panel .tapped details[open] .tree");
  const [event] = await text(page, "#panel .tapped details[open] .tree");
  check("a tapped event is shown as a tree", event.includes("eventName"), event.slice(0, 80));
  await context.wait(page, "masked values in the tapped events", (mask) => document.querySelector("#panel .tapped").textContent.includes(mask), spec.mask_text);
  await noSecretShown(context, page, "a running tap");
  await context.wait(page, "the report of the tap", () => /[1-9][\d,]* passed/.test(document.querySelector("#panel .tap p.n").textContent));

  // Planted events have the secrets that this test looks for.
  await page.type("#panel .tap input[type=text]", "body~CreatePlanted");
  await page.click("#panel .tap button[type=submit]");
  check("a filter is listed", (await text(page, "#panel .chips code"))[0] === "body~CreatePlanted", await text(page, "#panel .chips code"));
  await context.seen(page, "#panel .tapped li");
  await page.evaluate(() => [...document.querySelectorAll("#panel .tap button")].find((button) => button.textContent === "Clear").click());
  await context.wait(page, "planted events that pass the filter", () => document.querySelector("#panel .tapped")?.textContent.includes("CreatePlanted"));
  check("the agent applies the filter", (await text(page, "#panel .tapped li")).every((one) => one.includes("CreatePlanted")));
  await page.evaluate(() => document.querySelectorAll("#panel .tapped details").forEach((details) => (details.open = true)));
  await context.seen(page, "#panel .tapped details[open] .tree");
  await noSecretShown(context, page, "planted events opened");
  await page.type("#panel .tap input[type=search]", "no event has this text");
  await context.wait(page, "an empty list after a search for other text", () => document.querySelectorAll("#panel .tapped li").length === 0);
  await page.click("#panel .tap input[type=search]", { clickCount: 3 });
  await page.keyboard.press("Backspace");
  await context.seen(page, "#panel .tapped li");
  check("the search hides and shows events", true);
  await page.screenshot({ path: join(spec.out, "tap-1600-light.png") });
  await page.evaluate(() => [...document.querySelectorAll("#panel .tap button")].find((button) => button.textContent === "Pause").click());
  await context.wait(page, "the state `paused`", () => document.querySelector("#panel .tap").dataset.state === "paused");
  // What it received before is listed after at most 200 ms.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const count = (await text(page, "#panel .tapped li")).length;
  await new Promise((resolve) => setTimeout(resolve, 1200));
  check("a paused tap shows no more events", (await text(page, "#panel .tapped li")).length === count);

  await page.click("#panel .trace button");
  await context.seen(page, "#panel .steps > li");
  const steps = await text(page, "#panel .steps > li");
  check("a trace has several steps", steps.length >= 2, String(steps.length));
  check("a trace has differences field by field", (await page.$("#panel .steps .diff li")) !== null || steps.some((one) => one.includes("No difference")));
  await page.evaluate(() => document.querySelectorAll("#panel .steps details").forEach((details) => (details.open = true)));
  await noSecretShown(context, page, "a trace");
  await page.evaluate(() => document.querySelector("#panel .trace").scrollIntoView());
  await page.screenshot({ path: join(spec.out, "trace-1600-light.png") });
  await page.setViewport({ width: 360, height: 780 });
  await page.screenshot({ path: join(spec.out, "trace-360-light.png") });
  await page.setViewport({ width: 1600, height: 900 });
  await page.keyboard.press("Escape");
}

// A hot swap shows within a second of the time that the agent records for it.
export async function swapShown(context, page) {
  const { check } = context;
  await context.go(page, "#/graph");
  const before = await context.graph();
  await page.evaluate(() => {
    const place = document.querySelector('[data-fact="generation"]');
    window.swappedAt = null;
    new MutationObserver(() => (window.swappedAt ??= Date.now())).observe(place, { childList: true, characterData: true, subtree: true });
  });
  await context.ask("swap");
  const shownAt = await context.until("the swap on the page", () => page.evaluate(() => window.swappedAt));
  const after = await context.graph();
  const { entries } = await context.json("/api/v1/history");
  const recorded = entries.find((entry) => entry.generation === after.generation);
  const late = shownAt - Date.parse(recorded.at);
  check("a swap is shown within a second", late < 1000, `${late} ms after the record of the agent`);
  await context.seen(page, ".change:not([hidden])");
  const [line] = await text(page, ".change");
  check("the page says what changed", line.includes(`Generation ${before.generation} → `), line);
  const names = await nodes(page);
  check("the graph has the nodes of the new generation", after.pipelines.every((pipeline) => pipeline.nodes.every((node) => names.includes(`node:${pipeline.name}/${node.name}`))), names);
  await page.screenshot({ path: join(context.spec.out, "swap-1600-light.png") });
}

// Metrics of the nodes of the pack as charts.
export async function insight(context, page) {
  const { check } = context;
  await context.click(page, '#views a[data-view="insight"]');
  await context.wait(page, "charts of metrics", () => document.querySelectorAll("main .chart polyline[points]").length >= 2);
  const charts = await text(page, "main .chart h3");
  check("insight has charts of the metrics of the pack", charts.some((name) => name.startsWith("cloudtrail.")), [...new Set(charts)].join(" "));
  await noSecretShown(context, page, "insight");
}

// Runs an input in the view `try`, also against another version.
export async function tried(context, page) {
  const { check, spec } = context;
  await context.go(page, "#/try");
  await context.seen(page, "form.try textarea");
  await page.evaluate((input) => {
    const field = document.querySelector("form.try textarea");
    field.value = input;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }, spec.input);
  await page.click("form.try button.primary");
  // A trial runs with the lowest priority and ends after 30 s, without the time to compile.
  await context.waitFor(60_000, page, "the result of a trial", () => document.querySelector("main [data-tried], main .problem"));
  check("try shows a result", (await page.$("main [data-tried]")) !== null, (await text(page, "main .problem")).join(" "));
  const result = (await text(page, "main [data-tried]")).join("");
  check("the result has events and costs", /Costs/.test(result) && result.includes("cloudtrail@"), result.slice(0, 120));
  // The trace begins with the input, which the user pasted; the outputs are masked.
  await page.evaluate(() => document.querySelectorAll("main [data-tried] section:first-of-type details").forEach((details) => (details.open = true)));
  await context.seen(page, "main [data-tried] section:first-of-type .tree");
  const outputs = (await text(page, "main [data-tried] section:first-of-type")).join("");
  check("the outputs of a trial are masked", outputs.includes("Tried") && outputs.includes(spec.mask_text) && !outputs.includes(spec.input_secret), outputs.slice(0, 120));
}

// The text of a refusal is shown.
export async function refusedTap(context, page) {
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    if (request.url().includes("/api/v1/tap")) request.respond({ status: 403, contentType: "application/json", body: JSON.stringify({ error: "the operator withdrew <b>taps</b>" }) });
    else request.continue();
  });
  const graph = await context.graph();
  const edge = graph.pipelines[0].edges.find((one) => one.masked && one.from);
  await context.visit(page, at(`edge:${edge.point}>${edge.to}`));
  await context.click(page, "#panel .tap button.primary");
  await context.seen(page, "#panel .tap .problem:not([hidden])");
  const [shown] = await text(page, "#panel .tap .problem");
  context.check("a refusal shows its text, as text", shown === "the operator withdrew <b>taps</b>", shown);
  await page.close();
}

// The agent ends while the page is open, and starts again: the page says so, keeps the figures, and connects by itself.
export async function restarted(context, page) {
  const { check } = context;
  await context.visit(page, "#/balance");
  await context.seen(page, "main .term");
  const pid = (await context.json("/api/v1/status")).pid;
  await context.ask("end");
  await context.seen(page, '#link[data-state="lost"]');
  const [said] = await text(page, "#link-text");
  check("a lost connection is said", /connection lost; figures of \d\d:/.test(said), said);
  check("the state is not known then", (await text(page, '[data-fact="state"]'))[0].includes("not known"));
  check("the last figures stay", (await text(page, "main .term")).length === 9);
  await page.screenshot({ path: join(context.spec.out, "lost-1600-light.png") });
  await context.ask("start");
  await context.seen(page, '#link[data-state="live"]');
  check("the page connects to the new agent", (await context.json("/api/v1/status")).pid !== pid);
  await context.wait(page, "figures of the new agent", () => /^\d+\u00a0s$/.test(document.querySelector('[data-fact="up"]').textContent));
  await page.close();
}
