/* Makes each decision of the contract, as an example of the call. */
#include "examples.h"

static wattle_field body, field, attributes, set;
static wattle_text decision;

static const char *const known[] = {
    "replace",   "replace-each", "set",        "set-json", "set-json-from", "set-timestamp", "split",
    "split-into", "combine",     "hold",       "emit",     "emit-kinds",    "drop",          "route",
    "copy-to",   "fail",         "redelivered", "read-text", "read-json",   "claim",         "kv",
    "error",     "panic",        "no-such-port", "no-such-group"};

static bool is(const char *name) { return wattle_equal(decision, (wattle_text){(const uint8_t *)name, strlen(name)}); }

static void configure(void) {
  decision = wattle_option_text("decision");
  bool found = false;
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) found |= is(known[i]);
  if (!found)
    wattle_option_error("decision", wattle_join((wattle_text[]){WATTLE("there is no `"), decision, WATTLE("`")}, 3));
  static const wattle_text names[] = {WATTLE("out"), WATTLE("other")};
  wattle_ports(names, 2);
  body = wattle_change_field("", WATTLE("body"));
  field = wattle_read_field("", WATTLE("body.f"));
  attributes = wattle_write_field("", WATTLE("attributes"));
  set = wattle_write_field("", WATTLE("attributes.set"));
}

static void replace(bool each) {
  wattle_column bodies = wattle_read(body, WATTLE_AS_TEXT);
  size_t rows = wattle_rows(), spans = 0;
  uint32_t *starts = wattle_alloc(rows * sizeof *starts), *ends = wattle_alloc(rows * sizeof *ends);
  wattle_writer texts = wattle_writer_new(0, rows);
  for (size_t row = 0; row < rows; row++) {
    if (!wattle_row(&bodies, row).len) continue;
    starts[spans] = bodies.offsets[row];
    ends[spans] = starts[spans] + 1;
    if (each) wattle_push(&texts, wattle_join((wattle_text[]){WATTLE("<"), wattle_number(spans), WATTLE(">")}, 3));
    spans++;
  }
  if (!each) wattle_push(&texts, WATTLE("*"));
  wattle_replace(body, WATTLE_AS_TEXT, starts, ends, spans, &texts);
}

/* Splits bodies at commas; only positions cross the sandbox boundary. */
static void split(void) {
  wattle_column bodies = wattle_read(body, WATTLE_AS_TEXT);
  size_t rows = wattle_rows(), children = 0, most = bodies.bytes_len + rows;
  uint32_t *parents = wattle_alloc(4 * most), *starts = wattle_alloc(4 * most), *ends = wattle_alloc(4 * most);
  for (size_t row = 0; row < rows; row++) {
    uint32_t start = bodies.offsets[row], end = bodies.offsets[row + 1];
    for (uint32_t at = start; at <= end; at++) {
      if (at < end && bodies.bytes[at] != ',') continue;
      parents[children] = (uint32_t)row;
      starts[children] = start;
      ends[children++] = at;
      start = at + 1;
    }
  }
  wattle_split(body, WATTLE_AS_TEXT, parents, starts, ends, children, WATTLE("["), WATTLE("]"));
}

static void split_into(void) {
  wattle_column bodies = wattle_read(body, WATTLE_AS_TEXT);
  size_t rows = wattle_rows();
  uint32_t *parents = wattle_alloc(2 * rows * sizeof *parents);
  wattle_writer children = wattle_writer_new(0, 2 * rows);
  for (size_t child = 0; child < 2 * rows; child++) {
    parents[child] = (uint32_t)(child / 2);
    wattle_add(&children, wattle_row(&bodies, child / 2));
    wattle_push(&children, child % 2 ? WATTLE("/2") : WATTLE("/1"));
  }
  wattle_split_into(parents, &children);
}

/* Joins each pair of neighbours. */
static void combine(void) {
  wattle_column bodies = wattle_read(body, WATTLE_AS_TEXT);
  size_t rows = wattle_rows(), groups = 0;
  uint32_t *all = wattle_alloc(rows * sizeof *all), *offsets = wattle_alloc((rows + 1) * sizeof *offsets);
  wattle_writer joined = wattle_writer_new(bodies.bytes_len + rows, rows);
  for (size_t row = 0; row < rows; row++) {
    all[row] = (uint32_t)row;
    if (row % 2)
      wattle_add(&joined, WATTLE("+"));
    else
      offsets[groups++] = (uint32_t)row;
    wattle_add(&joined, wattle_row(&bodies, row));
    if (row % 2 || row + 1 == rows) wattle_end_row(&joined);
  }
  offsets[groups] = (uint32_t)rows;
  wattle_combine(all, offsets, groups, &joined);
}

/* Makes an event of each row, with attributes and a time for even rows. */
static void emit(void) {
  wattle_events events = wattle_events_new(WATTLE_LOG_EVENT);
  for (size_t row = 0; row < wattle_rows(); row++) {
    wattle_text number = wattle_number(row);
    wattle_text text = wattle_join((wattle_text[]){WATTLE("made "), number}, 2);
    wattle_text attributes = wattle_join((wattle_text[]){WATTLE("{\"row\":"), number, WATTLE("}")}, 3);
    if (row % 2)
      wattle_push_event(&events, text, WATTLE_OK, WATTLE_NO_TIME);
    else
      wattle_push_event(&events, text, attributes, (int64_t)row * 1000000000);
  }
  wattle_emit(1, &events);
}

static void emit_kinds(void) {
  static const struct {
    wattle_event_kind kind;
    wattle_text body;
  } kinds[] = {{WATTLE_LOG_EVENT, WATTLE("log")}, {WATTLE_METRIC_EVENT, WATTLE("metric")}, {WATTLE_SPAN_EVENT, WATTLE("span")}};
  for (size_t i = 0; i < 3; i++) {
    wattle_events events = wattle_events_new(kinds[i].kind);
    wattle_push_event(&events, kinds[i].body, WATTLE_OK, WATTLE_NO_TIME);
    wattle_emit(0, &events);
  }
}

static void read_into_set(bool as_json) {
  wattle_column column = wattle_read(field, as_json ? WATTLE_AS_JSON : WATTLE_AS_TEXT);
  size_t rows = wattle_rows();
  wattle_writer values = wattle_writer_new(0, rows);
  for (size_t row = 0; row < rows; row++) {
    wattle_text text = wattle_row(&column, row);
    if (as_json)
      wattle_push(&values, wattle_join((wattle_text[]){wattle_number(column.kinds[row]), WATTLE(" "), text}, 3));
    else
      wattle_push(&values, text.ptr ? wattle_join((wattle_text[]){WATTLE("text "), text}, 2) : WATTLE("none"));
  }
  wattle_set_column(set, WATTLE_AS_TEXT, &values);
}

static wattle_text columns(void) {
  size_t rows = wattle_rows(), odd_rows = 0;
  uint32_t *odd = wattle_alloc(rows * sizeof *odd);
  uint8_t *marks = wattle_alloc(rows);
  for (size_t row = 0; row < rows; row++)
    if ((marks[row] = row % 2)) odd[odd_rows++] = (uint32_t)row;

  if (is("replace") || is("replace-each")) {
    replace(is("replace-each"));
  } else if (is("set")) {
    wattle_writer values = wattle_writer_new(0, rows);
    for (size_t row = 0; row < rows; row++)
      if (row % 2)
        wattle_push_none(&values);
      else
        wattle_push(&values, wattle_join((wattle_text[]){WATTLE("row "), wattle_number(row)}, 2));
    wattle_set_column(set, WATTLE_AS_TEXT, &values);
  } else if (is("set-json")) {
    wattle_writer values = wattle_writer_new(0, rows);
    for (size_t row = 0; row < rows; row++)
      wattle_push(&values, wattle_join((wattle_text[]){WATTLE("{\"row\":"), wattle_number(row), WATTLE("}")}, 3));
    wattle_set_column(set, WATTLE_AS_JSON, &values);
  } else if (is("set-json-from")) {
    const uint8_t *kinds = wattle_check_json(body);
    for (size_t row = 0; row < rows; row++) marks[row] = kinds[row] == WATTLE_OBJECT;
    wattle_set_json_from(attributes, body, marks);
  } else if (is("set-timestamp")) {
    int64_t *times = wattle_alloc(rows * sizeof *times);
    for (size_t row = 0; row < rows; row++) times[row] = row % 2 ? INT64_MIN : (int64_t)row * 1000000000;
    wattle_set_timestamp(times);
  } else if (is("split")) {
    split();
  } else if (is("split-into")) {
    split_into();
  } else if (is("combine")) {
    combine();
  } else if (is("hold")) {
    wattle_hold_rows(odd, odd_rows);
  } else if (is("emit")) {
    emit();
  } else if (is("emit-kinds")) {
    emit_kinds();
  } else if (is("drop")) {
    wattle_drop_rows(odd, odd_rows, WATTLE("odd"));
  } else if (is("route")) {
    wattle_route(marks);
  } else if (is("copy-to")) {
    wattle_copy_to(1, odd, odd_rows);
  } else if (is("fail")) {
    wattle_reasons reasons = {0};
    for (size_t i = 0; i < odd_rows; i++)
      wattle_reason(&reasons, odd[i], WATTLE("odd"), wattle_join((wattle_text[]){WATTLE("row "), wattle_number(odd[i])}, 2));
    wattle_fail_rows(&reasons);
  } else if (is("redelivered")) {
    wattle_writer values = wattle_writer_new(0, rows);
    for (size_t row = 0; row < rows; row++) wattle_push(&values, wattle_redelivered() ? WATTLE("true") : WATTLE("false"));
    wattle_set_column(set, WATTLE_AS_TEXT, &values);
  } else if (is("read-text") || is("read-json")) {
    read_into_set(is("read-json"));
  } else if (is("claim")) {
    wattle_column keys = wattle_read(field, WATTLE_AS_TEXT);
    const uint8_t *are_new = wattle_seen_claim(&keys, 60000);
    size_t known_rows = 0;
    for (size_t row = 0; row < rows; row++)
      if (!are_new[row]) odd[known_rows++] = (uint32_t)row;
    wattle_drop_rows(odd, known_rows, WATTLE("seen"));
  } else if (is("kv")) {
    wattle_column keys = wattle_read(field, WATTLE_AS_TEXT), bodies = wattle_read(body, WATTLE_AS_TEXT);
    wattle_text wrong = wattle_kv_set(&keys, &bodies, 60000);
    if (!wrong.len) wrong = wattle_kv_set(&keys, &bodies, WATTLE_FOREVER);
    if (wrong.len) return wrong;
    wattle_column values = wattle_kv_get(&keys);
    wattle_set_values(set, WATTLE_AS_TEXT, &values);
  } else if (is("error")) {
    return WATTLE("refused on purpose");
  } else if (is("panic")) {
    wattle_panic(WATTLE("broken on purpose"));
  } else if (is("no-such-port")) {
    for (size_t row = 0; row < rows; row++) marks[row] = 9;
    wattle_route(marks);
  } else if (is("no-such-group")) {
    wattle_writer bodies = wattle_writer_new(0, 1);
    wattle_push(&bodies, WATTLE("x"));
    wattle_combine(&(uint32_t){(uint32_t)rows}, (uint32_t[]){0, 1}, 1, &bodies);
  }
  return WATTLE_OK;
}

const example decisions = {.configure = configure, .columns = columns};
