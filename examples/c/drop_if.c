/* Drops events whose field contains a text. */
#include "examples.h"

static wattle_field field;
static wattle_text contains;

static void configure(void) {
  field = wattle_read_field("field", wattle_option_text("field"));
  contains = wattle_option_text("contains");
}

static wattle_action event(wattle_event *e) {
  wattle_text text = wattle_get(e, field);
  return text.ptr && wattle_contains(text, contains) ? wattle_drop(WATTLE("matched")) : wattle_keep();
}

static wattle_text columns(void) {
  wattle_column texts = wattle_read(field, WATTLE_AS_TEXT);
  size_t rows = wattle_rows(), matched = 0;
  uint32_t *dropped = wattle_alloc(rows * sizeof *dropped);
  for (size_t row = 0; row < rows; row++) {
    wattle_text text = wattle_row(&texts, row);
    if (text.ptr && wattle_contains(text, contains)) dropped[matched++] = (uint32_t)row;
  }
  wattle_drop_rows(dropped, matched, WATTLE("matched"));
  return WATTLE_OK;
}

const example drop_if = {.configure = configure, .event = event, .columns = columns};
