/* Write a Wattle node in C.
 *
 * A node defines `wattle_node` (its description), `wattle_configure` (its options, fields and ports), and uses one of two
 * macros:
 *
 *   WATTLE_EVENTS(f)   f decides about one event at a time (simple)
 *   WATTLE_COLUMNS(f)  f reads columns and decides about all rows at once (fast)
 *
 * A node that keeps state between batches also uses WATTLE_STATE, and a node that acts on the time WATTLE_TIMER.
 *
 * A node frees no memory: what it allocates during configuration stays as long as the node, and the SDK releases what it
 * allocates during a call when the call ends. Texts have a length and do not end with a zero byte.
 *
 * The functions that decide correspond to wit/batch.wit, which has their rules. There is no C library; wattle.c has the few
 * functions of <string.h> that compilers require.
 */
#ifndef WATTLE_H
#define WATTLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text: bytes and their number. If `ptr` is NULL, the value is missing. */
typedef struct {
  const uint8_t *ptr;
  size_t len;
} wattle_text;

/* A literal as a text. */
#define WATTLE(literal) ((wattle_text){(const uint8_t *)(literal), sizeof(literal) - 1})

bool wattle_equal(wattle_text a, wattle_text b);
bool wattle_contains(wattle_text text, wattle_text part);
/* Concatenates texts. */
wattle_text wattle_join(const wattle_text *parts, size_t count);
/* Formats a number in decimal. */
wattle_text wattle_number(uint64_t number);
/* Replaces bytes that are not UTF-8 by U+FFFD: a node may read any bytes, but must set valid UTF-8. */
wattle_text wattle_utf8(wattle_text text);
/* A text as a JSON string, with its quotes. */
wattle_text wattle_quote(wattle_text text);

/* The description of a node; see `description` in wit/node.wit. */
typedef struct {
  wattle_text name, version, summary, options_schema;
  bool masks;
} wattle_description;

/* ---- definitions of the node ---- */

extern const wattle_description wattle_node;
void wattle_configure(void);

/* ---- configuration ---- */

/* Reads an option. If the option is missing or has another type, the SDK reports an error and returns a missing text, 0 or
 * false. */
wattle_text wattle_option_text(const char *name);
int64_t wattle_option_integer(const char *name);
bool wattle_option_bool(const char *name);
/* Whether an option is set. The SDK refuses options that the node never reads. */
bool wattle_has_option(const char *name);
/* Reports an error in an option. */
void wattle_option_error(const char *name, wattle_text message);

/* A resolved field. */
typedef uint32_t wattle_field;

/* Resolves a path to read, to set, or both. `option` names the option that contains the path, "" for none. */
wattle_field wattle_read_field(const char *option, wattle_text path);
wattle_field wattle_write_field(const char *option, wattle_text path);
wattle_field wattle_change_field(const char *option, wattle_text path);

/* Names the output ports, port 0 first. Default: one port, `out`. */
void wattle_ports(const wattle_text *names, size_t count);

/* Asks for a tick at this interval, at least 10: see WATTLE_TIMER. */
void wattle_tick_every(uint32_t milliseconds);

/* How workers share the state of the node: all of them share one instance, or a fixed number of instances, each for some
 * of the keys, which are the texts of these fields. By default, each worker has an instance of its own. */
void wattle_share_single(void);
void wattle_share_by_key(const wattle_text *paths, size_t count);

/* ---- one event at a time ---- */

typedef struct wattle_event wattle_event;

/* What to do with an event. */
typedef struct {
  enum { WATTLE_KEEP, WATTLE_PORT, WATTLE_DROP, WATTLE_FAIL, WATTLE_HOLD } what;
  uint8_t port;
  wattle_text code, message;
} wattle_action;

/* Sends the event to port 0. */
wattle_action wattle_keep(void);
/* Sends the event to this port. */
wattle_action wattle_port(uint8_t port);
/* Drops the event on purpose. The agent counts it under this code. */
wattle_action wattle_drop(wattle_text code);
/* Sends the event to the port `failed`, unchanged. */
wattle_action wattle_fail(wattle_text code, wattle_text message);
/* Ends the event in the memory of the node, which must have WATTLE_STATE. */
wattle_action wattle_hold(void);

/* The text of a field: strings unescaped, other values as JSON. `ptr` is NULL if the event does not have the field. */
wattle_text wattle_get(wattle_event *event, wattle_field field);
/* Sets a field to a string. */
void wattle_set(wattle_event *event, wattle_field field, wattle_text value);

typedef wattle_action (*wattle_event_function)(wattle_event *event);
wattle_text wattle_process_events(wattle_event_function function);

#define WATTLE_EVENTS(function)                                                                                        \
  wattle_text wattle_process(void) { return wattle_process_events(function); }

/* ---- columns ---- */

typedef enum { WATTLE_AS_TEXT, WATTLE_AS_JSON } wattle_form;

/* The kind of a row's value. */
enum {
  WATTLE_MISSING,
  WATTLE_NULL,
  WATTLE_BOOLEAN,
  WATTLE_A_NUMBER,
  WATTLE_STRING,
  WATTLE_ARRAY,
  WATTLE_OBJECT
};

/* One value per row: row i is bytes[offsets[i] .. offsets[i + 1]]. */
typedef struct {
  const uint8_t *bytes;
  size_t bytes_len;
  const uint32_t *offsets;
  size_t offsets_len;
  const uint8_t *kinds;
  size_t kinds_len;
} wattle_column;

/* The value of a row; `ptr` is NULL if the row has no value. */
wattle_text wattle_row(const wattle_column *column, size_t row);

/* A column under construction. */
typedef struct {
  uint8_t *bytes;
  size_t len, capacity;
  uint32_t *offsets;
  uint8_t *kinds;
  size_t rows, row_capacity;
} wattle_writer;

wattle_writer wattle_writer_new(size_t bytes, size_t rows);
/* Adds bytes to the current row. */
void wattle_add(wattle_writer *writer, wattle_text text);
void wattle_end_row(wattle_writer *writer);
/* Adds a row with these bytes. */
void wattle_push(wattle_writer *writer, wattle_text text);
/* Adds a row without a value; `wattle_set_column` leaves such a row unchanged. */
void wattle_push_none(wattle_writer *writer);

/* Returns the rows so far as a column. */
wattle_column wattle_written(const wattle_writer *writer);

size_t wattle_rows(void);
/* Whether the source offered the batch before. */
bool wattle_redelivered(void);
wattle_column wattle_read(wattle_field field, wattle_form form);
/* The JSON kind of each row's text, 0 if it is not valid JSON. */
const uint8_t *wattle_check_json(wattle_field field);
void wattle_replace(wattle_field field, wattle_form form, const uint32_t *starts, const uint32_t *ends, size_t spans,
                    const wattle_writer *texts);
void wattle_set_column(wattle_field field, wattle_form form, const wattle_writer *values);
/* Like `wattle_set_column`, from a column that the node read or looked up. */
void wattle_set_values(wattle_field field, wattle_form form, const wattle_column *values);
void wattle_set_json_from(wattle_field target, wattle_field source, const uint8_t *rows);
/* INT64_MIN leaves a row unchanged. */
void wattle_set_timestamp(const int64_t *nanoseconds);
void wattle_split(wattle_field field, wattle_form form, const uint32_t *parents, const uint32_t *starts,
                  const uint32_t *ends, size_t children, wattle_text prefix, wattle_text suffix);
void wattle_split_into(const uint32_t *parents, const wattle_writer *bodies);
/* Makes one event of each group of rows: group i is rows[offsets[i] .. offsets[i + 1]], and its body is row i of `bodies`.
 * `offsets` has one element more than there are groups. */
void wattle_combine(const uint32_t *rows, const uint32_t *offsets, size_t groups, const wattle_writer *bodies);
/* Ends rows in the memory of the node, which must have WATTLE_STATE. */
void wattle_hold_rows(const uint32_t *rows, size_t count);
void wattle_drop_rows(const uint32_t *rows, size_t count, wattle_text code);
void wattle_route(const uint8_t *ports);
/* After a split: sets the port of each child. */
void wattle_route_children(const uint8_t *ports, size_t children);
void wattle_copy_to(uint8_t port, const uint32_t *rows, size_t count);

/* The rows that fail. */
typedef struct {
  uint32_t *rows, *which;
  size_t count, capacity;
  wattle_text *reasons; /* code, message, code, message ... */
  size_t reason_count, reason_capacity;
} wattle_reasons;

void wattle_reason(wattle_reasons *reasons, size_t row, wattle_text code, wattle_text message);
void wattle_fail_rows(const wattle_reasons *reasons);

/* Adds to a count that the agent shows under this name in its summary, metrics and status. Also in a tick. */
void wattle_count(wattle_text name, uint64_t value);

/* The function of WATTLE_COLUMNS. Returns WATTLE_OK, or an error text, which fails every row. */
typedef wattle_text (*wattle_columns_function)(void);
#define WATTLE_OK ((wattle_text){NULL, 0})

#define WATTLE_COLUMNS(function)                                                                                       \
  wattle_text wattle_process(void) { return function(); }

/* ---- events of the node, while it processes a batch or in a tick ---- */

typedef enum { WATTLE_LOG_EVENT, WATTLE_METRIC_EVENT, WATTLE_SPAN_EVENT } wattle_event_kind;

/* No time of its own. */
#define WATTLE_NO_TIME INT64_MIN

/* Events of one kind, under construction. */
typedef struct {
  wattle_event_kind kind;
  wattle_writer bodies, attributes;
  int64_t *times;
  size_t capacity;
} wattle_events;

wattle_events wattle_events_new(wattle_event_kind kind);
/* Adds an event. `attributes` is a JSON object, or WATTLE_OK for none. `time` is in nanoseconds since 1970. Give each event
 * an attribute `id` that depends only on what the event is about: after a crash, the node can make it again. */
void wattle_push_event(wattle_events *events, wattle_text body, wattle_text attributes, int64_t time);
/* Makes these events, which have no parent. They leave on a port after the rows of the batch. */
void wattle_emit(uint8_t port, const wattle_events *events);

/* ---- time ---- */

/* Acts on the time, between two batches: before the first one, and then at the interval of wattle_tick_every. `now` is in
 * nanoseconds since 1970. If `last` is true, make all events that the node still owes: the run ends with its input, or the
 * state is larger than the node may save. The host saves the state afterwards, and more batches can follow. Returns
 * WATTLE_OK, or an error text, which is a fault. */
typedef wattle_text (*wattle_tick_function)(int64_t now, bool last);

#define WATTLE_TIMER(function)                                                                                         \
  __attribute__((export_name("wattle:node/timer@0.2.0#tick"))) const void *wattle_timer_tick(int64_t now, bool last) { \
    return wattle_ticked(now, last, function);                                                                         \
  }

/* Called by WATTLE_TIMER. */
const void *wattle_ticked(int64_t now, bool last, wattle_tick_function tick);

/* ---- state ---- */

/* State at one moment; only the node understands it. */
typedef struct {
  uint32_t version;
  wattle_text bytes;
} wattle_snapshot;

/* Writes the state. State between batches must be in static memory, or in memory that the node allocated during its
 * configuration: the SDK releases all other memory when a call ends. */
typedef wattle_text (*wattle_save_function)(void);
/* Restores state before the first batch: usually one snapshot, several if fewer workers run than when the agent saved
 * them, or if a canary ended. Returns WATTLE_OK, or an error text if it cannot read a snapshot. */
typedef wattle_text (*wattle_restore_function)(const wattle_snapshot *snapshots, size_t count);

/* Makes a node stateful: after a fault, a swap or a restart, its successor receives its state. `version` is the version of
 * the format that `save` writes. */
#define WATTLE_STATE(version, save, restore)                                                                           \
  __attribute__((export_name("wattle:node/state@0.2.0#version"))) uint32_t wattle_state_version(void) {                \
    return version;                                                                                                    \
  }                                                                                                                    \
  __attribute__((export_name("wattle:node/state@0.2.0#save"))) const void *wattle_state_save(void) {                   \
    return wattle_saved(version, save);                                                                                \
  }                                                                                                                    \
  __attribute__((export_name("wattle:node/state@0.2.0#restore"))) const void *wattle_state_restore(                    \
      const wattle_snapshot *snapshots, size_t count) {                                                                \
    return wattle_restored(snapshots, count, restore);                                                                 \
  }

/* Called by WATTLE_STATE. */
const void *wattle_saved(uint32_t version, wattle_save_function save);
const void *wattle_restored(const wattle_snapshot *snapshots, size_t count, wattle_restore_function restore);

/* ---- capabilities ----
 *
 * The operator grants them with `[pipelines.NAME.grants]`. A component requests the capabilities whose functions it calls.
 * The files of wit/ that are named below have the rules.
 */

/* log.wit */
typedef enum { WATTLE_DEBUG, WATTLE_INFO, WATTLE_WARN, WATTLE_ERROR } wattle_level;
void wattle_log(wattle_level level, wattle_text message);

/* metrics.wit: a node can create handles during configuration or later; they stay valid. */
typedef struct {
  wattle_text name, value;
} wattle_label;
typedef uint32_t wattle_metric;
wattle_metric wattle_counter(wattle_text name, const wattle_label *labels, size_t count);
wattle_metric wattle_gauge(wattle_text name, const wattle_label *labels, size_t count);
wattle_metric wattle_histogram(wattle_text name, const wattle_label *labels, size_t count, const double *bounds,
                               size_t bound_count);
void wattle_metric_add(wattle_metric counter, uint64_t amount);
void wattle_metric_set(wattle_metric gauge, double value);
void wattle_metric_observe(wattle_metric histogram, const double *values, size_t count);

/* clock.wit: nanoseconds. */
int64_t wattle_now(void);
uint64_t wattle_monotonic(void);

/* random.wit */
wattle_text wattle_random(uint32_t count);

/* host.wit: a fact about the machine or the agent, such as `host.name`; `ptr` is NULL if the machine does not have it. */
wattle_text wattle_fact(wattle_text name);

/* lookup.wit. The SDK reports a table without a grant as an error of this option. */
typedef uint32_t wattle_table;
wattle_table wattle_lookup_open(const char *option, wattle_text table, const wattle_text *columns, size_t count);
/* Returns one column for each opened column. */
const wattle_column *wattle_lookup_find(wattle_table table, const wattle_column *keys);

/* kv.wit. The functions return WATTLE_OK, or an error text; then nothing has changed. Values expire after `ttl`
 * milliseconds, or never if it is WATTLE_FOREVER. */
#define WATTLE_FOREVER UINT64_MAX
wattle_column wattle_kv_get(const wattle_column *keys);
wattle_text wattle_kv_set(const wattle_column *keys, const wattle_column *values, uint64_t ttl);
wattle_text wattle_kv_add(const wattle_column *keys, const int64_t *amounts, const int64_t **sums);
void wattle_kv_delete(const wattle_column *keys);

/* seen.wit: claims a key for each row of the batch, for `ttl` milliseconds. Returns 1 for a row whose key is new, 0 for a
 * row whose key was claimed before. */
const uint8_t *wattle_seen_claim(const wattle_column *keys, uint64_t ttl);

/* http-client.wit: one response for each request. */
typedef wattle_label wattle_header;
typedef struct {
  wattle_text method, url;
  const wattle_header *headers;
  size_t header_count;
  wattle_text body;
} wattle_request;
typedef struct {
  uint8_t is_failure;
  union {
    struct {
      uint16_t status;
      const wattle_header *headers;
      size_t header_count;
      wattle_text body;
    } response;
    struct {
      wattle_text code, message;
    } failure;
  };
} wattle_answer;
const wattle_answer *wattle_http_send(const wattle_request *requests, size_t count);

/* ---- at any time ---- */

/* Allocates memory, aligned to 8. */
void *wattle_alloc(size_t size);
/* Ends the call with a message, like a panic or an exception. */
_Noreturn void wattle_panic(wattle_text message);

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

#endif
