"""Sets a field to the number of the event, counted from 1: a node with state, which goes on counting in the instance after
it. Your component has `State = state.exported(version=1, save=save, restore=restore)`."""

import wattle_node as wattle

ABOUT = dict(
    name="count",
    version="1.0.0",
    summary="Sets a field to the number of the event, counted from 1.",
    options={"to": wattle.Option(str)},
)

counted = 0


def next_number():
    global counted
    counted += 1
    return str(counted)


def events(options, setup):
    global counted
    to, counted = setup.write("to", options["to"]), 0
    return lambda event: event.set(to, next_number())


def columns(options, setup):
    global counted
    to, counted = setup.write("to", options["to"]), 0
    return lambda batch: batch.set_text(to, [next_number() for _ in range(batch.rows)])


def save():
    return str(counted).encode()


def restore(snapshots):
    global counted
    counted = 0
    for snapshot in snapshots:
        if snapshot.version != 1 or not snapshot.bytes.isdigit():
            raise wattle.NodeError("the state is no count of version 1")
        counted += int(snapshot.bytes)


Events = wattle.event_node(events, **ABOUT)
Columns = wattle.column_node(columns, **ABOUT)
