/* Sets a field to the text of another in capitals. Fails events without it, and drops events that contain a text. */
#include "wattle.h"

const wattle_description wattle_node = {
    .name = WATTLE("my-node"),
    .version = WATTLE("0.1.0"),
    .summary = WATTLE("Sets a field to the text of another in capitals."),
    .options_schema = WATTLE("{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"from\",\"to\",\"skip\"],"
                             "\"properties\":{\"from\":{\"type\":\"string\"},\"to\":{\"type\":\"string\"},"
                             "\"skip\":{\"type\":\"string\"}}}"),
};

static wattle_field from, to;
static wattle_text skip, missing;

void wattle_configure(void) {
  wattle_text path = wattle_option_text("from");
  from = wattle_read_field("from", path);
  to = wattle_write_field("to", wattle_option_text("to"));
  skip = wattle_option_text("skip");
  missing = wattle_join((wattle_text[]){WATTLE("the field `"), path, WATTLE("` is missing")}, 3);
}

static wattle_text process(void) {
  wattle_column texts = wattle_read(from, WATTLE_AS_TEXT);
  size_t rows = wattle_rows(), drops = 0;
  wattle_writer values = wattle_writer_new(texts.bytes_len, rows);
  wattle_reasons reasons = {0};
  uint32_t *dropped = wattle_alloc(rows * sizeof *dropped);
  for (size_t row = 0; row < rows; row++) {
    wattle_text text = wattle_row(&texts, row);
    if (!text.ptr) {
      wattle_reason(&reasons, row, WATTLE("missing"), missing);
      wattle_push_none(&values);
    } else if (wattle_contains(text, skip)) {
      dropped[drops++] = (uint32_t)row;
      wattle_push_none(&values);
    } else {
      wattle_push(&values, wattle_utf8(text));
    }
  }
  /* All letters of all rows in one loop. */
  for (size_t i = 0; i < values.len; i++) values.bytes[i] -= values.bytes[i] >= 'a' && values.bytes[i] <= 'z' ? 32 : 0;
  wattle_set_column(to, WATTLE_AS_TEXT, &values);
  wattle_drop_rows(dropped, drops, WATTLE("skipped"));
  wattle_fail_rows(&reasons);
  return WATTLE_OK;
}

WATTLE_COLUMNS(process)
