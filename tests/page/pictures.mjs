// Takes the pictures of docs/SEE.md from a running agent: `node pictures.mjs '{"url": …, "out": …, "modules": …}'`.

import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const spec = JSON.parse(process.argv[2]);
const require = createRequire(join(spec.modules, "node_modules/"));
const puppeteer = require("puppeteer-core");

// A picture in the documents should not be larger.
const MAX_BYTES = 120 << 10;

const browser = await puppeteer.launch({ executablePath: spec.chromium || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb"] });

async function picture(name, { hash, theme = "light", width = 1440, height = 860, ready, act = async () => {} }) {
  const page = await browser.newPage();
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: theme }]);
  await page.setViewport({ width, height });
  await page.goto(spec.url + hash);
  await page.waitForSelector('#link[data-state="live"]', { timeout: 30_000 });
  await page.waitForSelector(ready, { timeout: 30_000 });
  await act(page);
  // Lines of the small charts need some points.
  await new Promise((resolve) => setTimeout(resolve, spec.wait ?? 8000));
  const path = join(spec.out, `see-${name}.webp`);
  for (const quality of [90, 75, 60, 45]) {
    await page.screenshot({ path, type: "webp", quality });
    if (statSync(path).size <= MAX_BYTES) break;
  }
  await page.close();
  const { size } = statSync(path);
  if (size > MAX_BYTES) throw new Error(`${path} has ${size} bytes`);
  console.log(`${path}: ${size} bytes`);
}

const click = (selector) => async (page) => {
  await page.waitForSelector(selector);
  await page.evaluate((wanted) => document.querySelector(wanted).click(), selector);
};

try {
  const graph = await (await fetch(`${spec.url}api/v1/graph`)).json();
  const [pipeline] = graph.pipelines;
  const after = (node) => {
    const edge = pipeline.edges.find((one) => one.masked && one.from === node && one.port === "out");
    return `#/graph?${new URLSearchParams({ at: `edge:${edge.point}>${edge.to}` })}`;
  };
  await picture("graph", { hash: "#/graph", ready: ".box .sub" });
  await picture("tap", { hash: after("extract"), theme: "dark", ready: "#panel .tap", act: click("#panel .tap button.primary") });
  await picture("trace", {
    hash: after("unroll"), width: 1024, ready: "#panel .trace", act: async (page) => {
      await click("#panel .trace button")(page);
      await page.waitForSelector("#panel .steps > li", { timeout: 30_000 });
      await page.evaluate(() => document.querySelector("#panel .trace").scrollIntoView());
    },
  });
  await picture("outputs", { hash: "#/outputs", ready: "main table" });
  const index = await (await fetch(`${spec.url}api/v1`)).json();
  if (index.can_try) {
    await picture("try", {
      hash: "#/try", ready: "form.try", act: async (page) => {
        const input = readFileSync(spec.input, "utf8");
        await page.evaluate((text) => {
          const field = document.querySelector("form.try textarea");
          field.value = text;
          field.dispatchEvent(new Event("input", { bubbles: true }));
        }, input);
        await page.click("form.try button.primary");
        await page.waitForSelector("main [data-tried]", { timeout: 60_000 });
        await page.evaluate(() => document.querySelector("main [data-tried]").scrollIntoView());
      },
    });
  }
} finally {
  await browser.close();
}
