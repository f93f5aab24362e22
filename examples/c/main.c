/* All example nodes in one component. The options `node` and `face` select one, because the
 * conformance suite checks all of them. Your component has one node: see templates/c. */
#include "examples.h"

const wattle_description wattle_node = {
    .name = WATTLE("examples"),
    .version = WATTLE("1.0.0"),
    .summary = WATTLE("The example nodes."),
    .options_schema = WATTLE("{\"type\":\"object\",\"properties\":{\"node\":{},\"face\":{}}}"),
};

static const struct {
  const char *name;
  const example *node;
} nodes[] = {{"add-field", &add_field}, {"drop-if", &drop_if}, {"require", &require}, {"count", &count},
             {"memory", &memory_node},  {"decisions", &decisions}};

static const example *chosen;
static bool per_event;

void wattle_configure(void) {
  wattle_text name = wattle_option_text("node");
  per_event = wattle_equal(wattle_option_text("face"), WATTLE("events"));
  chosen = NULL;
  for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
    if (wattle_equal(name, (wattle_text){(const uint8_t *)nodes[i].name, strlen(nodes[i].name)})) chosen = nodes[i].node;
  if (!chosen || (per_event && !chosen->event))
    wattle_option_error("node", WATTLE("there is no such node with this face"));
  else
    chosen->configure();
}

wattle_text wattle_process(void) { return per_event ? wattle_process_events(chosen->event) : chosen->columns(); }

/* A node without state saves nothing, and refuses any other state. */
static wattle_text save(void) { return chosen->save ? chosen->save() : WATTLE(""); }

static wattle_text restore(const wattle_snapshot *snapshots, size_t count) {
  if (chosen->restore) return chosen->restore(snapshots, count);
  for (size_t i = 0; i < count; i++)
    if (snapshots[i].version != 1 || snapshots[i].bytes.len) return WATTLE("this node keeps no state");
  return WATTLE_OK;
}

/* A node without a timer asks for no ticks, but the host can make one. */
static wattle_text tick(int64_t now, bool last) { return chosen->tick ? chosen->tick(now, last) : WATTLE_OK; }

WATTLE_STATE(1, save, restore)
WATTLE_TIMER(tick)
