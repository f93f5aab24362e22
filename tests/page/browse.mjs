// Opens the page in Chromium and checks it: what it shows, that it is true, that it keeps secrets, and that it can be
// used by keyboard and screen reader. `node browse.mjs '{"url": …}'`; see `Spec` in main.rs for the fields.
//
// For what it cannot do itself it asks on standard output (`ask swap`, `ask stop`), and waits for a line on standard input.

import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { figures, underLoad } from "./figures.mjs";
import { keys, look, lost, refusedTap, secrets, swapShown, tapAndTrace, tried } from "./checks.mjs";

const spec = JSON.parse(process.argv[2]);
const require = createRequire(join(spec.modules, "node_modules/"));
const puppeteer = require("puppeteer-core");

const failed = [];
let passed = 0;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const context = {
  spec,
  axe: require.resolve("axe-core/axe.min.js"),
  check(name, holds, detail = "") {
    if (holds) {
      passed += 1;
      console.log(`ok ${name}${detail === "" ? "" : `: ${detail}`}`);
    } else {
      failed.push(name);
      console.log(`FAILED ${name}: ${typeof detail === "string" ? detail : JSON.stringify(detail)}`);
    }
  },
  async ask(what) {
    if (spec.fake) {
      if (what === "swap") await fetch(`${spec.url}swap`, { method: "POST" });
      return;
    }
    console.log(`ask ${what}`);
    await lines.next();
  },
  async get(path) {
    const response = await fetch(new URL(path, spec.url));
    return { status: response.status, text: await response.text() };
  },
  async graph() {
    return JSON.parse((await context.get("/api/v1/graph")).text);
  },
  // Waits until a condition of this script holds.
  async until(what, holds, milliseconds = 15_000) {
    const end = Date.now() + milliseconds;
    for (;;) {
      const found = await holds();
      if (found) return found;
      if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  },
};

// A page that records what must not happen, and everything that comes from the network.
async function open(browser) {
  const page = await browser.newPage();
  const problems = [];
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  const session = await page.createCDPSession();
  await session.send("Log.enable");
  session.on("Log.entryAdded", ({ entry }) => {
    if (entry.level === "error") problems.push(`log: ${entry.text}`);
  });
  await page.exposeFunction("violated", (what) => problems.push(`policy: ${what}`));
  await page.evaluateOnNewDocument(() => {
    document.addEventListener("securitypolicyviolation", (event) => window.violated(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    // Streams never end, so their bodies are read on the way.
    window.received = [];
    const before = window.fetch;
    window.fetch = async (...request) => {
      const response = await before(...request);
      if (!response.body) return response;
      const [mine, theirs] = response.body.tee();
      (async () => {
        const reader = mine.pipeThrough(new TextDecoderStream()).getReader();
        for (let part = await reader.read(); !part.done; part = await reader.read()) window.received.push(part.value);
      })().catch(() => {});
      return new Response(theirs, { status: response.status, headers: response.headers });
    };
  });
  await page.setViewport({ width: 1600, height: 900 });
  return { page, problems };
}

// Time to the first paint, as the browser measures it.
async function firstPaint(browser) {
  const times = [];
  for (let run = 0; run < 5; run += 1) {
    const page = await browser.newPage();
    await page.goto(spec.url);
    times.push(await context.until("a first paint", () => page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime)));
    await page.close();
  }
  times.sort((one, other) => one - other);
  // The machine of a test is busy; the target of 100 ms is for a quiet one.
  context.check("first paint", times[2] < 1000, `median ${times[2].toFixed(0)} ms of ${times.map((time) => time.toFixed(0)).join(", ")}`);
}

async function run() {
  mkdirSync(spec.out, { recursive: true });
  const browser = await puppeteer.launch({ executablePath: spec.chromium || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb"] });
  try {
    const { page, problems } = await open(browser);
    await page.goto(`${spec.url}#/graph`);
    await context.until("a live page with figures", () => page.evaluate(() => document.querySelector('#link[data-state="live"]') && document.querySelector(".box .sub")?.textContent.includes("/s")));
    await underLoad(context, page);
    await keys(context, page);
    await tapAndTrace(context, page);
    await swapShown(context, page);
    await tried(context, page);
    await look(context, page);
    await figures(context, page);
    await secrets(context, page);
    context.check("no error and no violation of the policy", problems.length === 0, problems.slice(0, 10));
    await page.close();
    // These provoke errors, so they have pages of their own.
    await refusedTap(context, (await open(browser)).page);
    await lost(context, (await open(browser)).page);
    await firstPaint(browser);
  } finally {
    await browser.close();
  }
}

try {
  await run();
} catch (error) {
  failed.push(String(error));
  console.log(`FAILED ${error.stack}`);
}
console.log(`${passed} passed, ${failed.length} failed`);
process.exit(failed.length === 0 ? 0 : 1);
