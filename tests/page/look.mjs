// Each view in both themes at three widths: screenshots, no sideways scrolling, nothing serious that axe finds.

import { join } from "node:path";

import { noSecretShown } from "./secrets.mjs";

export const WIDTHS = [360, 1024, 1600];
const THEMES = ["light", "dark"];
const VIEWS = ["graph", "outputs", "failures", "packs", "rollout", "balance", "insight", "try"];

async function theme(page, name) {
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: name }, { name: "prefers-reduced-motion", value: "reduce" }]);
}

// What axe finds that is serious.
export async function axe(context, page, name) {
  if (!(await page.evaluate(() => Boolean(window.axe)))) await page.evaluate(context.axe);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations.filter((one) => ["serious", "critical"].includes(one.impact)).map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => `${node.target} ${node.any[0]?.message || ""}`).join("; ")}`);
  });
  context.check(`axe finds nothing serious in ${name}`, found.length === 0, found);
}

export async function pictures(context, page, name) {
  const { check, spec } = context;
  for (const colours of THEMES) {
    await theme(page, colours);
    for (const width of WIDTHS) {
      await page.setViewport({ width, height: width < 500 ? 780 : 900 });
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
      await page.screenshot({ path: join(spec.out, `${name}-${width}-${colours}.png`), fullPage: true });
      if (colours === "light") {
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        check(`${name} fits ${width} px`, wide <= 0, `${wide} px too wide`);
      }
      // Colours depend on the theme, and the rest on the width.
      if (colours === "light" ? width === WIDTHS[0] : width === WIDTHS.at(-1)) await axe(context, page, `${name}, ${width} px, ${colours}`);
    }
  }
  await page.setViewport({ width: 1600, height: 900 });
  await theme(page, "light");
}

export async function look(context, page) {
  const { check } = context;
  const views = await page.evaluate(() => [...document.querySelectorAll("#views a:not([hidden])")].map((link) => link.dataset.view));
  check("all views are there", VIEWS.every((view) => views.includes(view)), views.join(" "));
  const graph = await context.graph();
  const [pipeline] = graph.pipelines;
  const node = pipeline.nodes.find((one) => one.masks) || pipeline.nodes[0];
  const places = [...views.map((view) => [view, `#/${view}`]), ["node", `#/graph?${new URLSearchParams({ at: `node:${pipeline.name}/${node.name}` })}`]];
  for (const [name, hash] of places) {
    await context.go(page, hash);
    // Documents of a view come with the next status.
    await context.wait(page, `the documents of ${name}`, () => !/Loading/.test(document.querySelector("main").textContent));
    await noSecretShown(context, page, `the view ${name}`);
    await pictures(context, page, name);
  }
}
