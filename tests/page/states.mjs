// States that a user meets and that the main test does not have: a graph without a pack, with many nodes and long names, no
// event yet, and `tap = "off"`.

import { join } from "node:path";

import { axe, pictures, WIDTHS } from "./look.mjs";

const EMPTY = {
  failures: ["No event has failed", "No node has faulted", "No event is in quarantine"],
  packs: ["No pack runs"],
  rollout: ["No canary runs", "No shadow runs"],
  balance: ["Closes"],
};

export async function states(context, browser) {
  const { check } = context;
  const { page, problems } = await context.open(browser);
  await context.visit(page);
  await context.seen(page, ".box .sub");
  const graph = await context.graph();
  const [pipeline] = graph.pipelines;
  check("a graph with many nodes is drawn", (await page.$$("svg.graph .box.node")).length === pipeline.nodes.length, String(pipeline.nodes.length));
  // Texts of a box must not leave it.
  const outside = await page.evaluate(() => [...document.querySelectorAll("svg.graph .box")].flatMap((box) => {
    const { right } = box.querySelector("rect").getBoundingClientRect();
    return [...box.querySelectorAll("text")].filter((text) => text.getBoundingClientRect().right > right + 1).map((text) => text.textContent);
  }));
  check("names stay in their boxes", outside.length === 0, outside);
  check("there is no insight without nodes for it", await page.evaluate(() => document.querySelector('#views a[data-view="insight"]').hidden));
  await pictures(context, page, "many");

  const edge = pipeline.edges.find((one) => one.from);
  await context.go(page, `#/graph?${new URLSearchParams({ at: `edge:${edge.point}>${edge.to}` })}`);
  await context.seen(page, "#panel .locked");
  const [said] = await page.evaluate(() => [...document.querySelectorAll("#panel .locked")].map((one) => one.textContent));
  check("the page says that taps are off", said.includes("turned taps off"), said);
  check("there is no tap to start", (await page.$("#panel .tap button")) === null);
  await page.screenshot({ path: join(context.spec.out, "off-1600-light.png") });

  const long = pipeline.nodes.find((node) => node.name.length > 40);
  await context.go(page, `#/graph?${new URLSearchParams({ at: `node:${pipeline.name}/${long.name}` })}`);
  await context.wait(page, "the details of a node with a long name", (name) => document.querySelector("#panel h2")?.textContent === name, long.name);
  for (const width of WIDTHS) {
    await page.setViewport({ width, height: 780 });
    const wide = await page.evaluate(() => { const panel = document.getElementById("panel"); return Math.max(panel.scrollWidth - panel.clientWidth, document.documentElement.scrollWidth - innerWidth); });
    check(`a long name fits ${width} px`, wide <= 0, `${wide} px too wide`);
  }
  await axe(context, page, "the details of a node with a long name");
  await page.keyboard.press("Escape");
  await page.setViewport({ width: 1600, height: 900 });

  for (const [view, texts] of Object.entries(EMPTY)) {
    await context.go(page, `#/${view}`);
    for (const text of texts) await context.wait(page, `\`${text}\` in the view ${view}`, (wanted) => document.querySelector("main").textContent.includes(wanted), text);
  }
  check("views say that they have nothing to show", true);
  check("no error in the console, no violation of the policy", problems.length === 0, problems.slice(0, 10));
  await page.close();
}
