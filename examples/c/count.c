/* Sets a field to the number of the event, counted from 1: a node with state, which goes
 * on counting in the instance after it. Your component has WATTLE_STATE(1, save, restore) at its end. */
#include "examples.h"

static wattle_field to;
static uint64_t counted;

static void configure(void) {
  to = wattle_write_field("to", wattle_option_text("to"));
  counted = 0;
}

static wattle_action event(wattle_event *e) {
  wattle_set(e, to, wattle_number(++counted));
  return wattle_keep();
}

static wattle_text columns(void) {
  size_t rows = wattle_rows();
  wattle_writer values = wattle_writer_new(8 * rows, rows);
  for (size_t row = 0; row < rows; row++) wattle_push(&values, wattle_number(++counted));
  wattle_set_column(to, WATTLE_AS_TEXT, &values);
  return WATTLE_OK;
}

/* The state: the number of events, in decimal. */
static wattle_text save(void) { return wattle_number(counted); }

static wattle_text restore(const wattle_snapshot *snapshots, size_t count) {
  uint64_t all = 0;
  for (size_t i = 0; i < count; i++) {
    wattle_text text = snapshots[i].bytes;
    uint64_t number = 0;
    if (snapshots[i].version != 1) return WATTLE("state of another version than 1");
    if (!text.len || text.len > 19) return WATTLE("the state is no count");
    for (size_t at = 0; at < text.len; at++) {
      if (text.ptr[at] < '0' || text.ptr[at] > '9') return WATTLE("the state is no count");
      number = 10 * number + (text.ptr[at] - '0');
    }
    all += number;
  }
  counted = all;
  return WATTLE_OK;
}

const example count = {
    .configure = configure, .event = event, .columns = columns, .save = save, .restore = restore};
