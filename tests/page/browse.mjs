// Opens the page in Chromium and checks it: what it shows, that it is true, that it keeps secrets, and that it can be
// used by keyboard and screen reader. `node browse.mjs SPEC`; see `browse` in main.rs for the fields of the file.
//
// For what it cannot do itself it asks on standard output (`ask swap`), and waits for a line on standard input. Each wait
// has a limit and says what it waited for. A step that fails does not keep the next one from running.

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { insight, keys, refusedTap, restarted, swapShown, tapAndTrace, tried } from "./checks.mjs";
import { figures, underLoad } from "./figures.mjs";
import { look } from "./look.mjs";
import { api, secrets } from "./secrets.mjs";
import { states } from "./states.mjs";

const spec = JSON.parse(readFileSync(process.argv[2], "utf8"));
const require = createRequire(join(spec.modules, "node_modules/"));
const puppeteer = require("puppeteer-core");

// Milliseconds. A quiet machine needs a fraction of them.
const WAIT = 20_000;
const WHOLE = 300_000;

const failed = [];
let passed = 0;
// What runs now, for a run that does not end.
let doing = "the start of Chromium";
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

function limited(what, work, milliseconds = WAIT) {
  doing = what;
  let timer;
  const end = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${milliseconds / 1000} s for ${what}`)), milliseconds);
  });
  return Promise.race([work, end]).finally(() => clearTimeout(timer));
}

const context = {
  spec,
  axe: readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"),
  check(name, holds, detail = "") {
    const text = typeof detail === "string" ? detail : JSON.stringify(detail);
    if (holds) {
      passed += 1;
      console.log(`ok ${name}${text === "" ? "" : `: ${text.slice(0, 200)}`}`);
    } else {
      failed.push(name);
      console.log(`FAILED ${name}: ${text}`);
    }
  },
  async ask(what) {
    console.log(`ask ${what}`);
    // The other side has limits of its own.
    await limited(`the answer to \`${what}\``, lines.next(), 5 * WAIT);
  },
  // A response of the agent, which must end: streams are for `api`.
  async get(path) {
    doing = `the response to ${path}`;
    const response = await fetch(new URL(path, spec.url), { signal: AbortSignal.timeout(WAIT) });
    return { status: response.status, text: await response.text() };
  },
  async json(path) {
    return JSON.parse((await context.get(path)).text);
  },
  graph: () => context.json("/api/v1/graph"),
  // Waits until a condition of this script holds.
  async until(what, holds, milliseconds = WAIT) {
    const end = Date.now() + milliseconds;
    for (;;) {
      const found = await holds();
      if (found) return found;
      doing = what;
      if (Date.now() > end) throw new Error(`waited ${milliseconds / 1000} s for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  },
  // Waits until a function of the page returns something.
  wait: (page, what, holds, ...values) => context.waitFor(WAIT, page, what, holds, ...values),
  async waitFor(timeout, page, what, holds, ...values) {
    doing = what;
    try {
      return await page.waitForFunction(holds, { timeout, polling: 50 }, ...values);
    } catch (error) {
      const shown = await page.evaluate(() => `${document.getElementById("link-text")?.textContent}; ${document.querySelector("main")?.textContent.slice(0, 200)}`).catch(() => "nothing");
      throw new Error(`waited for ${what}: ${error.message.split("\n")[0]}; the page shows: ${shown}`);
    }
  },
  seen: (page, selector) => context.wait(page, `\`${selector}\``, (wanted) => document.querySelector(wanted), selector),
  async click(page, selector) {
    await context.seen(page, selector);
    await page.click(selector);
  },
  async go(page, hash) {
    await page.evaluate((to) => (location.hash = to), hash);
  },
  // A page that records what must not happen, and everything that comes from the network.
  async open(browser) {
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
  },
  // Opens a view with figures.
  async visit(page, hash = "#/graph") {
    await page.goto(spec.url + hash, { timeout: WAIT });
    await context.seen(page, '#link[data-state="live"]');
    await context.wait(page, "figures", () => document.querySelector('[data-fact="up"]')?.textContent !== "–" && !document.querySelector("main > .empty")?.textContent.includes("Loading the graph"));
  },
};

async function step(name, work) {
  if (spec.only && !spec.only.includes(name)) return;
  const since = Date.now();
  try {
    await work();
  } catch (error) {
    failed.push(name);
    console.log(`FAILED ${name}: ${error.stack}`);
  }
  console.log(`step ${name}: ${((Date.now() - since) / 1000).toFixed(1)} s`);
}

async function whole(browser) {
  const { page, problems } = await context.open(browser);
  await context.visit(page);
  await context.wait(page, "rates in the graph", () => document.querySelector(".box .sub")?.textContent.includes("/s"));
  await step("under load", () => underLoad(context, page));
  await step("keys", () => keys(context, page));
  await step("tap", () => tapAndTrace(context, page));
  await step("swap", () => swapShown(context, page));
  await step("insight", () => insight(context, page));
  await step("try", () => tried(context, page));
  await step("api", () => api(context));
  await step("look", () => look(context, page));
  await step("figures", () => figures(context, page));
  await step("secrets", () => secrets(context, page));
  context.check("no error in the console, no violation of the policy", problems.length === 0, problems.slice(0, 10));
  await page.close();
  // These provoke errors, so they have pages of their own.
  await step("refused", async () => refusedTap(context, (await context.open(browser)).page));
  await step("restart", async () => restarted(context, (await context.open(browser)).page));
}

async function run() {
  mkdirSync(spec.out, { recursive: true });
  // With a pipe, Chromium ends when this program ends.
  const browser = await limited("the start of Chromium", puppeteer.launch({
    executablePath: spec.chromium || "/usr/bin/chromium", pipe: true,
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb"],
  }), 2 * WAIT);
  try {
    if (spec.states) await step("states", () => states(context, browser));
    else await whole(browser);
  } finally {
    await limited("the end of Chromium", browser.close()).catch(() => {});
  }
}

function end() {
  console.log(`${passed} passed, ${failed.length} failed`);
  process.exit(failed.length === 0 ? 0 : 1);
}

setTimeout(() => {
  failed.push("the end");
  console.log(`FAILED the end: it did not come within ${WHOLE / 1000} s; last: ${doing}`);
  end();
}, WHOLE);

try {
  await run();
} catch (error) {
  failed.push(String(error));
  console.log(`FAILED ${error.stack}`);
}
end();
