// Insight: metrics, patterns and findings that nodes of the graph make. The page taps the ports on which they leave while
// this view is open, and reads them by the shape of the events.

// The port of each node type that makes something to show. Findings are read from outputs that are named after them, if
// there are any, since nodes of other types make findings too.
const MAKERS = { "to-metric": "metrics", pattern: "reports", anomaly: "findings" };
const FINDINGS = /finding|alert|anomal/i;
const MAX_SERIES = 200;
// Series of a metric that are listed.
const MAX_SHOWN = 12;
const MAX_FINDINGS = 100;

const insight = { series: new Map(), patterns: new Map(), findings: [], latest: 0, controller: null, points: "", problem: null, version: 0 };

function insightPoints() {
  return (store.graph?.pipelines || []).flatMap((pipeline) => {
    const outputs = pipeline.outputs.filter((output) => FINDINGS.test(output.name)).map((output) => `${pipeline.name}.${output.name}`);
    const ports = pipeline.nodes.flatMap((node) => {
      const port = MAKERS[node.type.replace(/@.*$/, "").replace(/^builtin:/, "")];
      const isThere = port && node.ports.includes(port) && (port !== "findings" || outputs.length === 0);
      return isThere ? [`${pipeline.name}/${node.name}.${port}`] : [];
    });
    return [...ports, ...outputs];
  });
}

async function tapInsight() {
  const points = insightPoints();
  const shown = points.filter((name) => !whyHidden(name));
  insight.points = JSON.stringify(points);
  insight.problem = null;
  if (shown.length === 0) return;
  const controller = new AbortController();
  insight.controller = controller;
  const query = new URLSearchParams([["rate", "200"], ...shown.map((name) => ["point", name])]);
  try {
    await events(`/tap?${query}`, controller.signal, (name, data) => {
      if (name === "event") learn(data);
    });
  } catch (error) {
    if (controller.signal.aborted) return;
    insight.problem = error instanceof Refused ? error.message : null;
  }
  if (insight.controller === controller) insight.controller = null;
}

function closeInsight() {
  if (insight.controller) insight.controller.abort();
  insight.controller = null;
}

// Takes an event by its shape: a metric, a report of patterns, a finding.
function learn(tapped) {
  const event = opened(tapped.event);
  if (!isTree(event)) return;
  const { attributes } = event;
  const body = isTree(event.body) ? event.body : {};
  if (event.kind === "metric" && typeof body.name === "string") learnMetric(tapped, event);
  else if (body.report === "pattern") learnPattern(body);
  else if (typeof body.finding === "string" || typeof attributes?.finding === "string") {
    // The pack may give the finding another name than the node.
    insight.findings.unshift({ at: tapped.at, event, ...body, finding: attributes?.finding || body.finding });
    insight.findings.length = Math.min(insight.findings.length, MAX_FINDINGS);
    insight.version += 1;
  }
}

function learnMetric(tapped, { body, attributes, timestamp }) {
  const dimensions = Object.entries(attributes || {}).map(([name, value]) => `${name}=${value}`).join(" ");
  const key = `${body.name} ${dimensions}`;
  let series = insight.series.get(key);
  if (!series) {
    if (insight.series.size >= MAX_SERIES) return;
    series = { name: body.name, dimensions, unit: body.unit || "", type: body.type, values: [], at: "" };
    insight.series.set(key, series);
    insight.version += 1;
  }
  const value = known(body.value) ? body.value : body.count > 0 && known(body.sum) ? body.sum / body.count : body.count;
  if (!known(value)) return;
  series.values.push(value);
  if (series.values.length > MAX_POINTS) series.values.shift();
  series.at = timestamp || tapped.at;
}

function learnPattern(body) {
  const key = `${body.group || ""} ${body.pattern}`;
  for (const former of body.formerly || []) insight.patterns.delete(`${body.group || ""} ${former}`);
  const old = insight.patterns.get(key);
  const end = Date.parse(body.end) || 0;
  const counts = [...(old?.counts || []), body.count].slice(-MAX_POINTS);
  insight.patterns.set(key, { ...body, counts, end });
  insight.length = Date.parse(body.end) - Date.parse(body.start);
  if (end > insight.latest) insight.latest = end;
  insight.version += 1;
}

// New in the last interval, missing since more than one interval, far above its mean, or none of these.
function patternState(pattern) {
  if (pattern.end < insight.latest - 1.5 * (insight.length || 60_000)) return ["quiet", "vanished"];
  if (pattern.new) return ["new", "new"];
  const earlier = pattern.counts.slice(0, -1);
  const mean = earlier.reduce((total, count) => total + count, 0) / earlier.length;
  return earlier.length >= 3 && pattern.count > 3 * mean + 5 ? ["warn", "spike"] : null;
}

function latestOf(series) {
  return series.values[series.values.length - 1];
}

function valueOf(scope, series) {
  const unit = series.unit && !series.unit.startsWith("{") ? `\u00a0${series.unit}` : "";
  return scope.live("strong", () => `${format.short(latestOf(series))}${unit}`);
}

// A metric: a chart if it has one series, else a table of the largest ones.
function metricCard(scope, list) {
  const [first] = list;
  const kind = first.type === "gauge" ? "last" : first.type === "sum" ? "in the last interval" : "mean of the last interval";
  const chartOf = (series, ...size) => {
    const chart = sparkline(...size);
    scope.on(() => chart.show(series.values));
    return chart;
  };
  if (list.length === 1) {
    return h("section.chart", h("h3", first.name), h("p.muted", first.dimensions || "\u00a0"), chartOf(first, 220, 48), h("p.n", valueOf(scope, first), h("span.muted", ` ${kind}`)));
  }
  const largest = list.slice().sort((one, other) => latestOf(other) - latestOf(one)).slice(0, MAX_SHOWN);
  const rest = list.length - largest.length;
  return h("section.chart.many", h("h3", first.name), h("p.muted", `${list.length} series, ${kind}`),
    table(first.name, ["Series", "Trend", "#Value"], largest.map((series) => [h("code.wrap", series.dimensions || "all"), chartOf(series), valueOf(scope, series)])),
    rest > 0 ? h("p.muted", `and ${rest} smaller ones`) : null);
}

function metricCards(scope) {
  const names = new Map();
  for (const series of insight.series.values()) names.set(series.name, [...(names.get(series.name) || []), series]);
  return [...names.values()].sort((one, other) => one.length - other.length).map((list) => metricCard(scope, list));
}

function findingItem(finding) {
  const key = isTree(finding.key) ? Object.entries(finding.key).map(([name, value]) => `${name} = ${value}`).join(", ") : finding.key === null ? "all keys" : null;
  const kinds = { new: "new", vanished: "quiet", spike: "warn", drop: "warn" };
  return h("li", h("p.row", tag(kinds[finding.finding] || "quiet", finding.finding), key ? h("code", key) : null, h("time.muted", format.clock(finding.end || finding.at))),
    h("p.muted", known(finding.observed) ? `observed ${format.short(finding.observed)}, usual ${format.short(finding.usual_low)} to ${format.short(finding.usual_high)}, score ${known(finding.score) ? finding.score.toFixed(1) : DASH}` : summary(finding.event).slice(0, 240)),
    h("details.inline", h("summary", "Event"), lazyTree(finding.event)),
    (finding.samples || []).slice(0, 3).map((sample) => h("pre.sample", isTree(sample) ? JSON.stringify(sample) : sample)));
}

const insightView = {
  title: "Insight",
  isHidden: () => insightPoints().length === 0,
  shape: () => `${insight.version}${insight.points}${insight.problem}`,
  open: tapInsight,
  close: closeInsight,
  poll: () => {
    if (!insight.controller || insight.points !== JSON.stringify(insightPoints())) {
      closeInsight();
      tapInsight();
    }
  },
  build: (scope) => {
    const hidden = insightPoints().map((name) => [name, whyHidden(name)]).filter(([, why]) => why);
    const patterns = [...insight.patterns.values()].sort((one, other) => other.count - one.count).slice(0, 100);
    const rows = patterns.map((pattern) => {
      const line = sparkline();
      line.show(pattern.counts);
      const state = patternState(pattern);
      return [h("code.wrap", pattern.name || pattern.template), state ? tag(...state) : "", format.count(pattern.count), format.share(pattern.share), line, format.clock(pattern.last_seen)];
    });
    return [
      h("h2.sr", "Insight"),
      insight.problem ? h("p.problem", insight.problem) : null,
      hidden.map(([name, why]) => h("p.muted", lock(), " ", h("code", name), ": ", why)),
      h("p.muted", "What comes while this view is open, from ", insightPoints().map((name, at) => [at > 0 ? ", " : "", h("code", name)]), "."),
      section("Metrics", insight.series.size === 0 ? empty("No data point has come yet; nodes make them at the end of their interval.") : h("div.charts", metricCards(scope))),
      section("Patterns", rows.length === 0 ? empty("No report of patterns has come yet.") : table("Patterns", ["Template", "State", "#Events", "#Share", "Trend", "Last"], rows)),
      section("Findings", insight.findings.length === 0 ? empty("No finding has come yet.") : h("ol.samples", insight.findings.map(findingItem))),
    ];
  },
};
