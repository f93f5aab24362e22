"""Drops events whose field contains a text."""

import wattle_node as wattle

ABOUT = dict(
    name="drop-if",
    version="1.0.0",
    summary="Drops events whose field holds a text.",
    options={"field": wattle.Option(str), "contains": wattle.Option(str)},
)


def events(options, setup):
    field, part = setup.read("field", options["field"]), options["contains"]

    def event(event):
        text = event.get(field)
        return wattle.DROP("matched") if text is not None and part in text else wattle.KEEP

    return event


def columns(options, setup):
    field, part = setup.read("field", options["field"]), options["contains"]

    def process(batch):
        texts = batch.read_text(field)
        batch.drop([row for row, text in enumerate(texts) if text is not None and part in text], "matched")

    return process


Events = wattle.event_node(events, **ABOUT)
Columns = wattle.column_node(columns, **ABOUT)
