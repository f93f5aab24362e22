/* Implements wattle.h: the functions of the contract as WebAssembly imports, and the functions that C compilers require.
 *
 * Values cross the border by the canonical ABI of the component model: a list or a string is an address and a length; a
 * result of more than one number is written to an address that the caller passes; the host writes its values to memory
 * that `cabi_realloc` allocates.
 */
#include "wattle.h"

#define IMPORT(interface, function)                                                                                    \
  __attribute__((import_module("wattle:node/" interface "@0.2.0"), import_name(function)))
#define EXPORT(function) __attribute__((export_name("wattle:node/node@0.2.0#" function)))

IMPORT("fields", "resolve") void host_resolve(const void *path, size_t len, uint32_t access, void *result);
IMPORT("diagnostics", "panicked") void host_panicked(const void *message, size_t len);
IMPORT("batch", "rows") uint32_t host_rows(void);
IMPORT("batch", "redelivered") uint32_t host_redelivered(void);
IMPORT("batch", "read") void host_read(uint32_t field, uint32_t form, void *result);
IMPORT("batch", "check-json") void host_check_json(uint32_t field, void *result);
IMPORT("batch", "replace")
void host_replace(uint32_t field, uint32_t form, const void *starts, size_t starts_len, const void *ends,
                  size_t ends_len, const void *bytes, size_t bytes_len, const void *offsets, size_t offsets_len,
                  const void *kinds, size_t kinds_len);
IMPORT("batch", "set")
void host_set(uint32_t field, uint32_t form, const void *bytes, size_t bytes_len, const void *offsets,
              size_t offsets_len, const void *kinds, size_t kinds_len);
IMPORT("batch", "set-json-from")
void host_set_json_from(uint32_t target, uint32_t source, const void *rows, size_t rows_len);
IMPORT("batch", "set-timestamp") void host_set_timestamp(const void *nanoseconds, size_t len);
IMPORT("batch", "split")
void host_split(uint32_t field, uint32_t form, const void *parents, size_t parents_len, const void *starts,
                size_t starts_len, const void *ends, size_t ends_len, const void *prefix, size_t prefix_len,
                const void *suffix, size_t suffix_len);
IMPORT("batch", "split-into")
void host_split_into(const void *parents, size_t parents_len, const void *bytes, size_t bytes_len, const void *offsets,
                     size_t offsets_len, const void *kinds, size_t kinds_len);
IMPORT("batch", "combine")
void host_combine(const void *rows, size_t rows_len, const void *offsets, size_t offsets_len, const void *bytes,
                  size_t bytes_len, const void *body_offsets, size_t body_offsets_len, const void *kinds,
                  size_t kinds_len);
IMPORT("batch", "hold") void host_hold(const void *rows, size_t len);
IMPORT("batch", "drop") void host_drop(const void *rows, size_t rows_len, const void *code, size_t code_len);
IMPORT("batch", "route") void host_route(const void *ports, size_t len);
IMPORT("batch", "copy-to") void host_copy_to(uint32_t port, const void *rows, size_t len);
IMPORT("batch", "fail")
void host_fail(const void *rows, size_t rows_len, const void *which, size_t which_len, const void *reasons,
               size_t reasons_len);
IMPORT("batch", "count") void host_count(const void *name, size_t len, uint64_t value);
IMPORT("events", "emit")
void host_emit(uint32_t port, uint32_t kind, const void *bytes, size_t bytes_len, const void *offsets,
               size_t offsets_len, const void *kinds, size_t kinds_len, const void *attribute_bytes,
               size_t attribute_bytes_len, const void *attribute_offsets, size_t attribute_offsets_len,
               const void *attribute_kinds, size_t attribute_kinds_len, const void *times, size_t times_len);

/* Capabilities: the linker drops imports that are not called, so an artifact requests only the capabilities that it uses. */
IMPORT("log", "write") void host_log(uint32_t level, const void *message, size_t len);
IMPORT("metrics", "counter")
uint32_t host_counter(const void *name, size_t len, const void *labels, size_t labels_len);
IMPORT("metrics", "gauge") uint32_t host_gauge(const void *name, size_t len, const void *labels, size_t labels_len);
IMPORT("metrics", "histogram")
uint32_t host_histogram(const void *name, size_t len, const void *labels, size_t labels_len, const void *bounds,
                        size_t bounds_len);
IMPORT("metrics", "add") void host_metric_add(uint32_t metric, uint64_t amount);
IMPORT("metrics", "set") void host_metric_set(uint32_t metric, double value);
IMPORT("metrics", "observe") void host_metric_observe(uint32_t metric, const void *values, size_t len);
IMPORT("clock", "now") int64_t host_now(void);
IMPORT("clock", "monotonic") uint64_t host_monotonic(void);
IMPORT("random", "bytes") void host_random(uint32_t count, void *result);
IMPORT("host", "fact") void host_fact(const void *name, size_t len, void *result);
IMPORT("lookup", "open")
void host_lookup_open(const void *table, size_t len, const void *columns, size_t columns_len, void *result);
IMPORT("lookup", "find")
void host_lookup_find(uint32_t table, const void *bytes, size_t bytes_len, const void *offsets, size_t offsets_len,
                      const void *kinds, size_t kinds_len, void *result);
IMPORT("kv", "get")
void host_kv_get(const void *bytes, size_t bytes_len, const void *offsets, size_t offsets_len, const void *kinds,
                 size_t kinds_len, void *result);
IMPORT("kv", "set")
void host_kv_set(const void *bytes, size_t bytes_len, const void *offsets, size_t offsets_len, const void *kinds,
                 size_t kinds_len, const void *value_bytes, size_t value_bytes_len, const void *value_offsets,
                 size_t value_offsets_len, const void *value_kinds, size_t value_kinds_len, uint32_t expires,
                 uint64_t ttl, void *result);
IMPORT("kv", "add")
void host_kv_add(const void *bytes, size_t bytes_len, const void *offsets, size_t offsets_len, const void *kinds,
                 size_t kinds_len, const void *amounts, size_t amounts_len, void *result);
IMPORT("kv", "delete")
void host_kv_delete(const void *bytes, size_t bytes_len, const void *offsets, size_t offsets_len, const void *kinds,
                    size_t kinds_len);
IMPORT("seen", "claim")
void host_seen_claim(const void *bytes, size_t bytes_len, const void *offsets, size_t offsets_len, const void *kinds,
                     size_t kinds_len, uint64_t ttl, void *result);
IMPORT("http-client", "send") void host_http_send(const void *requests, size_t len, void *result);

/* Prevents the compiler from replacing the body of such a function with a call of the function. */
#define NO_BUILTIN __attribute__((no_builtin))

/* ---- memory: a heap that only grows during a call; the end of a call resets it to its size after configuration ---- */

extern uint8_t __heap_base;
static uintptr_t heap_end, heap_kept;

void *wattle_alloc(size_t size) {
  if (!heap_end) heap_end = ((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7;
  uintptr_t start = heap_end, end = start + ((size + 7) & ~(size_t)7);
  uintptr_t have = (uintptr_t)__builtin_wasm_memory_size(0) << 16;
  if (end < start) __builtin_trap();
  if (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) >> 16) == (size_t)-1) __builtin_trap();
  heap_end = end;
  return (void *)start;
}

static void *grow(void *old, size_t old_size, size_t size) {
  void *bigger = wattle_alloc(size);
  memcpy(bigger, old, old_size);
  return bigger;
}

__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size, size_t align, size_t size) {
  (void)align; /* nothing in the contract is aligned to more than 8 */
  return old_size ? grow(old, old_size < size ? old_size : size, size) : wattle_alloc(size);
}

NO_BUILTIN void *memmove(void *to, const void *from, size_t size) {
  uint8_t *a = to;
  const uint8_t *b = from;
  if (a < b)
    for (size_t i = 0; i < size; i++) a[i] = b[i];
  else
    for (size_t i = size; i-- > 0;) a[i] = b[i];
  return to;
}

NO_BUILTIN void *memcpy(void *restrict to, const void *restrict from, size_t size) {
#ifdef __wasm_bulk_memory__
  __asm__ volatile("local.get %0\n local.get %1\n local.get %2\n memory.copy 0, 0" ::"r"(to), "r"(from), "r"(size)
                   : "memory");
  return to;
#else
  return memmove(to, from, size);
#endif
}

NO_BUILTIN void *memset(void *to, int byte, size_t size) {
  for (size_t i = 0; i < size; i++) ((uint8_t *)to)[i] = (uint8_t)byte;
  return to;
}

NO_BUILTIN int memcmp(const void *a, const void *b, size_t size) {
  const uint8_t *x = a, *y = b;
  for (size_t i = 0; i < size; i++)
    if (x[i] != y[i]) return x[i] - y[i];
  return 0;
}

NO_BUILTIN size_t strlen(const char *text) {
  size_t len = 0;
  while (text[len]) len++;
  return len;
}

_Noreturn void wattle_panic(wattle_text message) {
  host_panicked(message.ptr, message.len);
  __builtin_trap();
}

/* ---- texts ---- */

static wattle_text text_of(const char *zero_ended) {
  return (wattle_text){(const uint8_t *)zero_ended, strlen(zero_ended)};
}

bool wattle_equal(wattle_text a, wattle_text b) { return a.len == b.len && !memcmp(a.ptr, b.ptr, a.len); }

bool wattle_contains(wattle_text text, wattle_text part) {
  if (!part.len) return true;
  for (size_t i = 0; i + part.len <= text.len; i++)
    if (text.ptr[i] == part.ptr[0] && !memcmp(text.ptr + i, part.ptr, part.len)) return true;
  return false;
}

wattle_text wattle_join(const wattle_text *parts, size_t count) {
  size_t len = 0, at = 0;
  for (size_t i = 0; i < count; i++) len += parts[i].len;
  uint8_t *bytes = wattle_alloc(len ? len : 1);
  for (size_t i = 0; i < count; at += parts[i].len, i++) memcpy(bytes + at, parts[i].ptr, parts[i].len);
  return (wattle_text){bytes, len};
}

wattle_text wattle_number(uint64_t number) {
  uint8_t digits[20];
  size_t at = sizeof digits;
  do digits[--at] = (uint8_t)('0' + number % 10);
  while (number /= 10);
  return (wattle_text){grow(digits + at, sizeof digits - at, sizeof digits - at), sizeof digits - at};
}

/* Bytes of the character that begins here, 0 if none does. */
static size_t character(const uint8_t *p, size_t left) {
  uint8_t c = p[0];
  if (c < 0x80) return 1;
  size_t n = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 && c < 0xe0 ? 2 : 0;
  if (!n || n > left) return 0;
  for (size_t i = 1; i < n; i++)
    if ((p[i] & 0xc0) != 0x80) return 0;
  bool too_short = (c == 0xe0 && p[1] < 0xa0) || (c == 0xf0 && p[1] < 0x90);
  bool no_character = (c == 0xed && p[1] > 0x9f) || (c == 0xf4 && p[1] > 0x8f);
  return too_short || no_character ? 0 : n;
}

wattle_text wattle_utf8(wattle_text text) {
  size_t at = 0, n = 1;
  while (at < text.len && (n = character(text.ptr + at, text.len - at))) at += n;
  if (at == text.len) return text;
  uint8_t *bytes = wattle_alloc(3 * text.len);
  size_t len = 0;
  for (at = 0; at < text.len; at += n ? n : 1) {
    n = character(text.ptr + at, text.len - at);
    memcpy(bytes + len, n ? (const void *)(text.ptr + at) : "\xef\xbf\xbd", n ? n : 3);
    len += n ? n : 3;
  }
  return (wattle_text){bytes, len};
}

wattle_text wattle_quote(wattle_text text) {
  static const char digits[] = "0123456789abcdef";
  uint8_t *bytes = wattle_alloc(6 * text.len + 2);
  size_t len = 0;
  bytes[len++] = '"';
  for (size_t i = 0; i < text.len; i++) {
    uint8_t byte = text.ptr[i];
    if (byte < 0x20) {
      memcpy(bytes + len, "\\u00", 4);
      bytes[len + 4] = (uint8_t)digits[byte >> 4];
      bytes[len + 5] = (uint8_t)digits[byte & 15];
      len += 6;
      continue;
    }
    if (byte == '"' || byte == '\\') bytes[len++] = '\\';
    bytes[len++] = byte;
  }
  bytes[len++] = '"';
  return (wattle_text){bytes, len};
}

/* ---- options: the members of one JSON object ---- */

#define MAX_OPTIONS 256
#define MAX_DEPTH 64

typedef struct {
  wattle_text name, value; /* the value as JSON */
  bool is_known;
} option;

static option options[MAX_OPTIONS];
static size_t option_count;

typedef struct {
  wattle_text path, message;
} option_error;

static option_error *errors;
static size_t error_count, error_capacity;

static void error_at(wattle_text path, wattle_text message) {
  if (error_count == error_capacity) {
    size_t capacity = error_capacity ? 2 * error_capacity : 8;
    errors = grow(errors, error_count * sizeof *errors, capacity * sizeof *errors);
    error_capacity = capacity;
  }
  errors[error_count++] = (option_error){path, message};
}

void wattle_option_error(const char *name, wattle_text message) { error_at(text_of(name), message); }

typedef struct {
  const uint8_t *at, *end;
} cursor;

static void space(cursor *c) {
  while (c->at < c->end && (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t')) c->at++;
}

static bool is_next(cursor *c, uint8_t byte) {
  space(c);
  if (c->at == c->end || *c->at != byte) return false;
  c->at++;
  return true;
}

static bool string_passed(cursor *c) {
  if (!is_next(c, '"')) return false;
  for (; c->at < c->end; c->at++) {
    if (*c->at == '"') return c->at++, true;
    if (*c->at == '\\') c->at++;
  }
  return false;
}

static bool value_passed(cursor *c, unsigned depth) {
  space(c);
  if (c->at == c->end || depth > MAX_DEPTH) return false;
  uint8_t first = *c->at;
  if (first == '"') return string_passed(c);
  if (first == '{' || first == '[') {
    uint8_t last = first == '{' ? '}' : ']';
    c->at++;
    if (is_next(c, last)) return true;
    do {
      if (first == '{' && !(string_passed(c) && is_next(c, ':'))) return false;
      if (!value_passed(c, depth + 1)) return false;
    } while (is_next(c, ','));
    return is_next(c, last);
  }
  const uint8_t *start = c->at;
  while (c->at < c->end && *c->at > ' ' && *c->at != ',' && *c->at != '}' && *c->at != ']') c->at++;
  return c->at > start;
}

static int hex(uint8_t c) {
  return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static uint32_t four_digits(const uint8_t *p, const uint8_t *end) {
  uint32_t code = 0;
  for (int i = 0; i < 4; i++) {
    if (p + i >= end || hex(p[i]) < 0) return 0xfffd;
    code = code << 4 | (uint32_t)hex(p[i]);
  }
  return code;
}

/* A JSON string, with its quotes, unescaped. */
static wattle_text unescaped(wattle_text json) {
  const uint8_t *p = json.ptr + 1, *end = json.ptr + json.len - 1;
  uint8_t *bytes = wattle_alloc(json.len);
  size_t len = 0;
  while (p < end) {
    if (*p != '\\' || p + 1 >= end) {
      bytes[len++] = *p++;
      continue;
    }
    uint8_t c = p[1];
    p += 2;
    if (c != 'u') {
      bytes[len++] = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c == 'b' ? '\b' : c == 'f' ? '\f' : c;
      continue;
    }
    uint32_t code = four_digits(p, end);
    p += 4;
    if (code >= 0xd800 && code < 0xdc00 && p + 6 <= end && p[0] == '\\' && p[1] == 'u') {
      uint32_t low = four_digits(p + 2, end);
      if (low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
      }
    }
    if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
    if (code < 0x80) {
      bytes[len++] = (uint8_t)code;
    } else if (code < 0x800) {
      bytes[len++] = (uint8_t)(0xc0 | code >> 6);
      bytes[len++] = (uint8_t)(0x80 | (code & 63));
    } else {
      if (code < 0x10000) {
        bytes[len++] = (uint8_t)(0xe0 | code >> 12);
      } else {
        bytes[len++] = (uint8_t)(0xf0 | code >> 18);
        bytes[len++] = (uint8_t)(0x80 | (code >> 12 & 63));
      }
      bytes[len++] = (uint8_t)(0x80 | (code >> 6 & 63));
      bytes[len++] = (uint8_t)(0x80 | (code & 63));
    }
  }
  return (wattle_text){bytes, len};
}

static bool options_read(const uint8_t *json, size_t len) {
  cursor c = {json, json + len};
  if (!is_next(&c, '{')) return false;
  if (is_next(&c, '}')) return space(&c), c.at == c.end;
  do {
    space(&c);
    const uint8_t *name = c.at;
    if (!string_passed(&c)) return false;
    wattle_text quoted = {name, (size_t)(c.at - name)};
    if (!is_next(&c, ':')) return false;
    space(&c);
    const uint8_t *value = c.at;
    if (!value_passed(&c, 0) || option_count == MAX_OPTIONS) return false;
    options[option_count++] = (option){unescaped(quoted), {value, (size_t)(c.at - value)}, false};
  } while (is_next(&c, ','));
  if (!is_next(&c, '}')) return false;
  space(&c);
  return c.at == c.end;
}

static option *find_option(const char *name) {
  for (size_t i = 0; i < option_count; i++)
    if (wattle_equal(options[i].name, text_of(name))) return options[i].is_known = true, &options[i];
  return NULL;
}

bool wattle_has_option(const char *name) { return find_option(name) != NULL; }

static option *needed(const char *name) {
  option *found = find_option(name);
  if (!found) error_at(WATTLE(""), wattle_join((wattle_text[]){WATTLE("missing option `"), text_of(name), WATTLE("`")}, 3));
  return found;
}

wattle_text wattle_option_text(const char *name) {
  option *found = needed(name);
  if (!found) return (wattle_text){NULL, 0};
  if (found->value.ptr[0] == '"') return unescaped(found->value);
  wattle_option_error(name, WATTLE("must be a string"));
  return (wattle_text){NULL, 0};
}

int64_t wattle_option_integer(const char *name) {
  option *found = needed(name);
  if (!found) return 0;
  wattle_text text = found->value;
  bool negative = text.ptr[0] == '-';
  int64_t number = 0;
  size_t i = negative;
  /* Without __builtin_mul_overflow: it calls a function of the compiler's runtime, which is not linked. */
  for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
    int64_t digit = text.ptr[i] - '0';
    if (number > (INT64_MAX - digit) / 10) break;
    number = 10 * number + digit;
  }
  if (i == text.len && i > (size_t)negative) return negative ? -number : number;
  wattle_option_error(name, WATTLE("must be a whole number"));
  return 0;
}

bool wattle_option_bool(const char *name) {
  option *found = needed(name);
  if (!found || wattle_equal(found->value, WATTLE("false"))) return false;
  if (wattle_equal(found->value, WATTLE("true"))) return true;
  wattle_option_error(name, WATTLE("must be true or false"));
  return false;
}

/* ---- fields, ports and requests ---- */

#define MAX_FIELDS 256

/* Handles of the host. A `wattle_field` is an index, so that an event can keep its columns in an array. */
static uint32_t handles[MAX_FIELDS];
static size_t field_count;

static wattle_field resolve(const char *option, wattle_text path, uint32_t access) {
  struct {
    uint8_t is_error;
    uint32_t handle_or_message;
    uint32_t message_len;
  } result;
  if (!path.ptr) return 0; /* the SDK has already reported the option */
  if (field_count == MAX_FIELDS) wattle_panic(WATTLE("more fields than MAX_FIELDS of wattle.c"));
  host_resolve(path.ptr, path.len, access, &result);
  if (result.is_error) {
    wattle_option_error(option, (wattle_text){(const uint8_t *)result.handle_or_message, result.message_len});
    return 0;
  }
  handles[field_count] = result.handle_or_message;
  return (wattle_field)field_count++;
}

wattle_field wattle_read_field(const char *option, wattle_text path) { return resolve(option, path, 1); }
wattle_field wattle_write_field(const char *option, wattle_text path) { return resolve(option, path, 2); }
wattle_field wattle_change_field(const char *option, wattle_text path) { return resolve(option, path, 3); }

static const wattle_text *ports = &WATTLE("out");
static size_t port_count = 1;

void wattle_ports(const wattle_text *names, size_t count) {
  ports = grow((void *)names, count * sizeof *names, count * sizeof *names);
  port_count = count;
}

/* Milliseconds between two ticks; 0 for none. */
static uint32_t tick_milliseconds;

/* The cases of the variant `sharing`. */
enum { BY_WORKER, SINGLE, BY_KEY };
static uint32_t sharing;
static const wattle_text *key_paths;
static size_t key_path_count;

void wattle_tick_every(uint32_t milliseconds) { tick_milliseconds = milliseconds; }

void wattle_share_single(void) { sharing = SINGLE; }

void wattle_share_by_key(const wattle_text *paths, size_t count) {
  sharing = BY_KEY;
  key_paths = grow((void *)paths, count * sizeof *paths, count * sizeof *paths);
  key_path_count = count;
}

/* ---- columns ---- */

/* A column, and one under construction, as six numbers. */
#define COLUMN(c) (c)->bytes, (c)->bytes_len, (c)->offsets, (c)->offsets_len, (c)->kinds, (c)->kinds_len
#define WRITTEN(w) (w)->bytes, (w)->len, (w)->offsets, (w)->rows + 1, (w)->kinds, (w)->rows

wattle_text wattle_row(const wattle_column *column, size_t row) {
  if (column->kinds[row] == WATTLE_MISSING) return (wattle_text){NULL, 0};
  uint32_t start = column->offsets[row];
  /* An empty value also has an address. */
  return (wattle_text){column->bytes + start, column->offsets[row + 1] - start};
}

wattle_writer wattle_writer_new(size_t bytes, size_t rows) {
  wattle_writer writer = {0};
  writer.capacity = bytes ? bytes : 64;
  writer.row_capacity = rows ? rows : 16;
  writer.bytes = wattle_alloc(writer.capacity);
  writer.offsets = wattle_alloc((writer.row_capacity + 1) * sizeof(uint32_t));
  writer.kinds = wattle_alloc(writer.row_capacity);
  writer.offsets[0] = 0;
  return writer;
}

void wattle_add(wattle_writer *writer, wattle_text text) {
  if (writer->len + text.len > writer->capacity) {
    size_t capacity = 2 * (writer->len + text.len);
    writer->bytes = grow(writer->bytes, writer->len, capacity);
    writer->capacity = capacity;
  }
  memcpy(writer->bytes + writer->len, text.ptr, text.len);
  writer->len += text.len;
}

static void end_row(wattle_writer *writer, uint8_t kind) {
  if (writer->rows == writer->row_capacity) {
    size_t capacity = 2 * writer->row_capacity;
    writer->offsets = grow(writer->offsets, (writer->rows + 1) * sizeof(uint32_t), (capacity + 1) * sizeof(uint32_t));
    writer->kinds = grow(writer->kinds, writer->rows, capacity);
    writer->row_capacity = capacity;
  }
  writer->kinds[writer->rows++] = kind;
  writer->offsets[writer->rows] = (uint32_t)writer->len;
}

void wattle_end_row(wattle_writer *writer) { end_row(writer, WATTLE_STRING); }

void wattle_push(wattle_writer *writer, wattle_text text) {
  wattle_add(writer, text);
  end_row(writer, WATTLE_STRING);
}

void wattle_push_none(wattle_writer *writer) { end_row(writer, WATTLE_MISSING); }

wattle_column wattle_written(const wattle_writer *writer) {
  return (wattle_column){writer->bytes, writer->len, writer->offsets, writer->rows + 1, writer->kinds, writer->rows};
}

size_t wattle_rows(void) { return host_rows(); }
bool wattle_redelivered(void) { return host_redelivered(); }

wattle_column wattle_read(wattle_field field, wattle_form form) {
  wattle_column column; /* has the layout of the record `column` */
  host_read(handles[field], form, &column);
  return column;
}

const uint8_t *wattle_check_json(wattle_field field) {
  wattle_text kinds;
  host_check_json(handles[field], &kinds);
  return kinds.ptr;
}

void wattle_replace(wattle_field field, wattle_form form, const uint32_t *starts, const uint32_t *ends, size_t spans,
                    const wattle_writer *texts) {
  host_replace(handles[field], form, starts, spans, ends, spans, WRITTEN(texts));
}

void wattle_set_column(wattle_field field, wattle_form form, const wattle_writer *values) {
  wattle_column column = wattle_written(values);
  wattle_set_values(field, form, &column);
}

void wattle_set_values(wattle_field field, wattle_form form, const wattle_column *values) {
  host_set(handles[field], form, COLUMN(values));
}

void wattle_set_json_from(wattle_field target, wattle_field source, const uint8_t *rows) {
  host_set_json_from(handles[target], handles[source], rows, wattle_rows());
}

void wattle_set_timestamp(const int64_t *nanoseconds) { host_set_timestamp(nanoseconds, wattle_rows()); }

void wattle_split(wattle_field field, wattle_form form, const uint32_t *parents, const uint32_t *starts,
                  const uint32_t *ends, size_t children, wattle_text prefix, wattle_text suffix) {
  host_split(handles[field], form, parents, children, starts, children, ends, children, prefix.ptr, prefix.len,
             suffix.ptr, suffix.len);
}

void wattle_split_into(const uint32_t *parents, const wattle_writer *bodies) {
  host_split_into(parents, bodies->rows, WRITTEN(bodies));
}

void wattle_combine(const uint32_t *rows, const uint32_t *offsets, size_t groups, const wattle_writer *bodies) {
  if (groups) host_combine(rows, offsets[groups], offsets, groups + 1, WRITTEN(bodies));
}

void wattle_hold_rows(const uint32_t *rows, size_t count) {
  if (count) host_hold(rows, count);
}

void wattle_drop_rows(const uint32_t *rows, size_t count, wattle_text code) {
  if (count) host_drop(rows, count, code.ptr, code.len);
}

void wattle_route(const uint8_t *to) { host_route(to, wattle_rows()); }
void wattle_route_children(const uint8_t *to, size_t children) { host_route(to, children); }

void wattle_copy_to(uint8_t port, const uint32_t *rows, size_t count) {
  if (count) host_copy_to(port, rows, count);
}

void wattle_count(wattle_text name, uint64_t value) {
  if (value) host_count(name.ptr, name.len, value);
}

wattle_events wattle_events_new(wattle_event_kind kind) {
  return (wattle_events){.kind = kind, .bodies = wattle_writer_new(0, 0), .attributes = wattle_writer_new(0, 0)};
}

void wattle_push_event(wattle_events *events, wattle_text body, wattle_text attributes, int64_t time) {
  size_t count = events->bodies.rows;
  if (count == events->capacity) {
    size_t capacity = count ? 2 * count : 16;
    events->times = grow(events->times, count * sizeof *events->times, capacity * sizeof *events->times);
    events->capacity = capacity;
  }
  events->times[count] = time;
  wattle_push(&events->bodies, body);
  if (attributes.ptr)
    wattle_push(&events->attributes, attributes);
  else
    wattle_push_none(&events->attributes);
}

void wattle_emit(uint8_t port, const wattle_events *events) {
  if (events->bodies.rows)
    host_emit(port, events->kind, WRITTEN(&events->bodies), WRITTEN(&events->attributes), events->times,
              events->bodies.rows);
}

/* Compares only the last few reasons: if all rows differ, comparing all would be quadratic. */
#define RECENT 16

void wattle_reason(wattle_reasons *reasons, size_t row, wattle_text code, wattle_text message) {
  if (reasons->count == reasons->capacity) {
    size_t count = reasons->count, capacity = count ? 2 * count : 64;
    reasons->rows = grow(reasons->rows, count * sizeof(uint32_t), capacity * sizeof(uint32_t));
    reasons->which = grow(reasons->which, count * sizeof(uint32_t), capacity * sizeof(uint32_t));
    reasons->capacity = capacity;
  }
  size_t first = reasons->reason_count > RECENT ? reasons->reason_count - RECENT : 0, known = first;
  while (known < reasons->reason_count && !(wattle_equal(reasons->reasons[2 * known], code) &&
                                            wattle_equal(reasons->reasons[2 * known + 1], message)))
    known++;
  if (known == reasons->reason_count) {
    if (reasons->reason_count == reasons->reason_capacity) {
      size_t count = reasons->reason_count, capacity = count ? 2 * count : 8;
      reasons->reasons = grow(reasons->reasons, count * 2 * sizeof(wattle_text), capacity * 2 * sizeof(wattle_text));
      reasons->reason_capacity = capacity;
    }
    reasons->reasons[2 * known] = code;
    reasons->reasons[2 * known + 1] = message;
    reasons->reason_count++;
  }
  reasons->rows[reasons->count] = (uint32_t)row;
  reasons->which[reasons->count++] = (uint32_t)known;
}

void wattle_fail_rows(const wattle_reasons *reasons) {
  if (reasons->count)
    host_fail(reasons->rows, reasons->count, reasons->which, reasons->count, reasons->reasons, reasons->reason_count);
}

/* ---- one event at a time ---- */

struct wattle_event {
  size_t row, rows;
  wattle_column columns[MAX_FIELDS];
  wattle_writer writers[MAX_FIELDS];
};

wattle_action wattle_keep(void) { return (wattle_action){.what = WATTLE_KEEP}; }
wattle_action wattle_port(uint8_t port) { return (wattle_action){.what = WATTLE_PORT, .port = port}; }
wattle_action wattle_drop(wattle_text code) { return (wattle_action){.what = WATTLE_DROP, .code = code}; }
wattle_action wattle_fail(wattle_text code, wattle_text message) {
  return (wattle_action){.what = WATTLE_FAIL, .code = code, .message = message};
}
wattle_action wattle_hold(void) { return (wattle_action){.what = WATTLE_HOLD}; }

wattle_text wattle_get(wattle_event *event, wattle_field field) {
  wattle_column *column = &event->columns[field];
  if (!column->offsets_len) *column = wattle_read(field, WATTLE_AS_TEXT);
  return wattle_row(column, event->row);
}

void wattle_set(wattle_event *event, wattle_field field, wattle_text value) {
  wattle_writer *writer = &event->writers[field];
  if (!writer->offsets) *writer = wattle_writer_new(0, event->rows);
  if (writer->rows > event->row) writer->len = writer->offsets[writer->rows = event->row]; /* set twice: the last counts */
  while (writer->rows < event->row) wattle_push_none(writer);
  wattle_push(writer, value);
}

/* Rows dropped under one code. */
typedef struct {
  wattle_text code;
  uint32_t *rows;
  size_t count;
} dropped;

#define MAX_CODES 64

wattle_text wattle_process_events(wattle_event_function function) {
  static wattle_event event;
  memset(event.columns, 0, field_count * sizeof *event.columns);
  memset(event.writers, 0, field_count * sizeof *event.writers);
  size_t rows = event.rows = wattle_rows(), codes = 0, held = 0;
  dropped drops[MAX_CODES];
  wattle_reasons reasons = {0};
  uint8_t *to = wattle_alloc(rows ? rows : 1);
  uint32_t *holds = wattle_alloc(rows * sizeof *holds);
  bool is_routed = false;
  for (size_t row = event.row = 0; row < rows; event.row = ++row) {
    wattle_action action = function(&event);
    to[row] = action.what == WATTLE_PORT ? action.port : 0;
    is_routed |= to[row] != 0;
    if (action.what == WATTLE_HOLD) holds[held++] = (uint32_t)row;
    if (action.what == WATTLE_FAIL) wattle_reason(&reasons, row, action.code, action.message);
    if (action.what == WATTLE_DROP) {
      size_t code = 0;
      while (code < codes && !wattle_equal(drops[code].code, action.code)) code++;
      if (code == MAX_CODES) wattle_panic(WATTLE("more codes of dropped events than MAX_CODES of wattle.c"));
      if (code == codes) drops[codes++] = (dropped){action.code, wattle_alloc(rows * sizeof(uint32_t)), 0};
      drops[code].rows[drops[code].count++] = (uint32_t)row;
    }
  }
  for (size_t field = 0; field < field_count; field++) {
    wattle_writer *writer = &event.writers[field];
    if (!writer->offsets) continue;
    while (writer->rows < rows) wattle_push_none(writer);
    wattle_set_column((wattle_field)field, WATTLE_AS_TEXT, writer);
  }
  for (size_t code = 0; code < codes; code++) wattle_drop_rows(drops[code].rows, drops[code].count, drops[code].code);
  wattle_hold_rows(holds, held);
  wattle_fail_rows(&reasons);
  if (is_routed) wattle_route(to);
  return WATTLE_OK;
}

/* ---- the exports ---- */

wattle_text wattle_process(void);

EXPORT("describe") const void *export_describe(void) {
  return &wattle_node; /* has the layout of the record `description` */
}

EXPORT("configure") const void *export_configure(const uint8_t *json, size_t len) {
  /* Bytes with padding are whole numbers here. After an error, only its list is read. */
  static struct {
    uint32_t is_error;
    const void *list; /* ports or errors */
    size_t len;
    uint32_t ticks, tick_milliseconds;
    uint32_t sharing;
    const wattle_text *paths;
    size_t path_count;
  } result;
  option_count = error_count = field_count = 0;
  tick_milliseconds = sharing = 0;
  if (!options_read(json, len)) {
    error_at(WATTLE(""), WATTLE("the options must be a JSON object"));
  } else {
    wattle_configure();
    for (size_t i = 0; i < option_count; i++)
      if (!options[i].is_known) error_at(options[i].name, WATTLE("unknown option"));
  }
  heap_kept = heap_end;
  result.is_error = error_count > 0;
  result.list = error_count ? (const void *)errors : ports;
  result.len = error_count ? error_count : port_count;
  result.ticks = tick_milliseconds > 0;
  result.tick_milliseconds = tick_milliseconds;
  result.sharing = sharing;
  result.paths = key_paths;
  result.path_count = key_path_count;
  return &result;
}

/* The result of a call that can fail with a message. */
static const void *ended(wattle_text message) {
  static struct {
    uint32_t is_error;
    wattle_text message;
  } result;
  result.message = message;
  result.is_error = message.len > 0;
  return &result;
}

EXPORT("process") const void *export_process(void) {
  heap_end = heap_kept;
  return ended(wattle_process());
}

const void *wattle_ticked(int64_t now, bool last, wattle_tick_function tick) {
  heap_end = heap_kept;
  return ended(tick(now, last));
}

const void *wattle_saved(uint32_t version, wattle_save_function save) {
  static wattle_snapshot result; /* has the layout of the record `snapshot` */
  heap_end = heap_kept;
  result = (wattle_snapshot){version, save()};
  return &result;
}

const void *wattle_restored(const wattle_snapshot *snapshots, size_t count, wattle_restore_function restore) {
  wattle_text message = restore(snapshots, count);
  heap_kept = heap_end; /* restored state stays, like memory of the configuration */
  return ended(message);
}

/* ---- capabilities ---- */

/* A result that can be an error with a text. */
typedef struct {
  uint8_t is_error;
  union {
    wattle_text text;
    uint32_t handle;
    struct {
      const int64_t *numbers;
      size_t count;
    };
  };
} outcome;

void wattle_log(wattle_level level, wattle_text message) { host_log(level, message.ptr, message.len); }

wattle_metric wattle_counter(wattle_text name, const wattle_label *labels, size_t count) {
  return host_counter(name.ptr, name.len, labels, count);
}

wattle_metric wattle_gauge(wattle_text name, const wattle_label *labels, size_t count) {
  return host_gauge(name.ptr, name.len, labels, count);
}

wattle_metric wattle_histogram(wattle_text name, const wattle_label *labels, size_t count, const double *bounds,
                               size_t bound_count) {
  return host_histogram(name.ptr, name.len, labels, count, bounds, bound_count);
}

void wattle_metric_add(wattle_metric counter, uint64_t amount) { host_metric_add(counter, amount); }
void wattle_metric_set(wattle_metric gauge, double value) { host_metric_set(gauge, value); }
void wattle_metric_observe(wattle_metric histogram, const double *values, size_t count) {
  host_metric_observe(histogram, values, count);
}

int64_t wattle_now(void) { return host_now(); }
uint64_t wattle_monotonic(void) { return host_monotonic(); }

wattle_text wattle_random(uint32_t count) {
  wattle_text bytes;
  host_random(count, &bytes);
  return bytes;
}

wattle_text wattle_fact(wattle_text name) {
  struct {
    uint8_t is_there;
    wattle_text fact;
  } result;
  host_fact(name.ptr, name.len, &result);
  return result.is_there ? result.fact : WATTLE_OK;
}

wattle_table wattle_lookup_open(const char *option, wattle_text table, const wattle_text *columns, size_t count) {
  outcome result;
  if (!table.ptr) return 0; /* the SDK has already reported the option */
  host_lookup_open(table.ptr, table.len, columns, count, &result);
  if (!result.is_error) return result.handle;
  wattle_option_error(option, result.text);
  return 0;
}

const wattle_column *wattle_lookup_find(wattle_table table, const wattle_column *keys) {
  struct {
    const wattle_column *columns;
    size_t count;
  } result;
  host_lookup_find(table, COLUMN(keys), &result);
  return result.columns;
}

wattle_column wattle_kv_get(const wattle_column *keys) {
  wattle_column column;
  host_kv_get(COLUMN(keys), &column);
  return column;
}

wattle_text wattle_kv_set(const wattle_column *keys, const wattle_column *values, uint64_t ttl) {
  outcome result;
  host_kv_set(COLUMN(keys), COLUMN(values), ttl != WATTLE_FOREVER, ttl, &result);
  return result.is_error ? result.text : WATTLE_OK;
}

wattle_text wattle_kv_add(const wattle_column *keys, const int64_t *amounts, const int64_t **sums) {
  outcome result;
  host_kv_add(COLUMN(keys), amounts, keys->kinds_len, &result);
  if (result.is_error) return result.text;
  *sums = result.numbers;
  return WATTLE_OK;
}

void wattle_kv_delete(const wattle_column *keys) { host_kv_delete(COLUMN(keys)); }

const uint8_t *wattle_seen_claim(const wattle_column *keys, uint64_t ttl) {
  struct {
    const uint8_t *are_new;
    size_t count;
  } result;
  host_seen_claim(COLUMN(keys), ttl, &result);
  return result.are_new;
}

const wattle_answer *wattle_http_send(const wattle_request *requests, size_t count) {
  struct {
    const wattle_answer *answers;
    size_t count;
  } result;
  host_http_send(requests, count, &result);
  return result.answers;
}
