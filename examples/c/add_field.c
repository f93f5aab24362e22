/* Sets a field to a prefix and the text of another field, for events that have it. */
#include "examples.h"

static wattle_field from, to;
static wattle_text prefix;

static void configure(void) {
  from = wattle_read_field("from", wattle_option_text("from"));
  to = wattle_write_field("to", wattle_option_text("to"));
  prefix = wattle_option_text("prefix");
}

static wattle_action event(wattle_event *e) {
  wattle_text text = wattle_get(e, from);
  if (text.ptr) wattle_set(e, to, wattle_join((wattle_text[]){prefix, wattle_utf8(text)}, 2));
  return wattle_keep();
}

static wattle_text columns(void) {
  wattle_column texts = wattle_read(from, WATTLE_AS_TEXT);
  size_t rows = wattle_rows();
  wattle_writer values = wattle_writer_new(texts.bytes_len + rows * prefix.len, rows);
  for (size_t row = 0; row < rows; row++) {
    wattle_text text = wattle_row(&texts, row);
    if (!text.ptr) {
      wattle_push_none(&values);
      continue;
    }
    wattle_add(&values, prefix);
    wattle_push(&values, wattle_utf8(text));
  }
  wattle_set_column(to, WATTLE_AS_TEXT, &values);
  return WATTLE_OK;
}

const example add_field = {.configure = configure, .event = event, .columns = columns};
