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

/* Returns the text in capitals. */
static wattle_text shout(wattle_text text) {
  uint8_t *loud = wattle_alloc(text.len);
  for (size_t i = 0; i < text.len; i++) loud[i] = text.ptr[i] - (text.ptr[i] >= 'a' && text.ptr[i] <= 'z' ? 32 : 0);
  return (wattle_text){loud, text.len};
}

static wattle_action decide(wattle_event *event) {
  wattle_text text = wattle_get(event, from);
  if (!text.ptr) return wattle_fail(WATTLE("missing"), missing);
  if (wattle_contains(text, skip)) return wattle_drop(WATTLE("skipped"));
  wattle_set(event, to, shout(wattle_utf8(text)));
  return wattle_keep();
}

WATTLE_EVENTS(decide)
