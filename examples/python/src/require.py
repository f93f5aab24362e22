"""Fails events in which a field is missing or empty."""

import wattle_node as wattle

ABOUT = dict(
    name="require",
    version="1.0.0",
    summary="Fails events that lack a field, or have it empty.",
    options={"field": wattle.Option(str)},
)


def events(options, setup):
    path = options["field"]
    field = setup.read("field", path)

    def event(event):
        text = event.get(field)
        if text is None:
            return wattle.FAIL("missing", f"the field `{path}` is missing")
        return wattle.KEEP if text else wattle.FAIL("empty", f"the field `{path}` is empty")

    return event


def columns(options, setup):
    path = options["field"]
    field = setup.read("field", path)

    def process(batch):
        reasons = wattle.Reasons()
        for row, text in enumerate(batch.read_text(field)):
            if text is None:
                reasons.add(row, "missing", f"the field `{path}` is missing")
            elif not text:
                reasons.add(row, "empty", f"the field `{path}` is empty")
        batch.fail(reasons)

    return process


Events = wattle.event_node(events, **ABOUT)
Columns = wattle.column_node(columns, **ABOUT)
