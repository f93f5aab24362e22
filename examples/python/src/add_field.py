"""Sets a field to a prefix and the text of another field, for events that have it."""

import wattle_node as wattle

ABOUT = dict(
    name="add-field",
    version="1.0.0",
    summary="Sets a field to a prefix and the text of another.",
    options={"from": wattle.Option(str), "to": wattle.Option(str), "prefix": wattle.Option(str)},
)


def events(options, setup):
    source, to = setup.read("from", options["from"]), setup.write("to", options["to"])
    prefix = options["prefix"]

    def event(event):
        text = event.get(source)
        if text is not None:
            event.set(to, prefix + text)

    return event


def columns(options, setup):
    source, to = setup.read("from", options["from"]), setup.write("to", options["to"])
    prefix = options["prefix"]

    def process(batch):
        batch.set_text(to, [None if text is None else prefix + text for text in batch.read_text(source)])

    return process


Events = wattle.event_node(events, **ABOUT)
Columns = wattle.column_node(columns, **ABOUT)
