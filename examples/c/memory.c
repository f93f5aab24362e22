/* Counts the events of each key, and makes a metric of each count at the end of a window: a node with memory and a timer.
 * Your component has WATTLE_STATE(1, save, restore) and WATTLE_TIMER(tick) at its end. */
#include "examples.h"

/* Bounds of the memory; other events leave uncounted. */
#define MAX_KEYS 100
#define MAX_KEY 64

static wattle_field key;
static int64_t window;

/* The state, which the node saves as it is. */
static struct {
  int64_t start; /* of the window; 0 before the first tick */
  size_t keys;
  struct {
    uint64_t count;
    size_t len;
    uint8_t key[MAX_KEY];
  } counts[MAX_KEYS];
} memory;

static void configure(void) {
  wattle_text path = wattle_option_text("key"), sharing = wattle_option_text("sharing");
  int64_t milliseconds = wattle_option_integer("window");
  key = wattle_read_field("key", path);
  window = milliseconds * 1000000;
  wattle_tick_every((uint32_t)milliseconds);
  if (wattle_equal(sharing, WATTLE("single")))
    wattle_share_single();
  else if (wattle_equal(sharing, WATTLE("key")))
    wattle_share_by_key(&path, 1);
  else if (!wattle_equal(sharing, WATTLE("worker")))
    wattle_option_error("sharing", WATTLE("must be worker, single or key"));
  memory.start = 0;
  memory.keys = 0;
}

/* Adds to the count of a key, if there is memory for it. */
static bool counted(wattle_text text, uint64_t count) {
  text = wattle_utf8(text);
  if (text.len > MAX_KEY) return false;
  size_t i = 0;
  while (i < memory.keys && !wattle_equal(text, (wattle_text){memory.counts[i].key, memory.counts[i].len})) i++;
  if (i == MAX_KEYS) return false;
  if (i == memory.keys) {
    memory.counts[memory.keys].count = 0;
    memory.counts[memory.keys].len = text.len;
    memcpy(memory.counts[memory.keys++].key, text.ptr, text.len);
  }
  memory.counts[i].count += count;
  return true;
}

static wattle_action event(wattle_event *e) {
  wattle_text text = wattle_get(e, key);
  return text.ptr && counted(text, 1) ? wattle_hold() : wattle_keep();
}

static wattle_text columns(void) {
  wattle_column keys = wattle_read(key, WATTLE_AS_TEXT);
  size_t rows = wattle_rows(), held = 0;
  uint32_t *holds = wattle_alloc(rows * sizeof *holds);
  for (size_t row = 0; row < rows; row++) {
    wattle_text text = wattle_row(&keys, row);
    if (text.ptr && counted(text, 1)) holds[held++] = (uint32_t)row;
  }
  wattle_hold_rows(holds, held);
  return WATTLE_OK;
}

static wattle_text tick(int64_t now, bool last) {
  if (!memory.start) memory.start = now;
  if (now - memory.start < window && !last) return WATTLE_OK;
  wattle_events events = wattle_events_new(WATTLE_METRIC_EVENT);
  for (size_t i = 0; i < memory.keys; i++) {
    wattle_text text = {memory.counts[i].key, memory.counts[i].len};
    wattle_text body = wattle_join(
        (wattle_text[]){WATTLE("{\"name\":\"events\",\"type\":\"sum\",\"temporality\":\"delta\",\"value\":"),
                        wattle_number(memory.counts[i].count), WATTLE("}")},
        3);
    /* The same window has the same id, even if the agent repeats it after a crash. */
    wattle_text id = wattle_join((wattle_text[]){wattle_number((uint64_t)memory.start), WATTLE("-"), text}, 3);
    wattle_text attributes = wattle_join(
        (wattle_text[]){WATTLE("{\"id\":"), wattle_quote(id), WATTLE(",\"key\":"), wattle_quote(text), WATTLE("}")}, 5);
    wattle_push_event(&events, body, attributes, now);
  }
  wattle_emit(0, &events);
  wattle_count(WATTLE("reported"), memory.keys);
  memory.start = now;
  memory.keys = 0;
  return WATTLE_OK;
}

static wattle_text save(void) { return (wattle_text){(const uint8_t *)&memory, sizeof memory}; }

static wattle_text restore(const wattle_snapshot *snapshots, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (snapshots[i].version != 1) return WATTLE("state of another version than 1");
    if (snapshots[i].bytes.len != sizeof memory) return WATTLE("the state has another size");
    /* The bytes may lie at any address. */
    static __typeof__(memory) saved;
    memcpy(&saved, snapshots[i].bytes.ptr, sizeof saved);
    if (saved.keys > MAX_KEYS) return WATTLE("the state has too many keys");
    if (saved.start && (!memory.start || saved.start < memory.start)) memory.start = saved.start;
    for (size_t at = 0; at < saved.keys; at++) {
      if (saved.counts[at].len > MAX_KEY) return WATTLE("the state has a key that is too long");
      if (!counted((wattle_text){saved.counts[at].key, saved.counts[at].len}, saved.counts[at].count))
        return WATTLE("the states have too many keys together");
    }
  }
  return WATTLE_OK;
}

const example memory_node = {configure, event, columns, save, restore, tick};
