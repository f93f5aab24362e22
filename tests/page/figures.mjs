// Compares the figures of the page with `/metrics`, which the agent renders from the same counters in another way.

const TERMS = { received: "received_events", copied: "copied_events", made: "made_events", delivered: "delivered_events", failed: "failed_events", dropped: "dropped_events", held: "held_events", returned: "returned_events" };

// The samples of Prometheus' text format: name and sorted labels to value.
function read(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const [, name, labels = "", value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) || [];
    if (name) samples.set(`${name}{${labels.split(/,(?=\w+=")/).sort().join(",")}}`, Number(value));
  }
  return samples;
}

async function metrics(context) {
  return read((await context.get("/metrics")).text);
}

// What the page must show, by the names of its `data-count`.
function expected(graph, samples) {
  const found = new Map();
  for (const pipeline of graph.pipelines) {
    const count = (name) => samples.get(`wattle_pipeline_${name}_total{pipeline="${pipeline.name}"}`) ?? 0;
    for (const [term, name] of Object.entries(TERMS)) found.set(`balance/${pipeline.name}/${term}`, count(name));
    found.set(`balance/${pipeline.name}/split`, count("split_children") - count("split_parents"));
  }
  for (const { name: pipeline, outputs } of graph.pipelines) {
    for (const { name: output } of outputs) {
      const count = (name) => samples.get(`wattle_output_${name}_total{output="${output}",pipeline="${pipeline}"}`) ?? 0;
      // As in the status, the sent events include those that failed.
      found.set(`output/${pipeline}.${output}/events`, count("sent_events"));
      found.set(`output/${pipeline}.${output}/failed`, count("failed_events"));
    }
  }
  for (const sink of graph.sinks) found.set(`sink/${sink.name}/delivered`, samples.get(`wattle_sink_delivered_events_total{sink="${sink.name}"}`) ?? 0);
  return found;
}

async function shown(page) {
  const list = await page.evaluate(() => [...document.querySelectorAll("[data-count]")].map((element) => [element.dataset.count, element.textContent]));
  return new Map(list.filter(([name]) => !name.endsWith("/bytes")).map(([name, text]) => [name, Number(text.replaceAll(",", ""))]));
}

async function view(context, page, name) {
  await context.go(page, `#/${name}`);
  await context.wait(page, `the view ${name}`, (wanted) => document.querySelector('#views a[aria-current="page"]')?.dataset.view === wanted, name);
  // The first figures of a view come with it.
  await context.seen(page, "main [data-count]");
}

// While events flow, a figure of the page lies between what `/metrics` has said before and says afterwards.
export async function underLoad(context, page) {
  const graph = await context.graph();
  await view(context, page, "balance");
  const before = expected(graph, await metrics(context));
  const at = Date.now();
  await context.wait(page, "a status after the first scrape", (time) => Date.parse(document.getElementById("facts").dataset.at) > time, at);
  const found = await shown(page);
  const after = expected(graph, await metrics(context));
  let moved = 0;
  for (const [name, value] of found) {
    if (!before.has(name)) continue;
    if (after.get(name) > before.get(name)) moved += 1;
    context.check(`under load, ${name} is between two scrapes`, before.get(name) <= value && value <= after.get(name), `${before.get(name)}, ${value}, ${after.get(name)}`);
  }
  context.check("the load moves counters", moved > 0);
}

// After the load every counter is equal.
export async function figures(context, page) {
  await context.ask("stop");
  const graph = await context.graph();
  let last = "";
  await context.until("counters that stand still", async () => {
    const now = JSON.stringify([...expected(graph, await metrics(context))]);
    const isStill = now === last;
    last = now;
    if (!isStill) await new Promise((resolve) => setTimeout(resolve, 500));
    return isStill;
  }, 60_000);
  const wanted = expected(graph, await metrics(context));
  const outputs = new Map();
  for (const name of ["balance", "outputs"]) {
    await view(context, page, name);
    let found;
    const isEqual = async () => {
      found = await shown(page);
      return [...found].every(([count, value]) => !wanted.has(count) || wanted.get(count) === value);
    };
    await context.until(`figures of ${name}`, isEqual, 5000).catch(() => false);
    for (const [count, value] of found) {
      if (wanted.has(count)) context.check(`${count} equals /metrics`, wanted.get(count) === value, `${value}, ${wanted.get(count)}`);
      if (count.startsWith("output/")) outputs.set(count, value);
    }
  }
  // What left on the outputs is what was delivered and what failed.
  for (const pipeline of graph.pipelines) {
    const sum = (what) => [...outputs].filter(([count]) => count.startsWith(`output/${pipeline.name}.`) && count.endsWith(`/${what}`)).reduce((total, [, value]) => total + value, 0);
    const all = wanted.get(`balance/${pipeline.name}/delivered`) + wanted.get(`balance/${pipeline.name}/failed`);
    context.check(`the outputs of ${pipeline.name} add up`, sum("events") === all, `${sum("events")}, ${all}`);
    context.check(`the load of ${pipeline.name} was real`, all > 1000, String(all));
  }
}
