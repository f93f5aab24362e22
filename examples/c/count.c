/* Sets a field to the number of the event, counted from 1: a node with state. */
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

const example count = {configure, event, columns};
