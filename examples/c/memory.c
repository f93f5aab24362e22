/* Counts the events of each key, and makes a metric of each count at the end of a window: a node with memory and a timer.
 * Your component has WATTLE_STATE(1, save, restore) and WATTLE_TIMER(tick) at its end. */
#include "examples.h"

/* Bounds of the memory; other events leave uncounted. */
#define MAX_KEYS 100
#define MAX_KEY 64

static wattle_field key;
static int64_t window;

/* The state. */
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

/* A count in the saved state, before the bytes of its key. */
typedef struct {
  uint64_t count;
  uint64_t len;
} saved_count;

/* The saved state: the start of the window, then each count with its key. */
static wattle_text save(void) {
  wattle_writer state = wattle_writer_new(0, 0);
  wattle_add(&state, (wattle_text){(const uint8_t *)&memory.start, sizeof memory.start});
  for (size_t i = 0; i < memory.keys; i++) {
    saved_count saved = {memory.counts[i].count, memory.counts[i].len};
    wattle_add(&state, (wattle_text){(const uint8_t *)&saved, sizeof saved});
    wattle_add(&state, (wattle_text){memory.counts[i].key, memory.counts[i].len});
  }
  return (wattle_text){state.bytes, state.len};
}

/* Takes this many bytes from the front of a text; false if it has fewer. */
static bool taken(wattle_text *from, void *to, size_t len) {
  if (from->len < len) return false;
  memcpy(to, from->ptr, len);
  *from = (wattle_text){from->ptr + len, from->len - len};
  return true;
}

static wattle_text restore(const wattle_snapshot *snapshots, size_t count) {
  for (size_t i = 0; i < count; i++) {
    wattle_text left = snapshots[i].bytes;
    int64_t start;
    if (snapshots[i].version != 1) return WATTLE("state of another version than 1");
    if (!taken(&left, &start, sizeof start) || start < 0) return WATTLE("the state has no start");
    if (start && (!memory.start || start < memory.start)) memory.start = start;
    while (left.len) {
      saved_count saved;
      uint8_t text[MAX_KEY];
      if (!taken(&left, &saved, sizeof saved) || saved.len > MAX_KEY || !taken(&left, text, saved.len))
        return WATTLE("the state ends within a count");
      if (!counted((wattle_text){text, saved.len}, saved.count)) return WATTLE("the states have too many keys together");
    }
  }
  return WATTLE_OK;
}

const example memory_node = {configure, event, columns, save, restore, tick};
