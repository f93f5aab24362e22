"""Sets a field to the text of another in capitals. Fails events without it, and drops events that contain a text."""

import wattle_node as wattle


def configure(options, setup):
    source, to, skip = setup.read("from", options["from"]), setup.write("to", options["to"]), options["skip"]
    missing = f"the field `{options['from']}` is missing"

    def decide(event):
        text = event.get(source)
        if text is None:
            return wattle.FAIL("missing", missing)
        if skip in text:
            return wattle.DROP("skipped")
        event.set(to, text.upper())
        return wattle.KEEP

    return decide


Node = wattle.event_node(
    configure,
    name="my-node",
    version="0.1.0",
    summary="Sets a field to the text of another in capitals.",
    options={
        "from": wattle.Option(str, description="The field that is read"),
        "to": wattle.Option(str, description="The field that is set"),
        "skip": wattle.Option(str, description="Events that hold this are dropped"),
    },
)
