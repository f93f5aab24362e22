"""Makes each decision of the contract, as an example of the call."""

import json

from wit_world.imports import kv, seen

import wattle_node as wattle

# How long a key stays claimed, and a value stored, in milliseconds.
TTL = 60_000


def firsts(batch, body):
    """The position of the first byte of each body that has one."""
    offsets = batch.read(body).offsets
    return [start for start, end in zip(offsets, offsets[1:]) if end > start]


def split(batch, body):
    """Splits bodies at commas; only positions cross the sandbox boundary."""
    column, spans = batch.read(body), []
    for row, (start, end) in enumerate(zip(column.offsets, column.offsets[1:])):
        for part in column.bytes[start:end].split(b","):
            spans.append((row, start, start + len(part)))
            start += len(part) + 1
    batch.split(body, "text", spans, b"[", b"]")


def combine(batch, body):
    """Joins each pair of neighbours."""
    texts = [text.encode() for text in batch.read_text(body)]
    pairs = [range(row, min(row + 2, len(texts))) for row in range(0, len(texts), 2)]
    batch.combine(pairs, [b"+".join(texts[row] for row in pair) for pair in pairs])


def made(row):
    text = f"made {row}"
    return wattle.Made(text) if row % 2 else wattle.Made(text, {"row": row}, row * 1_000_000_000)


def claim(batch, field):
    are_new = seen.claim(batch.read(field), TTL)
    batch.drop([row for row, new in enumerate(are_new) if not new], "seen")


def store(batch, field, body, to):
    keys, bodies = batch.read(field), batch.read(body)
    kv.set(keys, bodies, TTL)
    kv.set(keys, bodies, None)
    batch.set(to, "text", kv.get(keys))


def fail(batch, odd):
    reasons = wattle.Reasons()
    for row in odd:
        reasons.add(row, "odd", f"row {row}")
    batch.fail(reasons)


def read_json(batch, field):
    column = batch.read(field, "json")
    spans = zip(column.kinds, column.offsets, column.offsets[1:])
    return [f"{kind} {column.bytes[start:end].decode(errors='replace')}" for kind, start, end in spans]


def error():
    raise wattle.NodeError("refused on purpose")


def panic():
    raise RuntimeError("broken on purpose")


def configure(options, setup):
    setup.ports(["out", "other"])
    body, field = setup.change("", "body"), setup.read("", "body.f")
    attributes, set_to = setup.write("", "attributes"), setup.write("", "attributes.set")

    def replace(batch, texts):
        starts = firsts(batch, body)
        batch.replace(body, "text", starts, [start + 1 for start in starts], texts or [b"<%d>" % i for i in range(len(starts))])

    def split_into(batch):
        texts = [text.encode() for text in batch.read_text(body)]
        children = [(row, text + end) for row, text in enumerate(texts) for end in (b"/1", b"/2")]
        batch.split_into([row for row, _ in children], [child for _, child in children])

    def process(batch):
        rows = range(batch.rows)
        odd = [row for row in rows if row % 2]
        marks = bytes(row % 2 for row in rows)
        match options["decision"]:
            case "replace":
                replace(batch, [b"*"])
            case "replace-each":
                replace(batch, None)
            case "set":
                batch.set_text(set_to, [None if row % 2 else f"row {row}" for row in rows])
            case "set-json":
                batch.set(set_to, "json", wattle.column(json.dumps({"row": row}).encode() for row in rows))
            case "set-json-from":
                batch.set_json_from(attributes, body, bytes(kind == 6 for kind in batch.check_json(body)))
            case "set-timestamp":
                batch.set_timestamp([wattle.LEAVE if row % 2 else row * 1_000_000_000 for row in rows])
            case "split":
                split(batch, body)
            case "split-into":
                split_into(batch)
            case "combine":
                combine(batch, body)
            case "hold":
                batch.hold(odd)
            case "emit":
                batch.emit(1, [made(row) for row in rows])
            case "emit-kinds":
                for kind in ("log", "metric", "span"):
                    batch.emit(0, [wattle.Made(kind)], kind)
            case "drop":
                batch.drop(odd, "odd")
            case "route":
                batch.route(marks)
            case "copy-to":
                batch.copy_to(1, odd)
            case "fail":
                fail(batch, odd)
            case "redelivered":
                batch.set_text(set_to, [str(batch.redelivered).lower()] * len(rows))
            case "read-text":
                batch.set_text(set_to, ["none" if t is None else f"text {t}" for t in batch.read_text(field)])
            case "read-json":
                batch.set_text(set_to, read_json(batch, field))
            case "claim":
                claim(batch, field)
            case "kv":
                store(batch, field, body, set_to)
            case "error":
                error()
            case "panic":
                panic()
            case "no-such-port":
                batch.route(bytes(9 for _ in rows))
            case "no-such-group":
                batch.combine([[len(rows)]], [b"x"])

    return process


DECISIONS = [
    "replace", "replace-each", "set", "set-json", "set-json-from", "set-timestamp", "split", "split-into", "combine", "hold",
    "emit", "emit-kinds", "drop", "route", "copy-to", "fail", "redelivered", "read-text", "read-json", "claim", "kv", "error",
    "panic", "no-such-port", "no-such-group",
]

Columns = wattle.column_node(
    configure,
    name="decisions",
    version="1.0.0",
    summary="Makes the decision that its option names.",
    options={"decision": wattle.Option(str, enum=DECISIONS)},
)
