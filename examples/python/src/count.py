"""Sets a field to the number of the event, counted from 1: a node with state."""

import itertools

import wattle_node as wattle

ABOUT = dict(
    name="count",
    version="1.0.0",
    summary="Sets a field to the number of the event, counted from 1.",
    options={"to": wattle.Option(str)},
)


def events(options, setup):
    to, numbers = setup.write("to", options["to"]), itertools.count(1)
    return lambda event: event.set(to, str(next(numbers)))


def columns(options, setup):
    to, numbers = setup.write("to", options["to"]), itertools.count(1)
    return lambda batch: batch.set_text(to, [str(number) for number in itertools.islice(numbers, batch.rows)])


Events = wattle.event_node(events, **ABOUT)
Columns = wattle.column_node(columns, **ABOUT)
