/* Fails events in which a field is missing or empty. */
#include "examples.h"

static wattle_field field;
static wattle_text missing, empty;

static void configure(void) {
  wattle_text path = wattle_option_text("field");
  field = wattle_read_field("field", path);
  missing = wattle_join((wattle_text[]){WATTLE("the field `"), path, WATTLE("` is missing")}, 3);
  empty = wattle_join((wattle_text[]){WATTLE("the field `"), path, WATTLE("` is empty")}, 3);
}

static wattle_action event(wattle_event *e) {
  wattle_text text = wattle_get(e, field);
  if (!text.ptr) return wattle_fail(WATTLE("missing"), missing);
  return text.len ? wattle_keep() : wattle_fail(WATTLE("empty"), empty);
}

static wattle_text columns(void) {
  wattle_column texts = wattle_read(field, WATTLE_AS_TEXT);
  wattle_reasons reasons = {0};
  size_t rows = wattle_rows();
  for (size_t row = 0; row < rows; row++) {
    wattle_text text = wattle_row(&texts, row);
    if (!text.ptr)
      wattle_reason(&reasons, row, WATTLE("missing"), missing);
    else if (!text.len)
      wattle_reason(&reasons, row, WATTLE("empty"), empty);
  }
  wattle_fail_rows(&reasons);
  return WATTLE_OK;
}

const example require = {.configure = configure, .event = event, .columns = columns};
