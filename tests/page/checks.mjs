// The checks of the page but for its figures.

import { readFileSync } from "node:fs";
import { join } from "node:path";

const WIDTHS = [390, 1024, 1600];
const THEMES = ["light", "dark"];

async function go(page, hash) {
  await page.evaluate((to) => (location.hash = to), hash);
}

async function theme(page, name) {
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: name }, { name: "prefers-reduced-motion", value: "reduce" }]);
}

const text = (page, selector) => page.evaluate((wanted) => [...document.querySelectorAll(wanted)].map((element) => element.textContent), selector);

// The nodes that are drawn. A long name is cut in its box, so the ids count.
const nodes = (page) => page.evaluate(() => [...document.querySelectorAll("svg.graph .box.node .act")].map((element) => element.dataset.id));

// Elements that must be there, and the keyboard.
export async function keys(context, page) {
  const { check } = context;
  await go(page, "#/graph");
  const graph = await context.graph();
  await page.waitForSelector(".box");
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
  await page.waitForSelector("#panel:not([hidden]) h2");
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

// A point that tap shows, one that it does not show, and a trace.
export async function tapAndTrace(context, page) {
  const { check, spec } = context;
  const graph = await context.graph();
  const edges = graph.pipelines.flatMap((pipeline) => pipeline.edges);
  const hidden = edges.find((edge) => !edge.masked);
  const shown = edges.filter((edge) => edge.masked && !edge.failed && edge.from && !edge.to_output).at(-1);
  check("the graph has points on both sides of the masks", Boolean(hidden && shown));

  await go(page, `#/graph?${new URLSearchParams({ at: `edge:${hidden.point}>${hidden.to}` })}`);
  await page.waitForSelector("#panel .locked");
  check("a point before the masks says why it is not shown", (await text(page, "#panel .locked"))[0].includes("before the mask"), (await text(page, "#panel .locked"))[0]);
  check("a point before the masks has no tap", (await page.$("#panel .tap button")) === null);
  for (const request of ["tap", "trace"]) {
    const refused = await context.get(`/api/v1/${request}?${new URLSearchParams({ point: hidden.point })}`);
    check(`the agent refuses to ${request} before the masks`, refused.status === 403, `${refused.status} ${refused.text.slice(0, 200)}`);
  }

  await go(page, `#/graph?${new URLSearchParams({ at: `edge:${shown.point}>${shown.to}` })}`);
  await page.waitForSelector("#panel .tap button.primary");
  await page.click("#panel .tap button.primary");
  await page.waitForSelector("#panel .tapped li:nth-child(3)", { timeout: 20_000 });
  await page.click("#panel .tapped summary");
  await page.waitForSelector("#panel .tapped details[open] .tree");
  const event = (await text(page, "#panel .tapped details[open] .tree"))[0];
  check("a tapped event is shown as a tree", event.includes("eventName"), event.slice(0, 80));
  if (spec.mask_text) check("tapped events have passed the masks", (await text(page, "#panel .tapped")).join("").includes(spec.mask_text));
  await page.waitForFunction(() => /\d passed/.test(document.querySelector("#panel .tap p.n").textContent));

  await page.type("#panel .tap input[type=text]", "attributes.eventName~e");
  await page.click("#panel .tap button[type=submit]");
  check("a filter is listed", (await text(page, "#panel .chips code"))[0] === "attributes.eventName~e");
  await page.type("#panel .tap input[type=search]", "no event has this text");
  await page.waitForFunction(() => document.querySelectorAll("#panel .tapped li").length === 0);
  await page.click("#panel .tap input[type=search]", { clickCount: 3 });
  await page.keyboard.press("Backspace");
  await page.waitForSelector("#panel .tapped li");
  check("the search hides and shows events", true);
  await page.evaluate(() => [...document.querySelectorAll("#panel .tap button")].find((button) => button.textContent === "Pause").click());
  await page.waitForFunction(() => document.querySelector("#panel .tap").dataset.state === "paused");
  const count = (await text(page, "#panel .tapped li")).length;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  check("a paused tap shows no more events", (await text(page, "#panel .tapped li")).length === count);

  await page.click("#panel .trace button");
  await page.waitForSelector("#panel .steps > li", { timeout: 20_000 });
  const steps = await text(page, "#panel .steps > li");
  check("a trace has several steps", steps.length >= 2, String(steps.length));
  check("a trace has differences field by field", (await page.$("#panel .steps .diff li")) !== null || steps.some((one) => one.includes("No difference")));
  await page.screenshot({ path: join(spec.out, "tap-1600-light.png") });
  await page.keyboard.press("Escape");
}

// A hot swap shows within a second.
export async function swapShown(context, page) {
  const { check } = context;
  await go(page, "#/graph");
  const before = await context.graph();
  await page.evaluate(() => {
    const place = document.querySelector('[data-fact="generation"]');
    window.swappedAt = null;
    new MutationObserver(() => (window.swappedAt ??= Date.now())).observe(place, { childList: true, characterData: true, subtree: true });
  });
  let at = null;
  const watch = context.until("a swap", async () => {
    const now = await context.graph();
    if (now.generation !== before.generation) at ??= Date.now();
    return at;
  }, 60_000);
  await context.ask("swap");
  await watch;
  const shownAt = await context.until("the swap on the page", () => page.evaluate(() => window.swappedAt));
  check("a swap is shown within a second", shownAt - at < 1000, `${shownAt - at} ms after the agent`);
  await page.waitForSelector(".change:not([hidden])");
  const line = (await text(page, ".change"))[0];
  const after = await context.graph();
  check("the page says what changed", line.includes(`Generation ${before.generation} → `), line);
  const names = await nodes(page);
  check("the graph has the nodes of the new generation", after.pipelines.every((pipeline) => pipeline.nodes.every((node) => names.includes(`node:${pipeline.name}/${node.name}`))), names);
  await page.screenshot({ path: join(context.spec.out, "swap-1600-light.png") });
}

// Runs an input in the view `try`.
export async function tried(context, page) {
  const { check, spec } = context;
  const index = JSON.parse((await context.get("/api/v1")).text);
  await go(page, "#/try");
  if (!index.can_try) {
    await page.waitForFunction(() => document.querySelector("main").textContent.includes("did not allow"));
    check("try says that it is not allowed", true);
    return;
  }
  await page.waitForSelector("form.try textarea");
  await page.evaluate((input) => {
    const field = document.querySelector("form.try textarea");
    field.value = input;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }, spec.input || '{"Records":[]}');
  await page.click("form.try button.primary");
  await page.waitForSelector("main [data-tried], main .problem", { timeout: 30_000 });
  check("try shows a result", (await page.$("main [data-tried]")) !== null, (await text(page, "main .problem")).join(" "));
}

// Each view in both themes at three widths: screenshots, no sideways scrolling, nothing serious that axe finds.
export async function look(context, page) {
  const { check, spec } = context;
  const views = await page.evaluate(() => [...document.querySelectorAll("#views a:not([hidden])")].map((link) => link.dataset.view));
  check("all views are there", ["graph", "outputs", "failures", "packs", "rollout", "balance", "try"].every((view) => views.includes(view)), views.join(" "));
  const graph = await context.graph();
  const node = graph.pipelines[0].nodes[0].name;
  const places = [...views.map((view) => [view, `#/${view}`]), ["node", `#/graph?${new URLSearchParams({ at: `node:${graph.pipelines[0].name}/${node}` })}`]];
  await page.evaluate(readFileSync(context.axe, "utf8"));
  for (const [name, hash] of places) {
    await go(page, hash);
    // Documents of a view come with the next status.
    await page.waitForFunction(() => !/Loading/.test(document.querySelector("main").textContent), { timeout: 20_000 });
    for (const colours of THEMES) {
      await theme(page, colours);
      for (const width of WIDTHS) {
        await page.setViewport({ width, height: width < 500 ? 844 : 900 });
        await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
        await page.screenshot({ path: join(spec.out, `${name}-${width}-${colours}.png`), fullPage: true });
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        check(`${name} fits ${width} px`, wide <= 0, `${wide} px too wide`);
        const violations = await page.evaluate(async () => {
          const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
          return violations.filter((one) => ["serious", "critical"].includes(one.impact)).map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((found) => `${found.target} ${found.any[0]?.message || ""}`).join("; ")}`);
        });
        check(`axe finds nothing serious in ${name}, ${width} px, ${colours}`, violations.length === 0, violations);
      }
    }
  }
  await page.setViewport({ width: 1600, height: 900 });
  await theme(page, "light");
}

// Secrets are neither in the page nor in anything that it received.
export async function secrets(context, page) {
  const { check, spec } = context;
  const dom = await page.content();
  const received = await page.evaluate(() => window.received.join(""));
  check("the page received documents", received.length > 10_000, String(received.length));
  // Parts too: a cut event must not end in the middle of a secret.
  const parts = (spec.secrets || []).map((secret) => secret.slice(0, 12));
  if (!spec.fake) check("there are secrets to look for", parts.length > 3, String(parts.length));
  check("no secret in the page", !parts.some((part) => dom.includes(part)), parts.filter((part) => dom.includes(part)));
  check("no secret in what the page received", !parts.some((part) => received.includes(part)), parts.filter((part) => received.includes(part)));
}

// The text of a refusal is shown.
export async function refusedTap(context, page) {
  await page.setRequestInterception(true);
  page.on("request", (request) => {
    if (request.url().includes("/api/v1/tap")) request.respond({ status: 403, contentType: "application/json", body: JSON.stringify({ error: "the operator withdrew <b>taps</b>" }) });
    else request.continue();
  });
  const graph = await context.graph();
  const edge = graph.pipelines[0].edges.filter((one) => one.masked && one.from).at(0);
  await page.goto(`${context.spec.url}#/graph?${new URLSearchParams({ at: `edge:${edge.point}>${edge.to}` })}`);
  await page.waitForSelector("#panel .tap button.primary");
  await page.click("#panel .tap button.primary");
  await page.waitForSelector("#panel .tap .problem:not([hidden])");
  const [shown] = await text(page, "#panel .tap .problem");
  context.check("a refusal shows its text, as text", shown === "the operator withdrew <b>taps</b>", shown);
  await page.close();
}

// A lost connection is said, the figures stay, and the page connects again by itself.
export async function lost(context, page) {
  const { check, until } = context;
  await page.goto(`${context.spec.url}#/balance`);
  await page.waitForSelector('#link[data-state="live"]');
  await page.waitForSelector("main .term");
  await page.setOfflineMode(true);
  // An open stream survives this switch of the browser; a reload of the stream does not.
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.waitForSelector('#link[data-state="hidden"]', { timeout: 10_000 });
  await page.evaluate(() => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => false });
    document.dispatchEvent(new Event("visibilitychange"));
  });
  await page.waitForSelector('#link[data-state="lost"]', { timeout: 10_000 });
  check("a lost connection is said", /connection lost; figures of \d\d:/.test((await text(page, "#link-text"))[0]), (await text(page, "#link-text"))[0]);
  check("the last figures stay", (await text(page, "main .term")).length === 9);
  await page.setOfflineMode(false);
  await until("the connection", () => page.$('#link[data-state="live"]'), 40_000);
  check("the page connects again", true);
  await page.close();
}
