// Measures the page for `cargo xtask bench --only page`: `node paint.mjs SPEC`. Prints a line of JSON for each load, then
// opens pages with a running tap, prints `open`, and keeps them open until its standard input ends. It repeats the latter
// for each line that it reads.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

const spec = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(join(spec.modules, "node_modules/"));
const puppeteer = require("puppeteer-core");
const WAIT = 30_000;

const browser = await puppeteer.launch({ executablePath: spec.chromium || "/usr/bin/chromium", pipe: true, args: ["--no-sandbox", "--disable-dev-shm-usage"] });

// A page of one word: its first paint is the browser's own part. The agent's plain documents are sandboxed and cannot say it.
const server = createServer((_, response) => {
  response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
  response.end("<!doctype html><title>Empty</title><p>empty");
});
await new Promise((listens) => server.listen(0, "127.0.0.1", listens));

async function tab() {
  const page = await browser.newPage();
  await page.setViewport({ width: 1440, height: 900 });
  return page;
}

async function loadEmpty() {
  const page = await tab();
  await page.goto(`http://127.0.0.1:${server.address().port}/`, { timeout: WAIT });
  await page.waitForFunction(() => performance.getEntriesByName("first-paint").length > 0, { timeout: WAIT, polling: 50 });
  const time = await page.evaluate(() => performance.getEntriesByName("first-paint")[0].startTime);
  await page.close();
  return time;
}

// Milliseconds from the start of the navigation to the first paint, and until the graph is drawn.
async function load() {
  const page = await tab();
  await page.evaluateOnNewDocument(() => {
    new MutationObserver((_, observer) => {
      if (!document.querySelector("svg.graph .box")) return;
      window.drawnAt = performance.now();
      observer.disconnect();
    }).observe(document, { childList: true, subtree: true });
  });
  await page.goto(spec.url, { timeout: WAIT });
  await page.waitForFunction(() => window.drawnAt && performance.getEntriesByName("first-contentful-paint").length > 0, { timeout: WAIT, polling: 50 });
  const times = await page.evaluate(() => ({
    first_paint: performance.getEntriesByName("first-paint")[0].startTime,
    content: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    graph: window.drawnAt,
  }));
  await page.close();
  return times;
}

async function watched() {
  const page = await tab();
  await page.goto(`${spec.url}#/graph?${new URLSearchParams({ at: `output:${spec.point}` })}`, { timeout: WAIT });
  await page.waitForSelector("#panel .tap button.primary", { timeout: WAIT });
  await page.click("#panel .tap button.primary");
  await page.waitForSelector("#panel .tapped li", { timeout: WAIT });
  return page;
}

try {
  // The first loads warm the browser.
  await loadEmpty();
  await load();
  for (let run = 0; run < spec.runs; run += 1) console.log(JSON.stringify({ empty: await loadEmpty(), ...await load() }));
  console.log("measured");
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  while (!(await lines.next()).done) {
    const pages = [];
    for (let at = 0; at < spec.pages; at += 1) pages.push(await watched());
    console.log("open");
    // The next line closes them.
    await lines.next();
    for (const page of pages) await page.close();
    console.log("closed");
  }
} finally {
  await browser.close();
}
process.exit(0);
