// Builds elements. Data becomes text only by `textContent`, so it is never read as markup.

const SVG = "http://www.w3.org/2000/svg";

function put(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

function dress(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  return element;
}

function isAttributes(value) {
  return value !== null && typeof value === "object" && !(value instanceof Node) && !Array.isArray(value);
}

// An element: `h("div.a.b", { title: "…", onclick: f }, child, …)`.
function h(spec, ...rest) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(" ");
  if (tag === "button") element.type = "button";
  if (rest.length > 0 && isAttributes(rest[0])) dress(element, rest.shift());
  return put(element, rest);
}

// The same for SVG.
function s(spec, ...rest) {
  const [tag, ...classes] = spec.split(".");
  const element = document.createElementNS(SVG, tag);
  if (classes.length > 0) element.setAttribute("class", classes.join(" "));
  if (rest.length > 0 && isAttributes(rest[0])) dress(element, rest.shift());
  return put(element, rest);
}

function byId(id) {
  return document.getElementById(id);
}

// Replaces a text only if it differs, so that screen readers and layout see only real changes.
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
}

// What a view refreshes with each status. A view is built once for a shape of the graph; after that only texts change,
// so focus, selection and scroll positions stay.
class Scope {
  constructor() {
    this.jobs = [];
  }

  // A job that runs now and with each status.
  on(job) {
    this.jobs.push(job);
    job();
  }

  // An element with a live text.
  live(spec, ...rest) {
    const read = rest.pop();
    const element = h(spec, ...rest);
    this.on(() => setText(element, read()));
    return element;
  }

  // A bar that shows a share from 0 to 1. The number is next to it, so screen readers skip the bar.
  bar(read, kind = "") {
    const fill = h("span.fill");
    this.on(() => {
      const share = Math.min(1, Math.max(0, read() || 0));
      fill.style.width = `${(100 * share).toFixed(1)}%`;
      fill.classList.toggle("high", kind === "fill" && share > 0.8);
    });
    return h("span.bar", { "aria-hidden": "true" }, fill);
  }

  run() {
    for (const job of this.jobs) job();
  }
}

// A table that can be scrolled by keyboard where it is wider than the screen. A column is `title` or `#title` for numbers.
function table(caption, columns, rows, attributes = {}) {
  const numeric = columns.map((column) => column.startsWith("#"));
  const head = columns.map((column, at) => h(numeric[at] ? "th.n" : "th", { scope: "col" }, column.replace("#", "")));
  const body = rows.map((cells) =>
    h("tr", cells.map((cell, at) => h((at === 0 ? "th" : "td") + (numeric[at] ? ".n" : ""), at === 0 ? { scope: "row" } : {}, cell))));
  return h("div.scroll", { tabindex: "0", role: "region", "aria-label": caption },
    h("table", attributes, h("caption.sr", caption), h("thead", h("tr", head)), h("tbody", body)));
}

// A list of names and values.
function facts(...pairs) {
  return h("dl.facts-list", pairs.filter(Boolean).map(([name, value]) => h("div", h("dt", name), h("dd", value))));
}

function section(title, ...children) {
  return h("section.card", h("h2", title), children);
}

function empty(...text) {
  return h("p.empty", text);
}

// A small word with a shape and a colour: `ok`, `warn`, `bad`, `quiet`.
function tag(kind, text) {
  const marks = { ok: "✓", warn: "▲", bad: "✕", quiet: "", new: "✦" };
  return h(`span.tag.${kind}`, marks[kind] && h("span.mark", { "aria-hidden": "true" }, marks[kind]), text);
}

// Marks what is not shown.
function lock() {
  return s("svg.lock", { viewBox: "0 0 12 14", width: 12, height: 14, "aria-hidden": "true" }, s("rect", { x: 1, y: 6, width: 10, height: 7, rx: 1.5 }), s("path", { d: "M3.5 6V4a2.5 2.5 0 0 1 5 0v2" }));
}

// A line of numbers. The number itself is next to it.
function sparkline(width = 96, height = 24) {
  const line = s("polyline", { fill: "none" });
  const area = s("polygon");
  const svg = s("svg.spark", { viewBox: `0 0 ${width} ${height}`, width, height, preserveAspectRatio: "none", "aria-hidden": "true" }, area, line);
  svg.show = (numbers) => {
    const known = numbers.filter((number) => Number.isFinite(number));
    if (known.length < 2) return;
    const high = Math.max(...known, 0) || 1;
    const step = width / (known.length - 1);
    const points = known.map((number, at) => `${(at * step).toFixed(1)},${(height - 2 - (height - 4) * (number / high)).toFixed(1)}`);
    line.setAttribute("points", points.join(" "));
    area.setAttribute("points", `0,${height} ${points.join(" ")} ${width},${height}`);
  };
  return svg;
}

// Speaks to screen readers, politely.
function announce(text) {
  setText(byId("news"), text);
}

// Copies a text. Without a secure context there is no clipboard, so a field with the selected text does it.
async function copy(text, button) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = h("textarea.sr", { value: text, "aria-hidden": "true" });
    document.body.append(field);
    field.select();
    done = document.execCommand("copy");
    field.remove();
    button.focus();
  }
  const before = button.textContent;
  setText(button, done ? "Copied" : "Not copied");
  announce(done ? "Copied." : "The browser did not allow to copy.");
  setTimeout(() => setText(button, before), 1500);
}
