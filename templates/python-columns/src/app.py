"""Sets a field to the text of another in capitals. Fails events without it, and drops events that contain a text."""

import wattle_node as wattle


def configure(options, setup):
    source, to, skip = setup.read("from", options["from"]), setup.write("to", options["to"]), options["skip"]
    missing = f"the field `{options['from']}` is missing"

    def process(batch):
        reasons, dropped, values = wattle.Reasons(), [], []
        for row, text in enumerate(batch.read_text(source)):
            if text is None:
                reasons.add(row, "missing", missing)
            elif skip in text:
                dropped.append(row)
            else:
                values.append(text.upper())
                continue
            values.append(None)
        batch.set_text(to, values)
        batch.drop(dropped, "skipped")
        batch.fail(reasons)

    return process


Node = wattle.column_node(
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
