"""Counts events by key, and makes a metric of each count at the end of a window: a node with memory and a timer. Your
component has `State = state.exported(version=1, save=save, restore=restore)` and `Timer = timer.exported(tick)`."""

import json

import wattle_node as wattle

# Bounds of the memory; other events leave uncounted.
MAX_KEYS = 100
MAX_KEY = 64

ABOUT = dict(
    name="memory",
    version="1.0.0",
    summary="Counts events by key, and makes a metric of each count at the end of a window.",
    options={
        "key": wattle.Option(str),
        "window": wattle.Option(int, description="In milliseconds"),
        "sharing": wattle.Option(str, enum=["worker", "single", "key"]),
    },
)

window = 0
# Start of the window; None before the first tick.
start = None
counts = {}


def prepared(options, setup):
    """Prepares the memory, and returns the field of the key."""
    global window, start, counts
    window, start, counts = options["window"] * 1_000_000, None, {}
    setup.tick_every(options["window"])
    if options["sharing"] == "single":
        setup.share_single()
    elif options["sharing"] == "key":
        setup.share_by_key([options["key"]])
    return setup.read("key", options["key"])


def counted(key, number):
    """Adds to the count of a key, if there is memory for it."""
    if len(key.encode()) > MAX_KEY or (key not in counts and len(counts) == MAX_KEYS):
        return False
    counts[key] = counts.get(key, 0) + number
    return True


def events(options, setup):
    field = prepared(options, setup)

    def event(event):
        key = event.get(field)
        return wattle.HOLD if key is not None and counted(key, 1) else wattle.KEEP

    return event


def columns(options, setup):
    field = prepared(options, setup)

    def process(batch):
        keys = batch.read_text(field)
        batch.hold([row for row, key in enumerate(keys) if key is not None and counted(key, 1)])

    return process


def tick(tick):
    global start, counts
    if start is None:
        start = tick.now
    if tick.now - start < window and not tick.last:
        return
    made = []
    for key, value in counts.items():
        body = json.dumps({"name": "events", "type": "sum", "temporality": "delta", "value": value})
        # The same window has the same id, even if the agent repeats it after a crash.
        made.append(wattle.Made(body, {"id": f"{start}-{key}", "key": key}, tick.now))
    tick.emit(0, made, "metric")
    tick.count("reported", len(made))
    start, counts = tick.now, {}


def save():
    return json.dumps({"start": start, "counts": counts}).encode()


def restore(snapshots):
    """Adds all counts; the window began with the first of them."""
    global start
    for snapshot in snapshots:
        if snapshot.version != 1:
            raise wattle.NodeError(f"state of version {snapshot.version} is not of version 1")
        try:
            # Without `decode`, `json` would guess an encoding whose codec the component lacks.
            saved = json.loads(snapshot.bytes.decode())
            since, numbers = saved["start"], saved["counts"].items()
            valid = (since is None or isinstance(since, int)) and all(isinstance(number, int) for _, number in numbers)
        except (AttributeError, KeyError, TypeError, ValueError):
            valid = False
        if not valid:
            raise wattle.NodeError("the state is no memory of version 1")
        if since is not None and (start is None or since < start):
            start = since
        if not all([counted(key, number) for key, number in numbers]):
            raise wattle.NodeError("the states have too many or too long keys")


Events = wattle.event_node(events, **ABOUT)
Columns = wattle.column_node(columns, **ABOUT)
