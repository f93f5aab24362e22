// Events as trees: shown, compared, searched.

// Maximum number of values of one tree that are shown, so that a huge event does not stop the page.
const MAX_VALUES = 1500;
// Differences of two events that are open.
const MAX_CHANGED = 10;

// An event with its body as a tree, if the body is JSON: it is written as one text.
function opened(event) {
  if (event === null || typeof event !== "object" || typeof event.body !== "string") return event;
  const body = parsed(event.body);
  return body === undefined ? event : { ...event, body };
}

// An object or array in a text.
function parsed(text) {
  if (typeof text !== "string" || !/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isTree(value) {
  return value !== null && typeof value === "object";
}

function step(path, key) {
  const name = typeof key === "number" ? `[${key}]` : /^[\w$@-]+$/.test(key) ? key : JSON.stringify(key);
  return path === "" || name.startsWith("[") ? path + name : `${path}.${name}`;
}

// How two trees differ: `{ kind: "added" | "removed" | "changed", path, before, after }`. What has appeared or
// disappeared as a whole is one change.
function changes(before, after, path = "", found = []) {
  if (found.length >= MAX_VALUES || before === after) return found;
  const both = isTree(before) && isTree(after) && Array.isArray(before) === Array.isArray(after);
  if (!both) {
    if (JSON.stringify(before) !== JSON.stringify(after)) {
      const kind = before === undefined ? "added" : after === undefined ? "removed" : "changed";
      found.push({ kind, path, before, after });
    }
    return found;
  }
  const keys = Array.isArray(before)
    ? [...Array(Math.max(before.length, after.length)).keys()]
    : [...new Set([...Object.keys(before), ...Object.keys(after)])];
  for (const key of keys) changes(before[key], after[key], step(path, key), found);
  return found;
}

function leaves(value) {
  return isTree(value) ? Object.values(value).reduce((sum, child) => sum + leaves(child), 0) : 1;
}

function leaf(value) {
  const kind = value === null ? "null" : typeof value;
  return h(`span.j-${kind}`, value === undefined ? DASH : JSON.stringify(value));
}

// A tree as nested lists that can be closed.
function tree(value, depth = 0, budget = { left: MAX_VALUES }) {
  if (!isTree(value)) return leaf(value);
  const entries = Array.isArray(value) ? value.map((child, at) => [at, child]) : Object.entries(value);
  if (entries.length === 0) return h("span.j-null", Array.isArray(value) ? "[]" : "{}");
  const list = h("ul.tree");
  for (const [key, child] of entries) {
    budget.left -= 1;
    if (budget.left < 0) {
      list.append(h("li.muted", "… more values; copy the event to see all"));
      break;
    }
    const name = h("span.j-key", String(key));
    if (isTree(child) && Object.keys(child).length > 0) {
      const count = h("span.muted", ` ${Object.keys(child).length}`);
      list.append(h("li", h("details", { open: depth < 2 }, h("summary", name, count), tree(child, depth + 1, budget))));
    } else {
      list.append(h("li", name, " ", tree(child, depth + 1, budget)));
    }
  }
  return list;
}

// A value of a change: short ones in the line, trees to be opened.
function changed(value) {
  if (!isTree(value) || Object.keys(value).length === 0) return tree(value);
  return h("details.inline", h("summary", `${leaves(value)} fields`), tree(value));
}

// The differences of two events, field by field.
function differences(before, after) {
  const all = changes(opened(before), opened(after));
  if (all.length === 0) return empty("No difference.");
  const rest = all.splice(MAX_CHANGED);
  const list = changeList(all);
  if (rest.length === 0) return list;
  return h("div", list, h("details.inline", h("summary", `${rest.length} more differences`), changeList(rest)));
}

function changeList(all) {
  const marks = { added: ["+", "added"], removed: ["−", "removed"], changed: ["~", "changed"] };
  return h("ul.diff", all.map((change) => {
    const [mark, word] = marks[change.kind];
    const values = change.kind === "changed"
      ? [h("del", changed(change.before)), " → ", h("ins", changed(change.after))]
      : h(change.kind === "added" ? "ins" : "del", changed(change.kind === "added" ? change.after : change.before));
    return h(`li.${change.kind}`, h("span.mark", { "aria-hidden": "true" }, mark), h("span.sr", word),
      h("code.path", change.path || "event"), " ", values);
  }));
}

// The fields that say most about an event, for one line.
function summary(event) {
  if (!isTree(event)) return String(event);
  const { attributes, failure } = event;
  const parts = [];
  if (failure) parts.push(`${failure.code || "failed"}: ${failure.message || ""}`);
  if (event.severity) parts.push(typeof event.severity === "string" ? event.severity : event.severity.text || "");
  if (isTree(attributes)) {
    const texts = Object.entries(attributes).filter(([, value]) => !isTree(value)).slice(0, 4);
    parts.push(...texts.map(([key, value]) => `${key}=${value}`));
  }
  const body = isTree(event.body) ? JSON.stringify(event.body) : event.body;
  if (body !== undefined && body !== null) parts.push(String(body).slice(0, 240));
  return parts.filter(Boolean).join("  ") || JSON.stringify(event).slice(0, 240);
}

// A text with every place marked where the words occur.
function marked(text, words) {
  if (!words) return [text];
  const parts = [];
  const low = text.toLowerCase();
  let from = 0;
  for (let at = low.indexOf(words); at >= 0; at = low.indexOf(words, from)) {
    parts.push(text.slice(from, at), h("mark", text.slice(at, at + words.length)));
    from = at + words.length;
  }
  parts.push(text.slice(from));
  return parts;
}
