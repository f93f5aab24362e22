// Makes one document of the sources of the page, as the agent's build does, for the fake agent.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = join(dirname(fileURLToPath(import.meta.url)), "../../host/supervisor/src/admin/page");

export function assemble() {
  const read = (name) => readFileSync(join(folder, name), "utf8");
  let html = read("page.html");
  const style = read("page.css");
  const scripts = [...html.matchAll(/<script src="([\w.]+)"><\/script>\n/g)];
  const script = `"use strict";\n(() => {\n${scripts.map(([, name]) => read(name)).join("")}})();\n`;
  const at = scripts[0].index;
  html = html.slice(0, at) + "<!--script-->\n" + html.slice(at).replace(/<script src="[\w.]+"><\/script>\n/g, "");
  html = html.replace('<link rel="stylesheet" href="page.css">', () => `<style>${style}</style>`).replace("<!--script-->", () => `<script>${script}</script>`);
  const hash = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
  const policy = `default-src 'none'; script-src ${hash(script)}; style-src ${hash(style)}; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  return { html, policy };
}
